"""Errors of code and its repositories: caught by what they are about."""

from __future__ import annotations

import pytest

from aisio.errors import AisioError, ConfigError
from aisio.tasks.code import errors


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (errors.GitError, (AisioError,)),
        (errors.GitTimeoutError, (errors.GitError, TimeoutError)),
        (errors.PushRejectedError, (errors.GitError,)),
        (errors.RequiredLocalCommitError, (ConfigError, ValueError)),
    ],
)
def test_each_error_is_made_of_one_string(error, bases) -> None:
    """And of the kinds that callers catch."""
    raised = error("git push failed")
    assert str(raised) == "git push failed"
    assert isinstance(raised, bases)
