"""The code of a task: from the user's directory into a repository, and out of it again.

`sync_code` pushes a directory to a `GitRemote` and returns the commit that is to run. `checkout`
writes the files of that commit into a folder. Without a server, `create_repository` makes the
repository.
"""

from aisio.tasks.code.errors import (
    GitError,
    GitTimeoutError,
    PushRejectedError,
    RequiredLocalCommitError,
)
from aisio.tasks.code.git import git_available
from aisio.tasks.code.remote import GitRemote
from aisio.tasks.code.repositories import checkout, create_repository, find_commit, keep_commit
from aisio.tasks.code.sync import sync_code

__all__ = [
    "GitError",
    "GitRemote",
    "GitTimeoutError",
    "PushRejectedError",
    "RequiredLocalCommitError",
    "checkout",
    "create_repository",
    "find_commit",
    "git_available",
    "keep_commit",
    "sync_code",
]
