"""Values that cross rooms: equal by content, frozen, picklable, checked."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from math import inf, nan
from typing import Any

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
    """They go to workers and come back as themselves."""
    again = pickle.loads(pickle.dumps(record))
    assert again == record
    assert again is not record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_are_frozen(record: object) -> None:
    """A shared value that changes is nobody's value."""
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
def test_timeouts_that_cannot_be_meant_are_refused(bad: dict[str, float]) -> None:
    """A rate needs a time over which it is measured."""
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
