"""A line in the log for each request to OSS."""

from __future__ import annotations

import logging

import pytest

from aisio.errors import NotFoundError, UnavailableError
from aisio.stores.oss.request_log import logged

HEADERS = {"Authorization": "the-signature", "Range": "bytes=0-9"}


def test_oss_34_a_line_has_what_was_asked_for_and_the_status(caplog) -> None:
    """With query and range, in one line, and without what signs it."""
    caplog.set_level(logging.INFO, "aisio.requests")
    with logged("GET", "oss://bucket/a\nb", "", HEADERS) as answered:
        answered(206)
    with logged("GET", "oss://bucket", "list-type=2", {}) as answered:
        answered(200)
    assert caplog.messages == [
        "GET oss://bucket/a\\nb bytes=0-9 206",
        "GET oss://bucket?list-type=2 200",
    ]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (NotFoundError("none", status=404), "404"),
        (UnavailableError("refused"), "UnavailableError"),
    ],
)
def test_oss_34_an_error_is_logged_and_passed_on(caplog, error: Exception, shown: str) -> None:
    """By its status, or by its kind where there was no answer."""
    caplog.set_level(logging.INFO, "aisio.requests")
    with pytest.raises(type(error)), logged("PUT", "oss://bucket/a", "", {}):
        raise error
    assert caplog.messages == [f"PUT oss://bucket/a {shown}"]


def test_by_default_nothing_is_logged(caplog) -> None:
    """The level is INFO."""
    with logged("GET", "oss://bucket/a", "", HEADERS) as answered:
        answered(200)
    assert caplog.messages == []
