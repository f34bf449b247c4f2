"""sync_code: the commit that is to run, pushed to the task's remote repository.

    check ──> commit in a copy of the index ──> fetch ──> push ──> confirm ──> advance
    (refuse)  (no branch moves)                                    (ls-remote)  (branch and index)

Two refs are pushed together or not at all: the branch, for people, and `refs/aisio/commits/<id>`.
That one keeps the commit of each task in the repository when the branch is overwritten or deleted,
and takes a commit that no branch has, as of a detached HEAD.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from aisio.errors import ConfigError
from aisio.escapes import first_few
from aisio.tasks.code.errors import PushRejectedError, RequiredLocalCommitError
from aisio.tasks.code.git import DEFAULT_TIMEOUT_S, Git, check_timeout, error_of
from aisio.tasks.code.remote import GitRemote
from aisio.tasks.code.repositories import KEPT_REFS, is_commit_id
from aisio.tasks.code.work_tree import WorkTree

REMOTE_NAME = "aisio"
"""The name of the remote in the user's repository. Its URL has no credentials."""

_FORCE_HINT = "Commit it, or specify `algorithm_force_update=True` to let aisio make an auto-commit"
_REMOTE_TAGS = "refs/aisio/tags/"  # not among the user's own tags
_FETCHED = (f"+refs/heads/*:refs/remotes/{REMOTE_NAME}/*", f"+refs/tags/*:{_REMOTE_TAGS}*")


