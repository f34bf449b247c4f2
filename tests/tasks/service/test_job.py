"""The job of a task."""

from __future__ import annotations

import pytest

from aisio.tasks.errors import InvalidArguments
from aisio.tasks.metrics import METRICS_VARIABLE
from aisio.tasks.resources.scan import scan_folder
from aisio.tasks.service.job import command_of, ids, make_job
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.service.secrets import secret_of
from tests.tasks.places import make_service, write_data

ROW = TrainTaskRow("TRAI1", "t", "PROJ1", "ALGO1", "ada", entrypoint="python train.py")


def test_a_job_has_mounts_variables_and_its_secret(tmp_path) -> None:
    """Mounts are passed by their paths."""
    service = make_service(tmp_path)
    home, resources = service.settings.home, service.resources
    files = scan_folder(write_data(tmp_path / "data"), resources.cache)
    data = resources.finish(resources.create("dataset", "data"), resources.upload(files))
    params = f'{{"dataset": ["\\"${data.id}\\""]}}'
    row = TrainTaskRow(
        **vars(ROW) | {"files": data.id, "train_params": params, "envs": "A=1", "num_nodes": 2}
    )
    job = make_job(row, resources, home, tmp_path / "task")
    mount = str(resources.mount(data.id))
    assert job.argv == ("python", "train.py", "--dataset", mount)
    assert dict(job.env) == {
        "A": "1",
        data.id: mount,
        "task_id": "TRAI1",
        "secret_key": secret_of("TRAI1", home),
        METRICS_VARIABLE: str(tmp_path / "task"),
    }
    assert (job.cwd, job.num_nodes) == (tmp_path / "task" / "code", 2)


def test_parameters_that_are_no_object_are_refused() -> None:
    """They cannot be arguments."""
    for text in ("[1]", "lr=1", ""):
        with pytest.raises(InvalidArguments, match="not a JSON object"):
            command_of(TrainTaskRow(**vars(ROW) | {"train_params": text}), {})
    assert ids("A,B,") == ["A", "B"]
