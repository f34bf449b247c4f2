"""Algorithms and their versions."""

from __future__ import annotations

import pytest

from aisio.errors import AccessError, NotFoundError
from aisio.tasks.algorithm_sync import sync_algorithm
from aisio.tasks.errors import InvalidArguments, ResourceError
from aisio.tasks.service.algorithms import AlgorithmService
from aisio.tasks.service.resources import ResourceService
from tests.tasks.places import make_service, write_code

PROGRAMS = ("print(1)\n", "print(22)\n")


@pytest.mark.parametrize("disable_git", [False, True])
def test_any_17_a_new_version_leaves_the_older_ones(tmp_path, disable_git):
    """As commits, and as archives; each can be written again."""
    service = make_service(tmp_path, disable_git=disable_git)
    code = write_code(tmp_path / "code")
    for program in PROGRAMS:
        (code / "train.py").write_text(program)
        _, commit = sync_algorithm(name="a", dir_path=code, force=True, service=service)
        assert (commit is None) == disable_git
    algorithm = service.algorithms.by_name("a")
    assert algorithm is not None
    versions = service.algorithms.versions(str(algorithm.id))
    assert len(versions) == 2
    assert service.algorithms.version(str(algorithm.id)) == versions[1]
    for version, program in zip(versions, PROGRAMS, strict=True):
        folder = tmp_path / version.id
        service.algorithms.write_code(version, folder)
        assert (folder / "train.py").read_text() == program
        ref = version.commit_id or version.id
        assert service.algorithms.version(str(algorithm.id), ref) == version


class Killed(ResourceService):
    """Resources of a process that ends before a row is deleted."""

    def delete(self, resource_id: str) -> None:
        """Delete nothing."""
        raise KeyboardInterrupt


def test_an_algorithm_that_is_deleted_leaves_no_archive(tmp_path):
    """Also if the process is killed then; nobody else may delete one."""
    service = make_service(tmp_path)
    algorithm, _ = sync_algorithm(name="a", dir_path=write_code(tmp_path / "code"), service=service)
    service.resources.update(str(algorithm.id), public=True)
    with pytest.raises(AccessError):
        make_service(tmp_path, user="bob").algorithms.delete(str(algorithm.id))
    store, settings = service.resources.store, service.settings
    assert len(list(store.trees())) == 1
    killed = Killed(service._registry, store, settings.home, settings.user)
    with pytest.raises(KeyboardInterrupt):
        AlgorithmService(service._registry, killed, settings).delete(str(algorithm.id))
    assert list(store.trees()) == []
    service.algorithms.delete(str(algorithm.id))


def test_a_branch_is_a_version(tmp_path):
    """The commit that it points to now."""
    service = make_service(tmp_path, disable_git=False)
    code = write_code(tmp_path / "code")
    algorithm, commit = sync_algorithm(name="a", dir_path=code, force=True, service=service)
    repository = service.algorithms.repository(str(algorithm.id))
    branch = next((repository / "refs" / "heads").iterdir()).name
    assert service.algorithms.version(str(algorithm.id), branch).commit_id == commit
    with pytest.raises(NotFoundError, match="'v9'"):
        service.algorithms.version(str(algorithm.id), "v9")


def test_what_is_not_there(tmp_path):
    """No code yet, no such version, no such name."""
    service = make_service(tmp_path)
    mirror = service.projects.mirrors()[0]
    row = service.algorithms.create("a", mirror.id)
    with pytest.raises(ResourceError, match="has no code yet"):
        service.algorithms.version(row.id)
    assert service.algorithms.by_name("b") is None
    algorithm, _ = sync_algorithm(name="a", dir_path=write_code(tmp_path / "code"), service=service)
    assert algorithm.id == row.id
    with pytest.raises(NotFoundError, match="no version 'v9'"):
        service.algorithms.version(row.id, "v9")
    service.algorithms.delete(row.id)
    with pytest.raises(NotFoundError):
        service.algorithms.versions(row.id)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a\n"])
def test_any_16_names_have_letters_digits_and_marks(tmp_path, name):
    """Others are refused."""
    with pytest.raises(InvalidArguments, match="algorithm name"):
        make_service(tmp_path).algorithms.create(name, "MIRR1")


def test_a_git_server_gives_the_address(tmp_path):
    """And gets user and password."""
    service = make_service(tmp_path, disable_git=False, git_url="https://git/x/", password="s/:@")
    row = service.algorithms.create("a", service.projects.mirrors()[0].id)
    assert row.git_address == "https://git/x/a.git"
    remote = service.algorithms.remote(row)
    assert remote is not None
    assert (remote.url, remote.user, remote.password) == (row.git_address, "ada", "s/:@")
