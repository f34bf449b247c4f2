"""Refusals for errors of the file system: what a client can mend, and what stays an error."""

from __future__ import annotations

import errno
import os

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.storage.file_refusals import (
    being_written,
    cannot_open,
    cannot_store,
    is_not_found,
    link_escapes,
    object_changed,
)

URL = "ais://b/o"


def error_of(number: int) -> OSError:
    """Return an error as the system raises it."""
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (errno.ENOENT, 404, "does not exist"),
        (errno.ENOTDIR, 404, "does not exist"),
        (errno.ELOOP, 404, "does not exist"),
        (errno.EACCES, 403, "may not read this file"),
        (errno.EPERM, 403, "may not read this file"),
        (errno.ENAMETOOLONG, 400, "too long for this file system"),
    ],
)
def test_an_object_that_cannot_be_opened_is_refused(number: int, status: int, message: str) -> None:
    """With its URL, and the reason in terms of objects."""
    refusal = cannot_open(URL, error_of(number))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.message.startswith(URL)) == (status, True)
    assert message in refusal.message
    assert is_not_found(error_of(number)) == (status == 404)


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (errno.EEXIST, 400, "contains an object in its path"),
        (errno.ENOTDIR, 400, "contains an object in its path"),
        (errno.EISDIR, 400, "there are objects below o/"),
        (errno.ENOTEMPTY, 400, "there are objects below o/"),
        (errno.ENAMETOOLONG, 400, "too long for this file system"),
        (errno.EXDEV, 501, "on another file system"),
    ],
)
def test_an_object_that_cannot_be_stored_is_refused(number: int, status: int, message: str) -> None:
    """With its URL, and what is in the way."""
    refusal = cannot_store(URL, "o", error_of(number))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.message.startswith(URL)) == (status, True)
    assert message in refusal.message


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EMFILE])
def test_other_errors_stay_what_they_are(number: int) -> None:
    """A broken or full disk is not the request's fault."""
    error = error_of(number)
    assert cannot_open(URL, error) is error
    assert cannot_store(URL, "o", error) is error
    assert not is_not_found(error)


def test_refusals_without_a_system_error() -> None:
    """A conflict can be tried again; a link that leads out cannot."""
    refusals = [object_changed(URL), being_written(URL), link_escapes(URL)]
    assert [refusal.status for refusal in refusals] == [409, 409, 403]
    assert all(refusal.message.startswith(URL) for refusal in refusals)
