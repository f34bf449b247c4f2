"""The data set of a training task: the first `quick_train`, and one when nothing has changed."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aisio.tasks.engines.base import Engine, Job, Status
from aisio.tasks.states import TaskState
from corpus import Corpus
from measuring import READY, Items, temporary_folder
from packing import AISIO, each_file, empty_prefix, files, run

_SETTLED_S = 2.5
"""Files that have just been written are read again by the next call."""


class NoEngine(Engine):
    """Takes a task, and runs nothing."""

    name = "none"

    def start(self, job: Job) -> str:
        """Take a job."""
        return "{}"

    def poll(self, handle: str) -> Status:
        """Say that it runs."""
        return Status(TaskState.RUNNING)

    def logs(self, handle: str, last: int | None = None) -> list[str]:
        """Return no lines."""
        return []

    def follow(self, handle: str) -> Iterator[str]:
        """Yield no lines."""
        yield from ()

    def abort(self, handle: str) -> Status:
        """Say that it has ended."""
        return Status(TaskState.ABORT)


@contextmanager
def _different_files(corpus: Corpus) -> Iterator[Path]:
    """Yield folders of files, no two of which are the same: those would be stored once."""
    with files(corpus) as folder:
        for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
            with path.open("r+b") as file:
                file.write(number.to_bytes(8, "big"))
        yield folder


def first(corpus: Corpus) -> Items:
    """`quick_train` with a data set that the store does not have; the task is started."""
    with _different_files(corpus) as folder, temporary_folder() as place:
        url = empty_prefix(corpus, "task")
        yield READY
        _train(corpus, folder, Path(place), url)
        yield from each_file(corpus)


def mounted(corpus: Corpus) -> Items:
    """The same, and the task gets a folder with the data."""
    with _different_files(corpus) as folder, temporary_folder() as place:
        url = empty_prefix(corpus, "task")
        yield READY
        _train(corpus, folder, Path(place), url, name="dataset")
        yield from each_file(corpus)


def second(corpus: Corpus) -> Items:
    """The same again."""
    with _different_files(corpus) as folder, temporary_folder() as place:
        url = empty_prefix(corpus, "task")
        time.sleep(_SETTLED_S)
        _train(corpus, folder, Path(place), url)
        yield READY
        _train(corpus, folder, Path(place), url)
        yield from each_file(corpus)


def put(corpus: Corpus) -> Items:
    """`aisio put --recursive` of the same files."""
    with _different_files(corpus) as folder:
        url = empty_prefix(corpus, "put")
        yield READY
        run(corpus, f"{AISIO} put --recursive {shlex.quote(str(folder))} {url}")
        yield from each_file(corpus)


def _train(corpus: Corpus, data: Path, place: Path, url: str, name: str = "") -> None:
    from aisio.tasks.quickstart import quick_train
    from aisio.tasks.service.service import TaskService
    from aisio.tasks.settings import TaskSettings

    os.environ["AIS_ENDPOINT"] = corpus.endpoint
    code = place / "code"
    code.mkdir(exist_ok=True)
    (code / "requirements.txt").touch()
    settings = TaskSettings(place / "home", url, "ada", disable_git=True)
    # Without a name the data set is not mounted: that costs the same for all ways to upload it.
    quick_train(
        algorithm_dir=code,
        dataset_dir=data,
        dataset_hyperparam_name=name,
        entrypoint="python train.py",
        service=TaskService(settings, engine=NoEngine()),
    )


FIRST_CASES = {
    "aisio quick_train": first,
    "aisio quick_train, with the folder of the task": mounted,
    "aisio put": put,
}
SECOND_CASES = {"aisio quick_train": second}
