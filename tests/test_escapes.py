"""Escapes: what a terminal or a log would obey is shown instead."""

from __future__ import annotations

import logging
import pickle

import pytest

from aisio.errors import NotFoundError, UnavailableError
from aisio.escapes import SURROGATE_ESCAPES, first_and_count, first_few, one_line, visible
from aisio.records import RetryPolicy
from aisio.transport.retries import Attempts, Waiter


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Grüße 日本 😀", "plain Grüße 日本 😀"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("a\u202eb\u2028c\u2066", r"a\u202eb\u2028c\u2066"),
        ("a\udcff\udc80", r"a\xff\x80"),
        ("a\ud800", r"a\ud800"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    """All other text stays, and a second pass changes nothing."""
    assert visible(text) == one_line(text) == visible(shown) == shown


def test_line_breaks_stay_in_text_of_several_lines() -> None:
    """Tracebacks have line breaks and tabs; names do not."""
    assert visible("a\n\tb\r") == "a\n\tb\\r"
    assert one_line("a\n\tb\r") == r"a\n\tb\r"


def test_what_is_kept_stays():
    """Local names that are not UTF-8 pass a pipe byte for byte."""
    text = "a\udce9\ud800\t\n"
    assert one_line(text, keep=SURROGATE_ESCAPES | {"\t"}) == "a\udce9\\ud800\t\\n"


def test_errors_show_names_on_one_line() -> None:
    """A name cannot forge a line of a log; the attribute url stays unchanged."""
    url = "ais://b/a\nERROR: all is lost\x1b[2J"
    error = NotFoundError(f"GET {url}: 404 gone\x07", url=url)
    assert str(error) == r"GET ais://b/a\nERROR: all is lost\x1b[2J: 404 gone\x07"
    assert error.url == url
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_out_of_a_worker_keeps_its_lines() -> None:
    """In the parent process the text is the worker's traceback."""
    assert str(NotFoundError("Caught in worker 0.\nTraceback:\n  x")).count("\n") == 2


def test_logged_retries_are_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """They show the error that they are about."""
    caplog.set_level(logging.INFO)
    attempts = Attempts(RetryPolicy(), Waiter(lambda: 0.0, lambda _: None))
    attempts.failed(UnavailableError("GET ais://b/\x1b[2J\n: 503", url="ais://b/\x1b[2J\n"))
    assert r"ais://b/\x1b[2J\n: 503; trying again" in caplog.text


def test_long_lists_are_shown_by_their_first_items() -> None:
    """A list of just so many items is whole."""
    assert first_few([]) == ""
    assert first_few("abc") == "a, b, c"
    assert first_few(range(5)) == "0, 1, 2, ..."
    assert first_few(range(5), 4) == "0, 1, 2, 3, ..."
    assert first_and_count([]) == ""
    assert first_and_count("abc") == "a, b, c"
    assert first_and_count(range(2000), 1) == "0 and 1,999 more"
