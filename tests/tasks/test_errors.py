"""Errors of tasks: the vendor's names, in aisio's tree."""

from __future__ import annotations

import pytest

from aisio.errors import AccessError, AisioError, ConfigError, NotSupportedError
from aisio.tasks import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_each_is_made_of_one_text(name):
    """As all errors of aisio are: a worker hands them to its parent so."""
    error = getattr(errors, name)("what, where, what to do")
    assert isinstance(error, AisioError)
    assert isinstance(error, errors.AnyLearnException)
    assert str(error) == "what, where, what to do"


def test_they_are_what_they_mean():
    """Whoever handles aisio's errors handles these."""
    assert issubclass(errors.AnyLearnAuthException, AccessError)
    assert issubclass(errors.AnyLearnMissingParamException, ConfigError)
    assert issubclass(errors.AnyLearnNotSupportedException, NotSupportedError)
    assert issubclass(errors.InvalidArguments, ConfigError)


def test_no_password_is_shown():
    """A URL may hold one."""
    assert "secret" not in str(errors.ResourceError("push to https://me:secret@host/x failed"))
