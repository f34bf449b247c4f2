"""Algorithm, Dataset, Model and File."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aisio.errors import NotFoundError
from aisio.tasks.algorithm_sync import sync_algorithm
from aisio.tasks.errors import AnyLearnMissingParamException, InvalidArguments, ResourceError
from aisio.tasks.objects.chunks import ResourceUploader
from aisio.tasks.objects.resources import Algorithm, Dataset, File, Model, Resource
from aisio.tasks.service.service import TaskService, configure
from aisio.tasks.states import ResourceState
from tests.tasks.places import make_service, write_code


@pytest.fixture(autouse=True)
def service(tmp_path) -> Iterator[TaskService]:
    """Have a new service for this process."""
    service = make_service(tmp_path)
    configure(service)
    yield service
    configure(None)


class Refusing(ResourceUploader):
    """Says that it has failed."""

    def run(self, resource_id: str, chunks: Any) -> bool:
        """Fail."""
        return False


@pytest.mark.parametrize("kind", [Dataset, File, Model])
def test_a_resource_is_saved_uploaded_read_and_deleted(tmp_path, kind):
    """By the vendor's methods."""
    (tmp_path / "w.bin").write_bytes(b"weights")
    one: Resource = kind(name="w", filename="w.bin")
    assert one.save()
    assert one.state == ResourceState.CREATED
    assert one.upload(tmp_path / "w.bin", chunk_size=3)
    assert (one.state, one.size) == (ResourceState.READY, 7)
    assert kind.list_dir(one.id) == ["w.bin"]
    (tmp_path / "out").mkdir()
    path = kind.download_file(one.id, tmp_path / "out")
    assert (tmp_path / "out" / "w.bin").read_bytes() == b"weights"
    assert path == str(tmp_path / "out" / "w.bin")
    one.description = "new"
    assert one.save()
    assert kind(one.id, load_detail=True).description == "new"
    assert [found.id for found in kind.get_list()] == [one.id]
    assert one.delete()
    with pytest.raises(NotFoundError):
        one.get_detail()


def test_an_uploader_that_fails(tmp_path):
    """Leaves the resource in ERROR."""
    (tmp_path / "x").write_bytes(b"x")
    one = Dataset(name="x")
    one.save()
    with pytest.raises(ResourceError, match="reported a failure"):
        one.upload(tmp_path / "x", Refusing())
    one.get_detail()
    assert one.state == ResourceState.ERROR


def test_an_algorithm_is_found_by_name_and_not_deleted_while_it_runs(tmp_path, service):
    """Except by force."""
    code = write_code(tmp_path / "code")
    algorithm, _ = sync_algorithm(name="a", dir_path=code, service=service)
    assert Algorithm.get_user_custom_algorithm_by_name("b") is None
    found = Algorithm.get_user_custom_algorithm_by_name("a")
    assert found is not None
    assert found.id == algorithm.id
    service.train_tasks.create(
        project_id=service.projects.default().id,
        algorithm_id=str(algorithm.id),
        name="t",
        entrypoint="python train.py",
    )
    with pytest.raises(InvalidArguments, match="force=True"):
        algorithm.delete()
    assert algorithm.delete(force=True)
    with pytest.raises(AnyLearnMissingParamException, match="mirror_id"):
        Algorithm(name="c").save()
