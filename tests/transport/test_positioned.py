"""PositionedReader: seek and tell as in io; see test_seekable and test_read_ahead for reads."""

from __future__ import annotations

import io

import pytest

from aisio.errors import IntegrityError
from aisio.records import ObjectInfo
from aisio.transport.positioned import PositionedReader


def test_seek_and_tell() -> None:
    """From the start, the position and the end."""
    file = PositionedReader(ObjectInfo("b", "o", 10))
    assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
    assert [file.seek(3), file.seek(2, io.SEEK_CUR), file.seek(-1, io.SEEK_END), file.tell()] == [
        3,
        5,
        9,
        9,
    ]
    assert file.seek(99) == 99
    for offset, whence in ((-1, 0), (-11, 2), (0, 7)):
        with pytest.raises(ValueError, match="b/o: "):
            file.seek(offset, whence)
    file.close()
    with pytest.raises(ValueError, match="b/o: tell of a closed file"):
        file.tell()


def test_a_size_is_needed() -> None:
    """The message says what works without."""
    with pytest.raises(IntegrityError, match="b/o: the store does not say how many bytes"):
        PositionedReader(ObjectInfo("b", "o"))
