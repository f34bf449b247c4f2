"""What a safetensors file says of its length."""

from __future__ import annotations

import pytest

from aisio import IntegrityError
from aisio.models.safetensors_header import check_length, header_bytes
from tests.models.models import safetensors_bytes

DATA = safetensors_bytes()


def check(data: bytes) -> None:
    """Check a whole file."""
    check_length(lambda size, start: data[start : start + size], len(data), "ais://b/a")


def test_a_whole_file_is_right() -> None:
    """Also one without tensors, and with metadata."""
    check(DATA)
    text = b'{"__metadata__": {"format": "pt"}}'
    check(len(text).to_bytes(8, "little") + text)


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"\0"])
def test_a_file_of_another_length_is_an_error(data: bytes) -> None:
    """With its URL and both lengths."""
    with pytest.raises(IntegrityError, match=f"ais://b/a.*{len(DATA):,}.*{len(data):,}"):
        check(data)


@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"\xff" * 16])
def test_what_is_no_such_file_is_told(data: bytes) -> None:
    """By its first eight bytes."""
    with pytest.raises(IntegrityError, match="ais://b/a does not begin"):
        header_bytes(data[:8], "ais://b/a")


def test_a_damaged_header_is_told() -> None:
    """It is no JSON, or the JSON of something else."""
    with pytest.raises(IntegrityError, match="header is damaged"):
        check(DATA[:9] + b"\xff" + DATA[10:])
    with pytest.raises(IntegrityError, match="header is damaged"):
        check((2).to_bytes(8, "little") + b"[]")
