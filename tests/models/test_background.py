"""BackgroundLoading: stand-ins until the files are there, and an error where they cannot come."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import UntypedStorage

from aisio import ConfigError, IntegrityError, ObjectUrl
from aisio.models.background import BackgroundLoading
from aisio.models.files import ModelFile, Patterns, list_model, model_url
from aisio.models.folder import ModelFolder
from aisio.models.loading import ModelLoader
from aisio.models.memory_folder import MemoryFolder
from aisio.stores import LocalStore
from aisio.transport.body import Body
from tests.models.models import Case, safetensors_bytes

TENSOR = safetensors_bytes()
HEADER_BYTES = len(TENSOR) - 4000


class Held(LocalStore):
    """Reads whole files only when it is told to.

    Attributes:
        go_on: Set, it lets them be read.
        error: Raised in place of a read.
    """

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.error: Exception | None = None

    def get(self, url: ObjectUrl, byte_range: Any = None, **kwargs: Any) -> Body:
        if byte_range is None:
            self.go_on.wait()
            if self.error is not None:
                raise self.error
        return super().get(url, byte_range, **kwargs)


class Model:
    """A model whose large files are read in the background.

    Args:
        case: The model.
        store: Has it.
    """

    def __init__(self, case: Case, store: LocalStore) -> None:
        url = model_url(f"file://{case.source}")
        listed = list_model(store, url, Patterns.of(None, None), case.options)
        self.files = [one for one in listed if one.memory_name]
        self.memory = MemoryFolder(str(case.memory), "k")
        self.folder = ModelFolder(
            case.path, url=str(url), key="k", files=listed, fill=lambda _: None
        )
        self.loader = ModelLoader(
            str(url), store, self.files, self.memory, case.options, self._complete
        )
        self.loading = BackgroundLoading(store, self.files, self.folder, self.loader)

    def _complete(self, file: ModelFile) -> None:
        self.folder.link(file.name, self.memory.path_of(file.memory_name))
        self.loading.complete(file)

    def close(self) -> None:
        """Close all parts."""
        self.loading.close()
        self.folder.leave()
        self.memory.leave()


@pytest.fixture
def store() -> Held:
    """Return a store that reads nothing yet."""
    return Held()


@pytest.fixture
def model(case: Case, store: Held) -> Iterator[Model]:
    """Return a model that is closed in the end, without a trace."""
    model = Model(case, store)
    yield model
    store.go_on.set()
    model.close()
    assert not case.path.exists()
    assert list(case.memory.iterdir()) == []


def test_a_stand_in_has_the_header_and_the_length(case: Case, model: Model) -> None:
    """Of safetensors; other files are empty."""
    model.loading.start(model.files)
    descriptor = os.open(case.path / "a.safetensors", os.O_RDONLY)
    assert os.pread(descriptor, 10_000, 0) == TENSOR[:HEADER_BYTES] + bytes(4000)
    os.close(descriptor)
    assert (case.path / "sub/b.bin").stat().st_size == 0


def test_who_opens_a_file_waits_for_it(case: Case, store: Held, model: Model) -> None:
    """With open and with torch's function."""
    model.loading.start(model.files)
    got: list[bytes] = []

    def read_both() -> None:
        got.append((case.path / "sub/b.bin").read_bytes())
        path = str(case.path / "a.safetensors")
        got.append(bytes(UntypedStorage.from_file(path, shared=False, nbytes=4071)))

    thread = threading.Thread(target=read_both)
    thread.start()
    assert got == []
    store.go_on.set()
    thread.join()
    assert got == [bytes(range(250)) * 8, TENSOR[:4071]]
    model.loading.wait_for_all()
    assert (case.path / "a.safetensors").is_symlink()


def test_a_forked_child_reads_what_is_missing(case: Case, store: Held, model: Model) -> None:
    """It has no thread that would do it; it leaves the files to its parent."""
    store.go_on.set()
    lock = model.memory.try_lock()
    assert lock is not None
    model.loading.start(model.files)
    pid = os.fork()
    if not pid:
        is_right = (case.path / "sub/b.bin").read_bytes() == bytes(range(250)) * 8
        model.loading.close()
        os._exit(0 if is_right else 1)
    model.memory.unlock(lock)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (case.path / "sub/b.bin").exists()


def test_an_error_is_raised_by_who_opens_a_file(case: Case, store: Held, model: Model) -> None:
    """And nobody else finds zeros in its place."""
    store.error = IntegrityError("GET file://a: broken")
    model.loading.start(model.files)
    store.go_on.set()
    for _ in range(2):
        with pytest.raises(IntegrityError, match="file://a: broken"):
            (case.path / "a.safetensors").read_bytes()
    with pytest.raises(IntegrityError, match="file://a: broken"):
        model.loading.wait_for_all()
    assert (case.path / "a.safetensors").stat().st_size == 0


def test_closing_ends_the_loading(case: Case, store: Held, model: Model) -> None:
    """In the middle of a file, too: the hooks are gone, and who waited gets an error."""
    hooked = torch.UntypedStorage.from_file
    model.loading.start(model.files)
    model.loading._stop.set()
    store.go_on.set()
    with pytest.raises(Exception, match="closed while its files were read"):
        (case.path / "a.safetensors").read_bytes()
    model.loading.close()
    assert torch.UntypedStorage.from_file != hooked


def test_what_does_not_fit_is_told_at_once(case: Case, store: Held) -> None:
    """Before a thread begins."""
    with (case.source / "sub/b.bin").open("wb") as file:
        file.truncate(1 << 40)
    model = Model(case, store)
    with pytest.raises(ConfigError, match="its large files have"):
        model.loading.start(model.files)
    model.close()
