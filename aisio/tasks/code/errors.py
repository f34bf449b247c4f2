"""What can go wrong between a code directory and its remote repository.

Errors of the network and of access are those of `aisio.errors`: AccessError, NotFoundError,
UnavailableError.
"""

from __future__ import annotations

from aisio.errors import AisioError, ConfigError


class GitError(AisioError):
    """A git command failed; the text has the command and what git said."""


class GitTimeoutError(GitError, TimeoutError):
    """A git command did not end within the time limit and was killed."""


class PushRejectedError(GitError):
    """The remote repository refused a push; nothing in it has changed."""


class RequiredLocalCommitError(ConfigError):
    """The code directory has changes that are not committed."""
