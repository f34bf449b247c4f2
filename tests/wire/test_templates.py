"""Templates: one line that stands for many names, by AIStore's rules."""

from __future__ import annotations

import importlib.util
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import UrlError
from aisio.wire.templates import MAX_NAMES, parse_template

needs_sdk = pytest.mark.skipif(
    importlib.util.find_spec("aistore") is None, reason="the official client is not installed"
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0..2}", ["0", "1", "2"]),
        ("s-{000..003}.tar", ["s-000.tar", "s-001.tar", "s-002.tar", "s-003.tar"]),
        ("{000..004..2}", ["000", "002", "004"]),
        ("{000..005..2}", ["000", "002", "004"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{08..11}", ["08", "09", "10", "11"]),
        ("{5..5}", ["5"]),
        ("a{0..1}b{07..08}c", ["a0b07c", "a0b08c", "a1b07c", "a1b08c"]),
        ("{0..1}{0..1}", ["00", "01", "10", "11"]),
        ("at@x-%d-{1..2}", ["at@x-%d-1", "at@x-%d-2"]),
        ("s-@02.tar", ["s-00.tar", "s-01.tar", "s-02.tar"]),
        ("@1-@01", ["0-00", "0-01", "1-00", "1-01"]),
        ("a@b-@1", ["a@b-0", "a@b-1"]),
    ],
)
def test_names_come_in_order(text: str, names: list[str]) -> None:
    """Both ends are included, the last range runs fastest, zeros are kept."""
    template = parse_template(text)
    assert list(template.names()) == names
    assert template.count == len(names)


def test_the_narrower_number_gives_the_width() -> None:
    """As AIStore has it: `digitCount = min(len(first), len(last))`, cmn/cos/template.go."""
    assert list(parse_template("{000..2}").names()) == ["0", "1", "2"]
    assert next(parse_template("{0..100}").names()) == "0"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("s-%03d.tar", ["s-000.tar", "s-001.tar"]),
        ("%d", ["0", "1"]),
        ("s-%06d", ["s-000000", "s-000001"]),
    ],
)
def test_the_fmt_style_needs_a_count(text: str, names: list[str]) -> None:
    """It has no end of its own."""
    assert list(parse_template(text, count=2).names()) == names


def test_a_template_yields_names_one_at_a_time() -> None:
    """The largest allowed template is counted without making its names."""
    template = parse_template(f"{{0..{MAX_NAMES - 1}}}")
    assert template.count == MAX_NAMES
    assert next(template.names()) == "0"


def test_a_template_pickles_and_equals_itself() -> None:
    """A group of objects is sent to workers."""
    template = parse_template("s-{000..099..3}.tar")
    assert pickle.loads(pickle.dumps(template)) == template
    assert hash(template) == hash(parse_template("s-{000..099..3}.tar"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no range"),
        ("train-", "has no range"),
        ("100%", "has no range"),
        ("user@host", "has no range"),
        ("{5..1}", "first <= last"),
        ("{0..9..0}", "step >= 1"),
        ("{a..z}", "in digits"),
        ("{-1..3}", "in digits"),
        ("{0..1", "in digits"),
        ("{0..1..2..3}", "in digits"),
        ("{0..1}-{x}", "in digits"),
        ("{0..10000000}", "makes 10,000,001 names"),
        ("{0..9999}{0..9999}", "makes 100,000,000 names"),
        ("@10000000", "makes 10,000,001 names"),
        ("%d", "count="),
        ("%d-%d", "one '%' only"),
        ("100%-%d", "one '%' only"),
    ],
)
def test_invalid_templates_are_refused(text: str, why: str) -> None:
    """The error quotes the template and says what is wrong with it."""
    with pytest.raises(UrlError, match=why) as caught:
        parse_template(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "count"), [("%d", 0), ("%d", -1), ("%d", 1.5), ("{0..9}", 5), ("@9", 5)]
)
def test_an_invalid_count_is_refused(text: str, count: Any) -> None:
    """Only one style takes a count, and it is at least 1."""
    with pytest.raises(UrlError, match="count="):
        parse_template(text, count=count)


@given(
    first=st.integers(0, 300),
    length=st.integers(0, 40),
    step=st.integers(1, 9),
    width=st.integers(1, 6),
)
def test_a_range_is_pythons_range(first: int, length: int, step: int, width: int) -> None:
    """For any numbers, step and width."""
    last = first + length
    text = f"p{{{first:0{width}d}..{last:0{width}d}..{step}}}s"
    wide = min(len(f"{first:0{width}d}"), len(f"{last:0{width}d}"))
    expected = [f"p{number:0{wide}d}s" for number in range(first, last + 1, step)]
    assert list(parse_template(text).names()) == expected


@needs_sdk
@given(first=st.integers(0, 99), length=st.integers(1, 30), step=st.integers(1, 5))
def test_the_official_client_makes_the_same_names(first: int, length: int, step: int) -> None:
    """Its ObjectRange and ObjectTemplate are the reference where the styles overlap."""
    from aistore.sdk.multiobj import ObjectRange, ObjectTemplate

    last = first + length
    theirs = ObjectRange("s-", first, last, pad_width=3, step=step, suffix=".tar")
    text = f"s-{{{first:03d}..{last:03d}..{step}}}.tar"
    assert list(parse_template(text).names()) == list(theirs) == list(ObjectTemplate(text))


@needs_sdk
def test_the_official_client_multiplies_ranges_in_the_same_order() -> None:
    """Several ranges: the last one runs fastest."""
    from aistore.sdk.multiobj import ObjectTemplate

    text = "a-{0..2}-b-{00..12..4}.tar"
    assert list(parse_template(text).names()) == list(ObjectTemplate(text))
