"""Single fields: what they hold, and what is told where they do not."""

from __future__ import annotations

import re
from datetime import date

import pytest

from aisio.catalog.fields import RESOURCE_FIELDS, SOURCE_FIELDS, convert

H = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("ngc", "org/team/name:1.0", "org/team/name:1.0"),
        ("ngc", "org//name:", "org/name"),
        ("ngc", None, None),
        ("pbss", "s3://b/a b?c#d", "s3://b/a b?c#d"),
        ("url", "file:///folder/name", "file:///folder/name"),
        ("url", "https://host:8443/a.tar", "https://host:8443/a.tar"),
        ("mirrors", ["ais://@c#n/b/x", "s3://b/x"], ("ais://@c#n/b/x", "s3://b/x")),
        ("endpoint", "http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("sha256", H.upper(), H.upper()),
        ("sha256", f"sha256:{H}", f"sha256:{H}"),
        ("sha256", "MD5:" + H[:32], "MD5:" + H[:32]),
        ("owner", " A. B. <a.b@host.org> ", "A. B. <a.b@host.org>"),
        ("unpack", False, False),
        ("unpack", None, None),
    ],
)
def test_a_valid_field_of_a_resource_is_accepted(name, said, expected):
    """In its final form: surrounding blanks and empty marks are removed."""
    assert convert(RESOURCE_FIELDS[name], said) == expected


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("urls", ["ais://b/x"], ("ais://b/x",)),
        ("prefix", "ais://b", "ais://b"),
        ("prefix", "ais://b/train-", "ais://b/train-"),
        ("template", "ais://b/train-{000..099}.tar", "ais://b/train-{000..099}.tar"),
        ("template", "ais://b/train-@099.tar", "ais://b/train-@099.tar"),
        ("tar", "ais://b/x.tar", "ais://b/x.tar"),
        ("digest", f"sha256:{H.upper()}", f"sha256:{H}"),
        ("owner", None, None),
    ],
)
def test_a_valid_field_of_a_source_is_accepted(name, said, expected):
    """The same for sources."""
    assert convert(SOURCE_FIELDS[name], said) == expected


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("ngc", "a:b:c", "'a:b:c': expected a target of the form [org/[team/]]name[:version]"),
        ("ngc", 7, "is a number: Expected `str | null`, got `int`; write it in quotes"),
        ("ngc_registry", "other", "is 'other': Invalid enum value 'other'"),
        ("ngc_registry", True, "is true: Expected `str | null`, got `bool`"),
        ("pbss", "https://b/x", "'https': URL scheme should be 's3', as in s3://bucket/name"),
        ("pbss", "s3://b", "'s3://b' names no object"),
        ("pbss", "s3:///x", "'s3:///x' has no bucket"),
        ("url", "imagenet/x", "'imagenet/x' is not a URL"),
        ("url", "ais://b/a/../x", "a name cannot have '.' or '..' as a path element"),
        ("mirrors", ["s3://b/x", "s3://b/"], "'s3://b' names no object"),
        ("mirrors", "s3://b/x", "is 's3://b/x': Expected `array | null`, got `str`"),
        ("mirrors", [["s3://b/x"]], "holds what is no text: Expected `str`, got `array`"),
        ("endpoint", "127.0.0.1:8080", "'127.0.0.1:8080': expected a base URL, as in http://"),
        ("endpoint", "http://host:99999999", "expected a base URL"),
        ("endpoint", "http://host/?a=b", "expected a base URL"),
        ("endpoint", "http://host\n", r"'http://host\n': expected a base URL"),
        ("endpoint", "http://ho\tst", "expected a base URL"),
        ("endpoint", "http://host:", "expected a base URL"),
        ("sha256", int("1" * 64), "is a number: Expected `str | null`, got `int`; write it in qu"),
        ("sha256", 1.5, "is a number: Expected `str | null`, got `float`; write it in quotes"),
        ("sha256", date(2001, 1, 1), "is a date: Expected `str | null`, got `date`; write it in"),
        ("sha256", H[1:], "is no digest: expected 64 hexadecimal digits, not 63 characters"),
        ("sha256", f"{H}\n", "is no digest: expected 64"),
        ("sha256", f"crc:{H}", "no algorithm 'crc': expected one of blake2b, blake2s, md5, sha1"),
        ("owner", None, "is null: Expected `str`, got `null`"),
        ("owner", "Some One", "'Some One': expected name and email address: Name <name@host.org>"),
        ("description", b"x", "is binary: Expected `str | null`, got `bytes`"),
        ("unpack", True, "is true: Input should be False or None (null)"),
        ("decompress", 1, "Input should be False or None (null)"),
        ("decompress", "false", "is 'false': Input should be False or None (null)"),
    ],
)
def test_an_invalid_field_of_a_resource_is_an_error(name, said, expected):
    """The error says what the value is, and what is expected."""
    with pytest.raises(ValueError, match=re.escape(expected)):
        convert(RESOURCE_FIELDS[name], said)


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("urls", [], "is an empty list: expected the URL of at least one object"),
        ("urls", ["ais://b/"], "names no object"),
        ("prefix", "train", "'train' is not a URL"),
        ("prefix", "https://host/a/", "'https://host/a/': a web server has no listings"),
        ("prefix", "ais://b/t-{000..", "'{' has no '}'"),
        ("prefix", "ais://b/**.tar", "'**' stands for whole folders"),
        ("template", "ais://b/t-{0..99999999999999999999}.tar", "20 digits"),
        (
            "template",
            "ais://b/train.tar",
            "has no range, as in train-{000..099}.tar: expected ranges, as in t-{",
        ),
        ("template", "ais://b/t-{9..1}.tar", "{9..1} needs first <= last"),
        (
            "template",
            "ais://b/t-%06d.tar",
            "template 't-%06d.tar' has no end: expected ranges, as in t-{000..099}.tar or t-@099",
        ),
        ("manifest", "ais://b", "names no object"),
        ("etl_name", " ", "is empty: expected a name, or no such field"),
        ("digest", H, "expected sha256: and 64 hexadecimal digits"),
        ("digest", f"md5:{H[:32]}", "expected sha256: and 64 hexadecimal digits"),
        ("extends", "", "is empty: expected a name"),
    ],
)
def test_an_invalid_field_of_a_source_is_an_error(name, said, expected):
    """The same for sources."""
    with pytest.raises(ValueError, match=re.escape(expected)):
        convert(SOURCE_FIELDS[name], said)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (RESOURCE_FIELDS, "pbss"),
        (RESOURCE_FIELDS, "url"),
        (RESOURCE_FIELDS, "endpoint"),
        (SOURCE_FIELDS, "prefix"),
        (SOURCE_FIELDS, "template"),
    ],
)
@pytest.mark.parametrize("scheme", ["s3", "https", "http", "ais"])
def test_a_password_in_a_url_is_refused_and_not_shown(fields, name, scheme):
    """Everyone can read a catalog."""
    with pytest.raises(ValueError, match=r"expected|s3") as caught:
        convert(fields[name], f"{scheme}://user:secret@host/name")
    assert "secret" not in str(caught.value)


def test_long_texts_are_cut_in_messages():
    """The line stays readable."""
    with pytest.raises(ValueError, match=r"^'x{77}\.\.\.'") as caught:
        convert(RESOURCE_FIELDS["owner"], "x" * 100_000)
    assert len(str(caught.value)) < 200
