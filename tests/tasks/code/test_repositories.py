"""Bare repositories, and checking a commit out of one."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aisio.errors import AccessError, ConfigError, ConflictError, NotFoundError
from aisio.tasks.code import (
    GitRemote,
    checkout,
    create_repository,
    find_commit,
    keep_commit,
    sync_code,
)
from tests.tasks.code.code_directory import IDENTITY, CodeDirectory, git
from tests.tasks.code.git_server import GitServer, needs_git, serve

pytestmark = needs_git


@pytest.fixture(autouse=True)
def _identity(monkeypatch) -> None:
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)


def names(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def code(tmp_path) -> CodeDirectory:
    """Return a committed code directory."""
    return CodeDirectory.committed(tmp_path / "code")


@pytest.fixture
def repository(tmp_path) -> Path:
    """Return a bare repository in the service's home."""
    return create_repository(tmp_path / "home" / "code" / "a.git")


def test_a_repository_is_created_once(tmp_path) -> None:
    """By several at the same time, too; nothing else is left in the folder."""
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(create_repository, [tmp_path / "in" / "a.git"] * 4))
    assert set(paths) == {tmp_path / "in" / "a.git"}
    assert names(tmp_path / "in") == ["a.git"]
    assert git(paths[0], "rev-parse", "--is-bare-repository") == "true"


def test_what_is_no_repository_is_not_taken_for_one(tmp_path) -> None:
    """A file, or a folder with something in it."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes").touch()
    for name in ("file", "folder"):
        with pytest.raises(ConfigError, match="no bare git repository"):
            create_repository(tmp_path / name)
    assert names(tmp_path) == ["file", "folder"]


def test_a_commit_in_the_home_can_be_checked_out_again(code, repository, tmp_path) -> None:
    """Without a server or credentials; modes and links are kept, and there is no .git."""
    code.write("run.sh", "#!/bin/sh\n")
    (code.folder / "run.sh").chmod(0o755)
    (code.folder / "link").symlink_to("train.py")
    commit = sync_code(code.folder, GitRemote(str(repository)), force=True)
    folder = checkout(repository, commit, tmp_path / "runs" / "1")
    assert names(folder) == ["link", "requirements.txt", "run.sh", "train.py"]
    assert os.access(folder / "run.sh", os.X_OK)
    assert (folder / "link").readlink() == Path("train.py")
    assert names(folder.parent) == ["1"]


def test_an_older_commit_is_still_there_when_its_branch_is_overwritten(
    code, repository, tmp_path
) -> None:
    """Also after a garbage collection."""
    remote = GitRemote(str(repository))
    first = sync_code(code.folder, remote)
    code.write("train.py", "amended\n")
    code.git("commit", "--quiet", "--all", "--amend", "--message", "amended")
    sync_code(code.folder, remote, force=True)
    git(repository, "gc", "--quiet", "--prune=now")
    folder = checkout(repository, first, tmp_path / "out")
    assert (folder / "train.py").read_text("utf-8") == "print('trains')\n"


def test_a_commit_that_others_pushed_is_kept(code, repository, tmp_path) -> None:
    """By a client that pushes branches alone."""
    code.git("push", "--quiet", str(repository), "main")
    keep_commit(repository, code.head())
    git(repository, "update-ref", "-d", "refs/heads/main")
    git(repository, "gc", "--quiet", "--prune=now")
    assert (checkout(repository, code.head(), tmp_path / "out") / "train.py").exists()
    with pytest.raises(NotFoundError, match="does not have commit"):
        keep_commit(repository, "0" * 40)


def test_a_commit_is_checked_out_of_a_server(code, tmp_path) -> None:
    """By its own ref, or by the branch that has it; one that is nowhere is not found."""
    with serve(GitServer(tmp_path / "served")) as server:
        repository = create_repository(server.folder / "a.git")
        remote = GitRemote(server.url("a.git"), server.user, server.password)
        first = sync_code(code.folder, remote)
        code.write("train.py", "second\n")
        second = code.commit("second")
        code.git("push", "--quiet", str(repository), "main")
        for number, commit in enumerate((first, second)):
            assert (checkout(remote, commit, tmp_path / f"{number}") / "train.py").exists()
        with pytest.raises(NotFoundError):
            checkout(remote, "0" * 40, tmp_path / "none")
        with pytest.raises(AccessError):
            checkout(GitRemote(remote.url, "ada", "wrong"), first, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_filters_of_this_machine_do_not_run(code, repository, tmp_path, monkeypatch) -> None:
    """They are programs, which the code could choose from."""
    code.write(".gitattributes", "*.py filter=other\n")
    commit = code.commit("attributes")
    sync_code(code.folder, GitRemote(str(repository)))
    config = tmp_path / "gitconfig"
    smudge = f"touch {tmp_path}/ran && cat"
    config.write_text(f'[filter "other"]\n\tsmudge = {smudge}\n', "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    checkout(repository, commit, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_holds_something_is_not_overwritten(code, repository, tmp_path) -> None:
    """An empty one is filled."""
    commit = sync_code(code.folder, GitRemote(str(repository)))
    (tmp_path / "out").mkdir()
    checkout(repository, commit, tmp_path / "out")
    with pytest.raises(ConflictError, match="not empty"):
        checkout(repository, commit, tmp_path / "out")


@pytest.mark.parametrize("commit", ["", "main", "abc123", "A" * 40, "--all"])
def test_only_a_full_commit_id_is_checked_out(commit, repository, tmp_path) -> None:
    """A branch may be something else tomorrow."""
    for call in (lambda: checkout(repository, commit, tmp_path / "out"),
                 lambda: keep_commit(repository, commit)):  # fmt: skip
        with pytest.raises(ConfigError, match="full commit id"):
            call()


def test_a_branch_or_tag_is_found(code, repository) -> None:
    """What is neither is not found."""
    commit = sync_code(code.folder, GitRemote(str(repository)))
    git(repository, "tag", "v1", commit)
    assert {find_commit(repository, ref) for ref in ("main", "v1", commit)} == {commit}
    for ref in ("v2", "", "--all", "a\0b"):
        with pytest.raises(NotFoundError, match="no branch, tag or commit"):
            find_commit(repository, ref)
