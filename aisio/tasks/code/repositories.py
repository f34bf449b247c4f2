"""Bare repositories, which keep the code of tasks, and checking a commit out of one.

Each commit that runs has a ref of its own. So it can be checked out as long as the repository
exists, whatever happens to the branches.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from aisio.errors import ConfigError, ConflictError, NotFoundError
from aisio.tasks.code.errors import GitError
from aisio.tasks.code.git import DEFAULT_TIMEOUT_S, Git, check_timeout
from aisio.tasks.code.remote import GitRemote

KEPT_REFS = "refs/aisio/commits/"
"""Below it, a repository has a ref for each commit that was sent for a task."""

_COMMIT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # SHA-1 or SHA-256
_REPOSITORY_SETTINGS = (
    ("http.receivepack", "true"),  # smart HTTP accepts pushes; who may push, the server decides
    ("receive.fsckObjects", "true"),
    ("receive.shallowUpdate", "true"),  # from clones of limited depth, as CI systems make them
    ("receive.autogc", "false"),
    ("gc.auto", "0"),
)


def is_commit_id(text: str) -> bool:
    """Tell whether a text is a full commit id."""
    return _COMMIT_ID.fullmatch(text) is not None


def create_repository(folder: str | os.PathLike[str]) -> Path:
    """Create a bare repository that takes pushes; return its path.

    One that exists stays as it is. Processes that create the same one at the same time agree, and a
    process that is killed leaves no half of one at that path.

    Raises:
        ConfigError: There is something else at that path.
        GitError: git failed.
    """
    target = Path(folder).absolute()
    if _is_repository(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        new = Path(scratch, "repository")
        git = Git.within(target.parent, DEFAULT_TIMEOUT_S)
        git.run("init", "--quiet", "--bare", "--template=", str(new))
        for name, value in _REPOSITORY_SETTINGS:
            git.run("config", "--file", str(new / "config"), name, value)
        try:
            new.rename(target)
        except OSError as error:
            if not _is_repository(target):
                raise ConfigError(f"{target} exists, and is no bare git repository") from error
    return target


def keep_commit(repository: str | os.PathLike[str], commit: str) -> None:
    """Keep a commit in a bare repository, whatever happens to the branches it is on.

    Raises:
        NotFoundError: The repository does not have it.
        ConfigError: `commit` is no full commit id.
    """
    _check_commit_id(commit)
    folder = Path(repository).absolute()
    git = Git.within(folder, DEFAULT_TIMEOUT_S, GIT_DIR=str(folder))
    if git.commit_of(commit) is None:
        raise NotFoundError(f"git repository {folder} does not have commit {commit}")
    git.run("update-ref", f"{KEPT_REFS}{commit}", commit)


def find_commit(repository: str | os.PathLike[str], ref: str) -> str:
    """Return the commit of a branch, tag or commit id in a bare repository.

    Raises:
        NotFoundError: It has none of this name.
    """
    folder = Path(repository).absolute()
    git = Git.within(folder, DEFAULT_TIMEOUT_S, GIT_DIR=str(folder))
    commit = git.commit_of(ref) if ref and "\0" not in ref else None
    if commit is None:
        raise NotFoundError(f"git repository {folder} has no branch, tag or commit {ref!r}")
    return commit


def checkout(
    repository: GitRemote | str | os.PathLike[str],
    commit: str,
    into: str | os.PathLike[str],
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Path:
    """Write the files of a commit into a new folder.

    The folder gets no .git. It appears when it is complete: a call that fails or is killed leaves
    none. No hooks and no filters of this machine's git configuration run.

    Args:
        repository: The path of a bare repository, or a remote one.
        commit: The full commit id.
        into: The folder; it does not exist, or is empty.
        timeout_s: Seconds that all of it may take.

    Returns:
        The folder, as an absolute path.

    Raises:
        NotFoundError: The repository does not have the commit.
        ConflictError: The folder holds something.
        ConfigError: `commit` is no full commit id.
        AccessError, UnavailableError, GitTimeoutError, GitError: As `sync_code`.
    """
    check_timeout(timeout_s)
    _check_commit_id(commit)
    target = Path(into).absolute()
    if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
        raise ConflictError(f"cannot check out code to {target}: it exists and is not empty")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        git = Git.within(Path(scratch), timeout_s)
        if isinstance(repository, GitRemote):
            git = _fetch(git, repository, commit)
        else:
            git = git.having(GIT_DIR=str(Path(repository).absolute()))
        if git.commit_of(commit) is None:
            where = repository.url if isinstance(repository, GitRemote) else repository
            raise NotFoundError(f"git repository {where} does not have commit {commit}")
        files = Path(scratch, "files")
        files.mkdir()
        _write_files(git, commit, files)
        try:
            files.rename(target)
        except OSError as error:
            raise ConflictError(f"cannot check out code to {target}: {error.strerror}") from error
    return target


def _fetch(git: Git, remote: GitRemote, commit: str) -> Git:
    """Fetch a commit into a scratch repository; return what runs commands in it."""
    git.run("init", "--quiet", "--bare", "--template=", "repository")
    git = git.having(GIT_DIR=str(git.folder / "repository"))
    fetch = ("fetch", "--quiet", "--no-tags")
    kept = f"+{KEPT_REFS}{commit}:{KEPT_REFS}{commit}"
    try:
        git.run(*fetch, "--depth=1", remote.url, kept, remote=remote)
    except GitError:  # no such ref there: a branch or tag may have the commit all the same
        git.run(*fetch, remote.url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
                remote=remote)  # fmt: skip
    return git


def _write_files(git: Git, commit: str, folder: Path) -> None:
    """Write files without the configuration of user and machine: it names filters, programs."""
    scratch = str(git.folder)
    variables = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_INDEX_FILE": str(git.folder / "index"),
        "GIT_WORK_TREE": str(folder),
        "HOME": scratch,
        "XDG_CONFIG_HOME": scratch,
    }
    git = Git(folder, git.deadline, git.variables | variables)
    git.run("read-tree", commit)
    git.run("checkout-index", "--all", "--quiet")


def _is_repository(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()


def _check_commit_id(commit: str) -> None:
    if not is_commit_id(commit):
        raise ConfigError(f"git commit {commit!r}: expected a full commit id")
