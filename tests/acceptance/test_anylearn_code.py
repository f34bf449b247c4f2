"""Code of a task, as Anylearn's quick_train sends it: real git, over smart HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from urllib.parse import quote

import pytest

from aisio import AisioError
from aisio.errors import AccessError, ConfigError, UnavailableError
from aisio.tasks.code import (
    GitRemote,
    PushRejectedError,
    RequiredLocalCommitError,
    checkout,
    create_repository,
    sync_code,
)
from tests.tasks.code.code_directory import IDENTITY, CodeDirectory, git
from tests.tasks.code.git_server import GitServer, serve

PASSWORD = "p/a@s:s wörd%2F"
_numbers = count()


class Place:
    """A code directory, and the repository that it is pushed to."""

    def __init__(self, server: GitServer, code: CodeDirectory) -> None:
        self.server = server
        self.code = code
        name = f"{next(_numbers)}.git"
        self.repository = create_repository(server.folder / name)
        self.remote = GitRemote(server.url(name), server.user, server.password)

    def refs(self) -> dict[str, str]:
        """Return the commits of the remote repository by their refs."""
        lines = git(self.repository, "show-ref").splitlines() if self._has_refs() else []
        return {name: commit for commit, name in (line.split() for line in lines)}

    def files(self, commit: str) -> list[str]:
        """Return the names of the files of a commit, as the remote repository has it."""
        return git(self.repository, "ls-tree", "-r", "--name-only", commit).splitlines()

    def _has_refs(self) -> bool:
        return bool(git(self.repository, "for-each-ref", "--count=1"))


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[GitServer]:
    """Serve repositories to one user, whose password has all that URLs give a meaning to."""
    with serve(GitServer(tmp_path_factory.mktemp("served"), password=PASSWORD)) as running:
        yield running


@pytest.fixture(autouse=True)
def _identity(monkeypatch) -> None:
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def place(server, tmp_path) -> Place:
    """Return a committed code directory with an empty remote repository."""
    server.requests.clear()
    return Place(server, CodeDirectory.committed(tmp_path / "code"))


@pytest.fixture
def new_place(server, tmp_path) -> Place:
    """Return a code directory that is no git repository, with an empty remote repository."""
    server.requests.clear()
    return Place(server, CodeDirectory.make(tmp_path / "code"))


def test_any_18_a_directory_becomes_a_repository_with_a_remote_of_its_own(new_place) -> None:
    """Everything is committed and pushed, but what .gitignore names."""
    code = new_place.code
    code.write(".gitignore", "*.ckpt\nlogs/\n")
    code.write("last.ckpt", "weights")
    code.write("logs/1.txt", "log")
    code.write("net/model.py", "")
    commit = sync_code(code.folder, new_place.remote, force=True)
    names = [".gitignore", "net/model.py", "requirements.txt", "train.py"]
    assert new_place.files(commit) == names
    assert code.git("remote", "get-url", "aisio") == new_place.remote.url
    assert code.git("status", "--porcelain") == ""


def test_any_18_other_remotes_and_branches_of_the_user_are_left_alone(place) -> None:
    """Only the branch that is checked out is pushed."""
    place.code.git("remote", "add", "origin", "https://example.com/theirs.git")
    place.code.git("branch", "private")
    commit = sync_code(place.code.folder, place.remote)
    assert place.refs() == {"refs/heads/main": commit, f"refs/aisio/commits/{commit}": commit}
    assert place.code.git("remote", "get-url", "origin") == "https://example.com/theirs.git"


def test_any_18_what_others_have_pushed_is_fetched(place, tmp_path) -> None:
    """It is there as a branch of the remote."""
    other = CodeDirectory.committed(tmp_path / "other")
    other.git("checkout", "--quiet", "-b", "theirs")
    theirs = sync_code(other.folder, place.remote)
    sync_code(place.code.folder, place.remote)
    assert place.code.git("rev-parse", "aisio/theirs") == theirs


@pytest.mark.parametrize("change", ["edited", "untracked", "staged", "deleted"])
def test_any_19_what_is_not_committed_is_refused(change, place) -> None:
    """The error has the file, and the hint; nothing was sent."""
    name = "new.py" if change == "untracked" else "train.py"
    if change == "deleted":
        (place.code.folder / name).unlink()
    else:
        place.code.write(name, "print('changed')\n")
    if change == "staged":
        place.code.git("add", name)
    with pytest.raises(RequiredLocalCommitError) as caught:
        sync_code(place.code.folder, place.remote)
    assert name in str(caught.value)
    assert "`algorithm_force_update=True`" in str(caught.value)
    assert place.server.requests == []


@pytest.mark.parametrize("initialised", [False, True])
def test_any_19_a_directory_that_was_never_committed_is_refused(initialised, new_place) -> None:
    """Whether it is a repository or not; it does not become one."""
    if initialised:
        new_place.code.git("init", "--quiet")
    with pytest.raises(RequiredLocalCommitError, match="algorithm_force_update"):
        sync_code(new_place.code.folder, new_place.remote)
    assert (new_place.code.folder / ".git").exists() == initialised
    assert new_place.refs() == {}


def test_any_20_force_commits_with_the_description(place) -> None:
    """The commit follows the one that was checked out, and is the user's."""
    first = place.code.head()
    place.code.write("train.py", "print('changed')\n")
    commit = sync_code(place.code.folder, place.remote, force=True, message="Täsk\n\nof Ada")
    shown = git(place.repository, "show", "--no-patch", "--format=%P|%an|%B", commit)
    assert shown == f"{first}|Ada|Täsk\n\nof Ada"
    assert place.refs()["refs/heads/main"] == commit


