"""Work on many items, of which some fail."""

from __future__ import annotations

import errno

import pytest

from aisio.cli.failure_collector import FailureCollector
from aisio.errors import AisioError, NotFoundError, StorageError, UnavailableError


def do(work, *errors):
    """Work on items that fail with these errors, in order; None is success."""
    for number, error in enumerate(errors):
        with work.collect(f"thing {number}"):
            if error:
                raise error


def test_failures_are_reported_and_summed_up(capsys):
    """Each once; the summary names the first few."""
    work = FailureCollector("things")
    do(work, None, NotFoundError("thing 1 is gone"), OSError("broken"), *[AisioError("no")] * 9)
    with pytest.raises(AisioError) as caught:
        work.raise_if_any()
    expected = "thing 1, thing 2, thing 3, thing 4, thing 5, ..."
    assert str(caught.value) == f"11 of 12 things failed: {expected}"
    assert capsys.readouterr().err.splitlines()[:3] == [
        "aisio: error: thing 1 is gone",
        "aisio: error: thing 2: broken",
        "aisio: error: thing 3: no",
    ]


def test_nothing_is_said_where_all_went_well(capsys):
    """The status is 0."""
    work = FailureCollector("things")
    do(work, None, None)
    work.raise_if_any()
    assert (work.attempted, capsys.readouterr().err) == (2, "")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        StorageError("the store is out of space", status=507),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        NotFoundError("no bucket"),
        KeyError("bug"),
    ],
)
def test_an_error_that_would_repeat_ends_the_work(error):
    """A full disk, a pipe without a reader, an error that the caller names, and bugs."""
    with pytest.raises(type(error)):
        do(FailureCollector("things", fatal=(NotFoundError,)), error)


def test_an_unavailable_store_is_not_tried_for_each_item():
    """Each try takes as long as all its retries do."""
    error = UnavailableError("no answer")
    do(FailureCollector("things"), error, error, None, error, error)
    with pytest.raises(UnavailableError):
        do(FailureCollector("things"), error, error, error)
    do(FailureCollector("things", max_unavailable=None), error, error, error, error)
