"""sync_algorithm: the code of a directory becomes a version."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.tasks.algorithm_sync import sync_algorithm
from aisio.tasks.code import RequiredLocalCommitError
from aisio.tasks.errors import (
    AnyLearnMissingParamException,
    AnyLearnNotSupportedException,
    ResourceError,
)
from aisio.tasks.objects.chunks import SyncResourceUploader
from aisio.tasks.states import ResourceState
from tests.tasks.places import make_service, write_code


class FailingUploader(SyncResourceUploader):
    """Fails at the second chunk."""

    def send(self, resource_id: str, number: int, chunk: bytes) -> None:
        """Fail."""
        raise ConnectionError("the line was cut")


def test_any_15_a_directory_without_requirements_is_refused(tmp_path):
    """And so is one that does not exist; nothing is registered."""
    service = make_service(tmp_path)
    text = "Parameter `dir_path` must be an existing directory"
    with pytest.raises(ConfigError, match=text):
        sync_algorithm(dir_path=tmp_path / "none", service=service)
    (tmp_path / "code").mkdir()
    with pytest.raises(ConfigError, match=r"Missing 'requirements\.txt' in algorithm directory"):
        sync_algorithm(dir_path=tmp_path / "code", service=service)
    with pytest.raises(AnyLearnMissingParamException, match="algorithm_dir"):
        sync_algorithm(service=service)
    assert service.resources.find("algorithm") == []


def test_any_16_a_name_or_environment_that_is_not_valid(tmp_path):
    """Is refused before anything is registered."""
    service, code = make_service(tmp_path), write_code(tmp_path / "code")
    with pytest.raises(ConfigError, match="algorithm name"):
        sync_algorithm(name="a b", dir_path=code, service=service)
    text = "Container for `none` is not supported by the connected backend."
    with pytest.raises(AnyLearnNotSupportedException, match=text):
        sync_algorithm(dir_path=code, mirror_name="none", service=service)
    assert service.resources.find("algorithm") == []


def test_a_name_is_made_of_the_path(tmp_path, monkeypatch):
    """As it was given."""
    write_code(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    algorithm, commit = sync_algorithm(dir_path="data", service=make_service(tmp_path))
    assert (algorithm.name, commit) == ("data-a17c9aaa", None)


@pytest.mark.parametrize("uploader", [None, SyncResourceUploader()])
def test_any_25_without_git_an_archive_is_sent(tmp_path, uploader):
    """What git keeps is left out, and the archive is deleted afterwards."""
    service, code = make_service(tmp_path), write_code(tmp_path / "code")
    (code / ".git").mkdir()
    (code / ".git" / "config").write_text("password")
    algorithm, commit = sync_algorithm(dir_path=code, uploader=uploader, service=service)
    assert commit is None
    version = service.algorithms.version(str(algorithm.id))
    service.algorithms.write_code(version, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").rglob("*"))
    assert names == ["requirements.txt", "train.py"]
    assert list(service.settings.home.rglob("*.zip")) == []


def test_an_upload_that_fails_is_told_with_its_cause(tmp_path):
    """The algorithm is in ERROR, and the archive is deleted."""
    service, code = make_service(tmp_path), write_code(tmp_path / "code")
    text = "An error occured when uploading algorithm: the line was cut"
    with pytest.raises(ResourceError, match=text):
        sync_algorithm(dir_path=code, uploader=FailingUploader(), service=service)
    (row,) = service.resources.find("algorithm")
    assert row.state == ResourceState.ERROR
    assert list(service.settings.home.rglob("*.zip")) == []
    algorithm, _ = sync_algorithm(dir_path=code, service=service)
    assert (algorithm.id, algorithm.state) == (row.id, ResourceState.READY)


def test_with_git_the_commit_is_returned(tmp_path):
    """A directory that is not committed needs `force`."""
    service = make_service(tmp_path, disable_git=False)
    code = write_code(tmp_path / "code")
    with pytest.raises(RequiredLocalCommitError, match="algorithm_force_update=True"):
        sync_algorithm(dir_path=code, service=service)
    algorithm, commit = sync_algorithm(dir_path=code, force=True, service=service)
    assert algorithm.versions() == [commit]
    again, same = sync_algorithm(dir_path=code, service=service)
    assert (again.id, same) == (algorithm.id, commit)
    assert again.versions() == [commit]


def test_an_algorithm_by_id_is_taken_as_it_is(tmp_path):
    """Its environment may change."""
    service, code = make_service(tmp_path), write_code(tmp_path / "code")
    algorithm, _ = sync_algorithm(dir_path=code, service=service)
    mirror = service.projects.add_mirror("other")
    same, commit = sync_algorithm(str(algorithm.id), mirror_name="other", service=service)
    assert (same.id, same.mirror_id, commit) == (algorithm.id, mirror.id, None)
