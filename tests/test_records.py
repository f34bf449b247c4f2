"""Values that cross rooms: equal by content, frozen, picklable, checked."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from math import inf, nan
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aisio.errors import ConfigError
from aisio.records import (
    ByteRange,
    Checksum,
    ObjectInfo,
    RetryPolicy,
    Settings,
    Timeouts,
    TlsFiles,
    may_be_same_object,
    same_version,
)

RECORDS = [
    Checksum("md5", "00"),
    ObjectInfo("ais://b", "o", 3, Checksum("md5", "00"), "1", "e", 1.5, {"k": "v"}),
    ByteRange(0, 4),
    Timeouts(),
    RetryPolicy(),
    TlsFiles(),
    Settings("http://h", token="t"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_pickle_and_equal_by_content(record: object) -> None:
    """They are sent to workers and come back equal."""
    again = pickle.loads(pickle.dumps(record))
    assert again == record
    assert again is not record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_are_frozen(record: object) -> None:
    """A shared value must not change."""
    name = next(iter(type(record).__annotations__))
    with pytest.raises((AttributeError, FrozenInstanceError)):
        setattr(record, name, None)


def test_an_object_info_knows_its_url() -> None:
    """Root and name make the URL, whatever is in the name."""
    assert ObjectInfo("ais://@c#n/b", "a?b#c/d").url == "ais://@c#n/b/a?b#c/d"


def test_what_a_store_does_not_say_is_none_or_empty() -> None:
    """An unknown size is not a size of zero."""
    info = ObjectInfo("ais://b", "o")
    assert (info.size_bytes, info.checksum, info.version, info.etag) == (None, None, "", "")
    assert (info.mtime_s, info.custom) == (0.0, {})
    assert info.custom is not ObjectInfo("ais://b", "p").custom


@pytest.mark.parametrize(
    ("byte_range", "header"),
    [
        (ByteRange(0, 1), "bytes=0-0"),
        (ByteRange(5, 10), "bytes=5-9"),
        (ByteRange(7), "bytes=7-"),
    ],
)
def test_a_byte_range_writes_its_header(byte_range: ByteRange, header: str) -> None:
    """RFC 9110: the last byte is included; ours, as a slice's, is not."""
    assert str(byte_range) == header


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (-1, None),
        (-1, 5),
        (5, 5),
        (5, 4),
        (0, 0),
        (0.5, 2),
        (0, 2.0),
        (0, 1 << 63),
        (1 << 63, None),
    ],
)
def test_what_is_no_byte_range_is_refused(start: Any, stop: Any) -> None:
    """HTTP has no empty range; numbers are whole, and fit into 63 bits."""
    with pytest.raises(ConfigError, match="not a byte range"):
        ByteRange(start, stop)


@pytest.mark.parametrize(
    "bad",
    [
        *({"attempts": 0}, {"total_s": -1.0}, {"first_wait_s": -0.1}, {"longest_wait_s": -5.0}),
        *({"attempts": nan}, {"total_s": nan}, {"first_wait_s": nan}, {"longest_wait_s": nan}),
    ],
    ids=str,
)
def test_a_retry_policy_that_cannot_work_is_refused(bad: dict[str, float]) -> None:
    """At least one attempt, and no time is negative."""
    with pytest.raises(ConfigError, match="at least 1 and no time negative"):
        RetryPolicy(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        *({"slow_s": 0.0}, {"slow_s": -1.0}, {"slow_s": nan}),
        *({"least_bytes_per_s": -1.0}, {"least_bytes_per_s": nan}),
    ],
    ids=str,
)
def test_invalid_timeouts_are_refused(bad: dict[str, float]) -> None:
    """A low-speed limit needs a time over which the speed is measured."""
    with pytest.raises(ConfigError, match="slow_s must be positive"):
        Timeouts(**bad)


@pytest.mark.parametrize("name", ["connect_s", "read_s"])
@pytest.mark.parametrize("seconds", [0, -1.0, nan, inf])
def test_a_timeout_is_positive(name: str, seconds: float) -> None:
    """None waits for ever."""
    assert Timeouts(connect_s=None, read_s=None).read_s is None
    with pytest.raises(ConfigError, match="connect_s and read_s must be positive"):
        Timeouts(**{name: seconds})


def test_a_token_is_not_shown() -> None:
    """Settings are printed in logs; credentials are not."""
    shown = f"{Settings('http://h', token='s3cret')!r} {Settings('http://h', token='s3cret')}"
    assert "s3cret" not in shown


def info_of(value: str, **changes: Any) -> ObjectInfo:
    """Return what a store says of an object of three bytes with this checksum."""
    return msgspec.structs.replace(BARE, checksum=Checksum("md5", value), **changes)


BARE = ObjectInfo("ais://b", "o", 3)


def test_what_is_not_said_is_no_difference() -> None:
    """A store may give an entity tag in one answer and none in another."""
    nothing = ObjectInfo("ais://b", "o")
    assert same_version(nothing, info_of("00", version="1", etag="e"))
    assert same_version(nothing, nothing)
    assert same_version(info_of("00", etag="e"), info_of("00"))
    assert same_version(info_of("00", etag="e"), msgspec.structs.replace(BARE, etag="e"))
    assert not same_version(info_of("00"), info_of("11"))


@pytest.mark.parametrize("said", [{"version": "1"}, {"etag": "e"}], ids=str)
def test_an_answer_that_does_not_identify_its_object_is_not_trusted(said: dict[str, Any]) -> None:
    """An equal size alone is no proof, where the first answer gave more than that."""
    assert not same_version(msgspec.structs.replace(BARE, **said), BARE)
    assert not same_version(info_of("00"), BARE)


@pytest.mark.parametrize(
    "said", [{"version": "1"}, {"etag": "e"}, {"version": "1", "etag": "e"}], ids=str
)
def test_answers_that_have_nothing_in_common_are_not_of_one_version(said: dict[str, Any]) -> None:
    """One gives a checksum, the other something else: nothing contradicts, and nothing agrees."""
    other = msgspec.structs.replace(BARE, **said)
    assert not same_version(info_of("00"), other)
    assert not same_version(other, info_of("00"))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (BARE, info_of("00"), True),
        (info_of("00", version="1"), info_of("00", version="2"), True),
        (info_of("00"), info_of("11"), False),
        (BARE, msgspec.structs.replace(BARE, size_bytes=4), False),
        (BARE, msgspec.structs.replace(BARE, size_bytes=None), True),
        (info_of("00"), msgspec.structs.replace(BARE, checksum=Checksum("crc32c", "11")), True),
    ],
)
def test_whether_two_answers_can_be_about_one_object(
    first: ObjectInfo, second: ObjectInfo, expected: bool
) -> None:
    """Size and checksum tell, where both answers have them and by the same kind."""
    assert may_be_same_object(first, second) == expected
    assert may_be_same_object(second, first) == expected


def test_certificates_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may change its folder before it connects, and so may a worker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    files = TlsFiles(ca_file="ca.pem", client_cert_file="~/c.pem", client_key_file="/k.pem")
    assert files.ca_file == str(tmp_path / "ca.pem")
    assert files.client_cert_file == "/home/me/c.pem"
    assert files.client_key_file == "/k.pem"
    assert TlsFiles().ca_file is None