def test_any_20_without_a_description_the_message_has_the_time(place) -> None:
    """In seconds."""
    place.code.write("train.py", "print('changed')\n")
    commit = sync_code(place.code.folder, place.remote, force=True)
    message = git(place.repository, "show", "--no-patch", "--format=%B", commit)
    assert re.fullmatch(r"aisio auto-commit \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", message)


def test_any_20_force_without_a_change_commits_nothing(place) -> None:
    """The commit is the one that is checked out."""
    assert sync_code(place.code.folder, place.remote, force=True) == place.code.head()


def test_any_21_the_commit_is_what_is_checked_out(place) -> None:
    """After a forced commit, too: branch and index have followed."""
    assert sync_code(place.code.folder, place.remote) == place.code.head()
    place.code.write("new.py", "")
    assert sync_code(place.code.folder, place.remote, force=True) == place.code.head()
    assert place.code.git("status", "--porcelain") == ""
    assert place.code.git("symbolic-ref", "--short", "HEAD") == "main"


@pytest.mark.parametrize("ref", ["v1", "old", "HEAD~1", "commit id", "short commit id"])
def test_any_21_an_explicit_ref_wins(ref, place) -> None:
    """A tag, a branch, an expression or a commit; the remote has that commit afterwards."""
    first = place.code.head()
    place.code.git("tag", "v1")
    place.code.git("branch", "old")
    place.code.write("train.py", "print('changed')\n")
    second = place.code.commit("second")
    ref = {"commit id": first, "short commit id": first[:9]}.get(ref, ref)
    assert sync_code(place.code.folder, place.remote, ref=ref) == first
    assert place.refs() == {"refs/heads/main": second, f"refs/aisio/commits/{first}": first}


def test_any_21_the_branch_that_is_checked_out_includes_what_is_committed_now(place) -> None:
    """Named by its branch or as HEAD."""
    for number, ref in enumerate(("main", "HEAD", "refs/heads/main")):
        place.code.write("train.py", f"print({number})\n")
        commit = sync_code(place.code.folder, place.remote, force=True, ref=ref)
        assert commit == place.code.head()


def test_any_21_a_ref_may_be_in_the_remote_repository_alone(place, tmp_path) -> None:
    """A branch, a tag, or a commit that ran."""
    other = CodeDirectory.committed(tmp_path / "other")
    other.git("checkout", "--quiet", "-b", "theirs")
    other.write("train.py", "print('theirs')\n")
    theirs = other.commit("theirs")
    other.git("tag", "--annotate", "v9", "--message", "nine")
    sync_code(other.folder, place.remote)
    git(other.folder, "push", "--quiet", str(place.repository), "v9")
    for ref in ("theirs", "v9", theirs):
        assert sync_code(place.code.folder, place.remote, ref=ref) == theirs


@pytest.mark.parametrize("ref", ["missing", "0" * 40, "", "--upload-pack=touch x", "a b"])
def test_any_21_a_ref_that_is_nowhere_is_refused(ref, place) -> None:
    """The error names both places."""
    with pytest.raises(ConfigError, match="neither in") as caught:
        sync_code(place.code.folder, place.remote, ref=ref)
    assert place.remote.url in str(caught.value)


