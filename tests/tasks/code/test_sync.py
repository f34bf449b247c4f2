"""Syncing code: what the lines of the acceptance list leave out."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aisio.errors import AccessError, ConfigError, NotFoundError, UnavailableError
from aisio.tasks.code import GitRemote, PushRejectedError, create_repository, sync_code
from tests.tasks.code.code_directory import IDENTITY, CodeDirectory, git
from tests.tasks.code.git_server import GitServer, needs_git, serve

pytestmark = needs_git


@pytest.fixture(autouse=True)
def _identity(monkeypatch) -> None:
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def code(tmp_path) -> CodeDirectory:
    """Return a committed code directory."""
    return CodeDirectory.committed(tmp_path / "code")


@pytest.fixture
def repository(tmp_path) -> Path:
    """Return a bare repository in the service's home."""
    return create_repository(tmp_path / "a.git")


def test_an_unchanged_directory_pushes_no_pack(code, tmp_path) -> None:
    """The second sync asks what the server has, and sends nothing."""
    with serve(GitServer(tmp_path / "served")) as server:
        create_repository(server.folder / "a.git")
        remote = GitRemote(server.url("a.git"), server.user, server.password)
        first = sync_code(code.folder, remote)
        assert len(server.writes()) == 1
        assert sync_code(code.folder, remote) == first
        assert len(server.writes()) == 1


@pytest.mark.parametrize("folder", ["missing", "train.py"])
def test_what_is_no_directory_is_refused(folder, code, repository) -> None:
    """With its path."""
    with pytest.raises(ConfigError, match="not an existing directory"):
        sync_code(code.folder / folder, GitRemote(str(repository)))


def test_remotes_that_cannot_be_pushed_to(code, tmp_path) -> None:
    """Each has its own error."""
    with serve(GitServer(tmp_path / "served")) as server:
        url = server.url("missing.git")
        with pytest.raises(NotFoundError):
            sync_code(code.folder, GitRemote(url, server.user, server.password))
        with pytest.raises(AccessError):
            sync_code(code.folder, GitRemote(url))
    with pytest.raises(UnavailableError):
        sync_code(code.folder, GitRemote(url, server.user, server.password))
    with pytest.raises(NotFoundError):
        sync_code(code.folder, GitRemote(str(tmp_path / "none")))


def test_syncs_at_the_same_time_agree(code, repository) -> None:
    """One commits, and the others find it."""
    code.write("new.py", "")
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(sync_code, code.folder, GitRemote(str(repository)), force=True)
            for _ in range(4)
        ]
        commits = {call.result() for call in calls}
    assert commits == {code.head()}
    assert code.git("rev-list", "--count", "HEAD") == "2"


def test_a_caller_that_is_killed_while_it_pushes_has_changed_nothing(code, tmp_path) -> None:
    """The next one is not locked out, and sends the changes."""
    code.write("new.py", "")
    before = code.state()
    with serve(GitServer(tmp_path / "served", answers=[None] * 4 + [-1])) as server:
        repository = create_repository(server.folder / "a.git")
        remote = GitRemote(server.url("a.git"), server.user, server.password)
        arguments = [str(code.folder), remote.url, server.user, server.password]
        with subprocess.Popen([sys.executable, "-c", _SYNC, *arguments]) as caller:
            assert server.waiting.wait(60)
            caller.kill()
        assert server.requests[-1].target.endswith("service=git-receive-pack")
        assert code.state() == before
        assert git(repository, "for-each-ref") == ""
        commit = sync_code(code.folder, remote, force=True)
    assert "new.py" in git(repository, "ls-tree", "--name-only", commit).splitlines()
    assert code.git("status", "--porcelain") == ""


_SYNC = """
import sys
from aisio.tasks.code import GitRemote, sync_code
sync_code(sys.argv[1], GitRemote(*sys.argv[2:]), force=True)
"""


def test_a_shallow_clone_is_pushed(code, repository, tmp_path) -> None:
    """As CI systems make them."""
    code.write("train.py", "second\n")
    second = code.commit("second")
    git(tmp_path, "clone", "--quiet", "--depth=1", code.folder.as_uri(), "shallow")
    assert sync_code(tmp_path / "shallow", GitRemote(str(repository))) == second


def test_a_remote_that_is_no_bare_repository_rejects_its_own_branch(code, tmp_path) -> None:
    """The reason that git gives is shown."""
    other = CodeDirectory.committed(tmp_path / "other")
    code.write("train.py", "second\n")
    code.commit("second")
    with pytest.raises(PushRejectedError, match="refs/heads/main"):
        sync_code(code.folder, GitRemote(str(other.folder)), force=True)


def test_repositories_with_sha256_ids(tmp_path) -> None:
    """Their commit ids have 64 digits."""
    code = CodeDirectory.make(tmp_path / "code")
    code.git("init", "--quiet", "--object-format=sha256")
    code.commit("first")
    git(tmp_path, "init", "--quiet", "--bare", "--object-format=sha256", "a.git")
    commit = sync_code(code.folder, GitRemote(str(tmp_path / "a.git")))
    assert len(commit) == 64