def sync_code(
    directory: str | os.PathLike[str],
    remote: GitRemote,
    *,
    force: bool = False,
    message: str | None = None,
    ref: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> str:
    """Push the code of a directory; return the id of the commit that is to run.

    The directory is the root of a git repository. What .gitignore names is left out. If the call
    fails, branch, index and files of the repository are as they were.

    Args:
        directory: The code.
        remote: Where it is pushed to.
        force: Commit what is not committed, and overwrite the remote's branch where it has other
            commits. A directory without a repository becomes one.
        message: Message of that commit; by default "aisio auto-commit" with the time.
        ref: Run this branch, tag, commit or expression such as "HEAD~1" instead of what is checked
            out. It is looked for in the directory's repository, then in the remote one.
        timeout_s: Seconds that all of it may take.

    Returns:
        The full commit id, which the remote repository has.

    Raises:
        RequiredLocalCommitError: Something is not committed, and `force` is false.
        ConfigError: The directory is none, is a part of another repository, or its files cannot be
            pushed; or `ref` is nowhere.
        PushRejectedError: The remote refuses the push, as its branch has other commits.
        AccessError: The remote refuses the credentials, or wants some.
        NotFoundError: There is no such remote repository.
        UnavailableError: The remote cannot be reached.
        GitTimeoutError: `timeout_s` is over.
        GitError: git failed in another way.
    """
    folder = Path(directory).absolute()
    check_timeout(timeout_s)
    if not folder.is_dir():
        raise ConfigError(f"code directory {folder}: not an existing directory")
    git = Git.within(folder, timeout_s)
    tree = WorkTree.find(git)
    if tree is None:
        if not force:
            raise RequiredLocalCommitError(
                f"{folder} is not a git repository, so nothing in it is committed. {_FORCE_HINT}"
            )
        tree = WorkTree.create(git)
    with tree.locked():
        return _sync(tree, remote, force, message or _auto_message(), ref)


def _sync(tree: WorkTree, remote: GitRemote, force: bool, message: str, ref: str | None) -> str:
    head = tree.head()
    if force:
        commit = tree.commit_all(message)
    else:
        commit = _committed(tree, head)
        tree.check_files()
    branch = tree.branch()
    tree.set_remote(REMOTE_NAME, remote.url)
    arguments = ("fetch", "--quiet", "--no-tags", "--prune", "--no-write-fetch-head", REMOTE_NAME)
    tree.git.run(*arguments, *_FETCHED, remote=remote)
    if ref in (None, "HEAD", branch, f"refs/heads/{branch}"):
        wanted = commit
    else:
        wanted = _commit_of_ref(tree, remote, ref or "")
    _push(tree, remote, _refspecs(tree, commit, branch, wanted), _lease(tree, branch, force=force))
    _confirm(tree, remote, wanted)
    if commit != head:
        tree.advance(commit, previous=head)
    return wanted


def _committed(tree: WorkTree, head: str | None) -> str:
    """Return the commit that is checked out, if the directory has nothing else in it."""
    changes = tree.changes()
    if changes or head is None:
        raise RequiredLocalCommitError(
            f"{tree.git.folder} is not clean: {_what_changed(changes)}. {_FORCE_HINT}"
        )
    return head


def _commit_of_ref(tree: WorkTree, remote: GitRemote, ref: str) -> str:
    """Return the commit of a ref: in the directory's repository, else in the remote one.

    Raises:
        ConfigError: It is in neither.
    """
    if ref and not ref.startswith("-") and ref.isprintable() and " " not in ref:
        places = (ref, f"refs/remotes/{REMOTE_NAME}/{ref}", f"{_REMOTE_TAGS}{ref}")
        for commit in map(tree.commit_of, places):
            if commit is not None:
                return commit
        if is_commit_id(ref):
            return ref  # the remote may have kept it: `_confirm` asks
    raise ConfigError(f"git ref {ref!r} is neither in {tree.git.folder} nor in {remote.url}")


def _refspecs(tree: WorkTree, commit: str, branch: str | None, wanted: str) -> list[str]:
    refs = [] if branch is None else [f"{commit}:refs/heads/{branch}"]
    if tree.commit_of(wanted):
        refs.append(f"{wanted}:{KEPT_REFS}{wanted}")
    return refs


def _lease(tree: WorkTree, branch: str | None, *, force: bool) -> list[str]:
    """Return the option that overwrites a branch as the fetch has seen it, not if it has moved."""
    if branch is None or not force:
        return []
    seen = tree.commit_of(f"refs/remotes/{REMOTE_NAME}/{branch}") or ""
    return [f"--force-with-lease=refs/heads/{branch}:{seen}"]


def _push(tree: WorkTree, remote: GitRemote, refs: list[str], options: list[str]) -> None:
    """Push all refs or none.

    Raises:
        PushRejectedError: The remote refuses.
    """
    if not refs:
        return
    arguments = ("push", "--porcelain", "--atomic", *options, REMOTE_NAME, *refs)
    status, output, errors = tree.git.attempt(*arguments, remote=remote)
    if "remote failed to report status" in output:  # of several refs of a shallow clone
        status, output, errors = tree.git.attempt(*arguments, remote=remote)
    if status == 0:
        return
    rejected = [line.split("\t") for line in output.splitlines() if line.startswith("!\t")]
    if not rejected:
        raise error_of(arguments, status, errors or output, remote)
    reasons = "; ".join(f"{names.partition(':')[2]} {why}" for _, names, why in rejected)
    said = " ".join(line for line in errors.splitlines() if line.startswith("remote: "))
    raise PushRejectedError(
        f"{remote.url} rejected the push of {tree.git.folder}: "
        f"{remote.without_password(f'{reasons} {said}'.strip())}{_advice(reasons)}"
    )


def _advice(reasons: str) -> str:
    if "fetch first" in reasons or "non-fast-forward" in reasons:
        return (
            f". The branch there has commits that yours has not: merge those of the remote "
            f"`{REMOTE_NAME}`, or specify `algorithm_force_update=True` to overwrite the branch"
        )
    if "stale info" in reasons:
        return ". Somebody else has pushed to the branch at the same time: try again"
    return ""


def _confirm(tree: WorkTree, remote: GitRemote, commit: str) -> None:
    """Check that the remote repository has the commit that is to run.

    Raises:
        ConfigError: It does not.
    """
    kept = f"{KEPT_REFS}{commit}"
    found = tree.git.run("ls-remote", REMOTE_NAME, kept, remote=remote)
    if found.split() != [commit, kept]:
        raise ConfigError(
            f"git commit {commit} is neither in {tree.git.folder} nor in {remote.url}"
        )


def _what_changed(names: list[str]) -> str:
    if not names:
        return "nothing in it was ever committed"
    return f"{first_few(names)} {'is' if len(names) == 1 else 'are'} not committed"


def _auto_message() -> str:
    return f"aisio auto-commit {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
