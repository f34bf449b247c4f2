"""WorkTree: the user's code directory and its repository, read and committed without surprises.

Changes are staged in a copy of the index, and committed without moving a branch. The repository's
own index and branch follow at the end, by `advance`. So whoever fails in between leaves both as
they were; what was staged stays behind as unreachable objects, which git removes by itself.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from aisio.errors import ConfigError, ConflictError
from aisio.escapes import first_few
from aisio.file_locks import NO_LOCKS_ERRNOS, acquire, release
from aisio.tasks.code.errors import GitError
from aisio.tasks.code.git import Git

_SUBMODULE_MODE = "160000"
_LFS_POINTER = "version https://git-lfs.github.com/spec/v1"
_MAX_LFS_POINTER_BYTES = 1024
_POINTERS_SOUGHT = 4  # more than a message shows
_POLL_INTERVAL_S = 0.05


class WorkTree:
    """A directory that is the root of a git work tree.

    Args:
        git: Runs commands in that directory.

    Attributes:
        git: The same.
        git_dir: The folder with its index and HEAD.
    """

    def __init__(self, git: Git) -> None:
        self.git = git
        self.git_dir = Path(git.run("rev-parse", "--absolute-git-dir").rstrip("\n"))

    @classmethod
    def find(cls, git: Git) -> WorkTree | None:
        """Return the work tree whose root is the folder of `git`, or None if there is none.

        Raises:
            ConfigError: The folder belongs to another repository, or is one without a work tree.
            GitError: git refuses the repository.
        """
        status, output, message = git.attempt("rev-parse", "--show-toplevel")
        if status == 0:
            root = Path(output.rstrip("\n"))
            if root.samefile(git.folder):
                return cls(git)
            if git.run("ls-files", "-z", "--", "."):
                raise ConfigError(
                    f"{git.folder} is a part of the git repository at {root}: only a whole "
                    "repository can be pushed. Give that folder, or send the code as an archive"
                )
            return None
        if "must be run in a work tree" in message:
            raise ConfigError(f"{git.folder} is a git repository without a work tree")
        if "not a git repository" in message:
            return None
        raise GitError(f"git refuses the repository at {git.folder}: {message.strip()}")

    @classmethod
    def create(cls, git: Git) -> WorkTree:
        """Make the folder of `git` a repository; one that exists stays as it is."""
        git.run("init", "--quiet")
        return cls(git)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from syncing the same directory; wait for those that do.

        Raises:
            ConflictError: They were not ready before the deadline of `git`.
        """
        lock = self._lock()
        try:
            yield
        finally:
            if lock is not None:
                release(lock)

    def head(self) -> str | None:
        """Return the commit that is checked out; None if nothing was ever committed."""
        return self.commit_of("HEAD")

    def branch(self) -> str | None:
        """Return the branch that is checked out; None if a commit is (a detached HEAD)."""
        name = self.git.run("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).strip()
        return name.removeprefix("refs/heads/") or None

    def commit_of(self, revision: str) -> str | None:
        """Return the commit that a branch, tag, commit id or expression names here, if any."""
        return self.git.commit_of(revision)

    def changes(self) -> list[str]:
        """Return the names of files that differ from the commit, or that git does not know yet."""
        arguments = ("status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames")
        entries = self.git.run(*arguments).split("\0")
        return [entry[3:] for entry in entries if entry]

    def commit_all(self, message: str) -> str:
        """Commit all files that are not ignored; return the commit. No branch points to it yet.

        Without changes it is the commit that is checked out.

        Raises:
            ConfigError: A merge is not finished; or the files could not be checked out elsewhere.
        """
        if self.commit_of("MERGE_HEAD") or self.git.run("ls-files", "--unmerged"):
            raise ConfigError(f"{self.git.folder} is in the middle of a merge: finish it first")
        head = self.head()
        with tempfile.TemporaryDirectory(prefix="aisio-index-") as folder:
            index = Path(folder, "index")
            current = Path(self.git.run("rev-parse", "--git-path", "index").rstrip("\n"))
            if (self.git.folder / current).exists():
                # With its time: git looks into files that are not older than their index.
                shutil.copy2(self.git.folder / current, index)
            staging = self.git.having(GIT_INDEX_FILE=str(index))
            staging.run("add", "--all", "--", ".")
            _check_files(staging)
            tree = staging.run("write-tree").strip()
        if head and tree == self.git.run("rev-parse", f"{head}^{{tree}}").strip():
            return head
        parents = ("-p", head) if head else ()
        author = self._fallback_identity()
        arguments = ("commit-tree", tree, *parents, "-F", "-")
        return self.git.having(**author).run(*arguments, input_text=f"{message}\n").strip()

    def check_files(self) -> None:
        """Check that the files of the commit that is checked out can be checked out elsewhere.

        Raises:
            ConfigError: There are none; or some are in submodules or Git LFS.
        """
        _check_files(self.git)

    def advance(self, commit: str, *, previous: str | None) -> None:
        """Have branch (or detached HEAD) and index follow to a new commit.

        Raises:
            GitError: HEAD is not `previous` any more: somebody has committed meanwhile.
        """
        reason = "aisio: commit before a training task"
        self.git.run("update-ref", "-m", reason, "HEAD", commit, previous or "")
        self.git.run("reset", "--quiet")

    def set_remote(self, name: str, url: str) -> None:
        """Set URL and branches of a remote; nothing is written if they are right."""
        wanted = {
            f"remote.{name}.url": url,
            f"remote.{name}.fetch": f"+refs/heads/*:refs/remotes/{name}/*",
        }
        for key, value in wanted.items():
            found = self.git.run("config", "--local", "--get-all", key, ok=(0, 1))
            if found != f"{value}\n":
                self.git.run("config", "--local", "--replace-all", key, value)

    def _lock(self) -> int | None:
        while True:
            try:
                return acquire(self.git_dir / "aisio-sync.lock")
            except BlockingIOError:
                if time.monotonic() > self.git.deadline:
                    raise ConflictError(
                        f"another process has been syncing {self.git.folder} all the time"
                    ) from None
            except OSError as error:
                if error.errno not in NO_LOCKS_ERRNOS:
                    raise
                return None
            time.sleep(_POLL_INTERVAL_S)

    def _fallback_identity(self) -> dict[str, str]:
        """Return variables that name a committer, where the user has configured none."""
        variables: dict[str, str] = {}
        for who in ("AUTHOR", "COMMITTER"):
            status, *_ = self.git.attempt("var", f"GIT_{who}_IDENT")
            if status != 0:
                variables |= {f"GIT_{who}_NAME": "aisio", f"GIT_{who}_EMAIL": "aisio@localhost"}
        return variables


def _check_files(git: Git) -> None:
    """Check that the files of an index would all arrive by a push."""
    entries = git.run("ls-files", "-z", "--stage").split("\0")[:-1]
    if not entries:
        raise ConfigError(f"{git.folder} holds no files, or git ignores all of them")
    modules = [_name(entry) for entry in entries if entry.startswith(_SUBMODULE_MODE)]
    if modules:
        raise ConfigError(
            f"{git.folder} has other repositories in it: {first_few(modules)}. A push leaves out "
            "their files. Copy these into the repository, or send the code as an archive"
        )
    pointers = _lfs_pointers(git)
    if pointers:
        raise ConfigError(
            f"{git.folder} keeps files in Git LFS: {first_few(pointers)}. A push sends only "
            "pointers to them. Make them a data set, or send the code as an archive"
        )


def _lfs_pointers(git: Git) -> list[str]:
    """Return the files that are stored in Git LFS, and in the repository as pointers.

    Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    """
    entries = git.run("ls-files", "-z", "--stage", "--", ":(attr:filter=lfs)").split("\0")[:-1]
    blobs = [entry.split(" ")[1] for entry in entries]
    sizes = git.run("cat-file", "--batch-check=%(objectsize)", input_text="\n".join([*blobs, ""]))
    small = (
        (entry, blob)
        for entry, blob, size in zip(entries, blobs, sizes.split(), strict=True)
        if int(size) < _MAX_LFS_POINTER_BYTES
    )
    pointers = (entry for entry, blob in small if _is_pointer(git, blob))
    return [_name(entry) for entry in islice(pointers, _POINTERS_SOUGHT)]


def _is_pointer(git: Git, blob: str) -> bool:
    return git.run("cat-file", "blob", blob).startswith(_LFS_POINTER)


def _name(entry: str) -> str:
    return entry.partition("\t")[2]