def test_any_22_credentials_are_in_no_file_and_no_error(place, monkeypatch) -> None:
    """After a success, a refusal, a wrong password, a rejected push and a broken connection."""
    code, server = place.code, place.server
    sync_code(code.folder, place.remote)
    code.write("train.py", "print('changed')\n")
    wrong = GitRemote(place.remote.url, "ada", f"{PASSWORD}x")
    errors = [_error(code, place.remote, force=False), _error(code, wrong)]
    server.answers[:] = [500]
    errors.append(_error(code, place.remote))
    (place.repository / "hooks").mkdir()
    hook = place.repository / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no room for $REMOTE_USER >&2\nexit 1\n", "utf-8")
    hook.chmod(0o755)
    errors.append(_error(code, place.remote))
    types = [RequiredLocalCommitError, AccessError, UnavailableError, PushRejectedError]
    assert [type(error) for error in errors] == types
    assert "no room for ada" in str(errors[-1])
    for secret in (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe="")):
        assert code.files_with(secret) == []
        assert [error for error in errors if secret in f"{error} {error!r}"] == []
    assert PASSWORD not in repr(place.remote)


def _error(code: CodeDirectory, remote: GitRemote, *, force: bool = True) -> AisioError:
    before = code.state()
    with pytest.raises(AisioError) as caught:
        sync_code(code.folder, remote, force=force)
    assert code.state() == before
    return caught.value


def test_any_22_credentials_in_the_url_are_taken_out_of_it(place) -> None:
    """They may be percent-encoded; those given beside the URL replace them."""
    address = place.remote.url.removeprefix("http://")
    for user, password, argument in (
        ("ada", quote(PASSWORD, safe=""), None),
        ("eve", "other", PASSWORD),
    ):
        url = f"http://{user}:{password}@{address}"
        remote = GitRemote(url, argument and "ada", argument)
        assert sync_code(place.code.folder, remote) == place.code.head()
        assert place.code.git("remote", "get-url", "aisio") == place.remote.url


def test_any_22_the_users_credential_helpers_are_not_told(place, tmp_path, monkeypatch) -> None:
    """`store` would write the password into a file."""
    store = tmp_path / "stored"
    config = tmp_path / "gitconfig"
    config.write_text(f"[credential]\n\thelper = store --file={store}\n", "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    sync_code(place.code.folder, place.remote)
    assert not store.exists()


def test_any_22_a_redirect_to_another_host_does_not_get_them(place, server, tmp_path) -> None:
    """The error is one of access."""
    with serve(GitServer(tmp_path, redirect_to=f"http://{server.host}")) as other:
        remote = GitRemote(other.url(place.repository.name), "ada", PASSWORD)
        server.requests.clear()
        with pytest.raises(AccessError):
            sync_code(place.code.folder, remote)
    assert server.requests
    assert {request.authorization for request in server.requests} == {None}


def test_any_23_a_rejected_push_is_an_error(place, tmp_path) -> None:
    """It changes nothing, says what to do, and force overwrites the branch; no commit is lost."""
    other = CodeDirectory.committed(tmp_path / "other")
    other.write("train.py", "print('theirs')\n")
    theirs = other.commit("theirs")
    sync_code(other.folder, place.remote)
    before = place.refs()
    with pytest.raises(PushRejectedError, match="algorithm_force_update=True"):
        sync_code(place.code.folder, place.remote)
    assert place.refs() == before
    mine = sync_code(place.code.folder, place.remote, force=True)
    assert place.refs()["refs/heads/main"] == mine
    assert checkout(place.repository, theirs, tmp_path / "again").joinpath("train.py").exists()


def test_any_23_a_detached_head_is_sent_without_a_branch(place, tmp_path) -> None:
    """With a forced commit as well: the remote has it, and it can be checked out."""
    place.code.git("checkout", "--quiet", "--detach")
    clean = sync_code(place.code.folder, place.remote)
    place.code.write("train.py", "print('detached')\n")
    forced = sync_code(place.code.folder, place.remote, force=True)
    assert place.code.head() == forced != clean
    kept = {f"refs/aisio/commits/{commit}": commit for commit in (clean, forced)}
    assert place.refs() == kept
    folder = checkout(place.remote, forced, tmp_path / "out")
    assert (folder / "train.py").read_text("utf-8") == "print('detached')\n"


def test_any_24_a_refused_sync_leaves_the_index_as_it_was(place) -> None:
    """What was staged stays staged, what was not stays so, and no object is added."""
    code = place.code
    code.write("train.py", "print('staged')\n")
    code.git("add", "train.py")
    code.write("train.py", "print('edited')\n")
    code.write("new.py", "")
    before, objects = code.state(), code.git("count-objects", "-v")
    with pytest.raises(RequiredLocalCommitError):
        sync_code(code.folder, place.remote)
    assert code.state() == before
    assert code.git("count-objects", "-v") == objects


def test_any_24_a_forced_sync_that_fails_leaves_it_too(place) -> None:
    """And the next one sends the changes."""
    place.code.write("new.py", "")
    place.server.answers[:] = [503]
    _error(place.code, place.remote)
    commit = sync_code(place.code.folder, place.remote, force=True)
    assert "new.py" in place.files(commit)
