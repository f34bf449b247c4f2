"""Text files of objects: modes are checked at once, and text is stored whole or not at all."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from aisio.errors import ConfigError, StorageError
from aisio.transport.text_file import ObjectTextWriter, OpenMode
from aisio.transport.writer import ObjectWriter, WriteOptions
from tests.transport.test_writer import Memory


def mode(text: str, **options: Any) -> OpenMode:
    """Check the arguments of an `open`."""
    return OpenMode.of("b/o", text, **{"encoding": None, "errors": None, "newline": None} | options)


def text_writer(memory: Memory, **options: Any) -> ObjectTextWriter:
    """Open a text file whose parts have four bytes."""
    file = mode("w", **options).writer(memory.open())
    assert isinstance(file, ObjectTextWriter)
    return file


def write_and_raise(file: ObjectTextWriter, *texts: str) -> None:
    """Raise in the block, after some text."""
    with file:
        for text in texts:
            file.write(text)
        raise KeyError("stop")


@pytest.mark.parametrize(
    ("text", "is_writing", "is_text"),
    [
        ("r", False, True),
        ("rt", False, True),
        ("rb", False, False),
        ("br", False, False),
        ("w", True, True),
        ("wt", True, True),
        ("wb", True, False),
    ],
)
def test_modes_are_those_of_open(text: str, is_writing: bool, is_text: bool) -> None:
    """As far as an object can be opened so."""
    how = mode(text)
    assert (how.is_writing, how.is_text) == (is_writing, is_text)


@pytest.mark.parametrize("text", ["", "a", "x", "r+", "rb+", "t", "b", "rw", "rtb", "rr", "U"])
def test_other_modes_are_refused(text: str) -> None:
    """An object can be neither appended to nor changed."""
    with pytest.raises(ConfigError, match="expected 'r', 'rb', 'w' or 'wb'"):
        mode(text)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"encoding": "utf8"}, "encoding: a binary file has none; for text use mode='r'"),
        ({"errors": "ignore", "newline": ""}, "errors, newline: a binary file has none"),
    ],
)
def test_a_binary_file_has_no_encoding(options: dict[str, str], text: str) -> None:
    """An argument that would do nothing is an error."""
    with pytest.raises(ConfigError, match=text):
        mode("rb", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "utf-9"},
        {"encoding": ""},
        {"encoding": "hex"},
        {"errors": "ignroe"},
        {"newline": "\t"},
    ],
)
def test_a_misspelt_argument_is_found_before_anything_is_read(options: dict[str, str]) -> None:
    """Python looks up an error handler only at the first bad character."""
    with pytest.raises(ConfigError, match="open b/o: "):
        mode("r", **options)


def test_text_is_utf_8_whatever_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """The object is read on other machines."""
    monkeypatch.setenv("LC_ALL", "C")
    file = mode("r").reader(io.BufferedReader(io.BytesIO("größer\r\n".encode())))
    assert file.read() == "größer\n"


def test_text_is_stored_when_the_file_is_closed() -> None:
    """Written by print and csv as well, in parts."""
    memory = Memory()
    with text_writer(memory, newline="") as file:
        print("ä,b", file=file)
        csv.writer(file).writerow(["1", "2"])
        assert file.info is None
    assert memory.stored == "ä,b\n1,2\r\n".encode()
    assert file.info is not None
    assert file.info.size_bytes == 10
    assert file.closed


@pytest.mark.parametrize("encoding", ["utf-16", "UTF16", "utf_32", "utf-8-sig", "utf-16-be"])
@pytest.mark.parametrize("texts", [["a", "ü"], ["", "a", ""]])
def test_an_encoding_has_the_mark_that_it_begins_with(
    tmp_path: Path, encoding: str, texts: list[str]
) -> None:
    """Once, as in a file of Python's, which can seek; nothing of text that is empty."""
    memory, path = Memory(), tmp_path / "text"
    with text_writer(memory, encoding=encoding) as file, path.open("w", encoding=encoding) as same:
        for other in (file, same):
            other.writelines(texts)
            assert other.write("b") == 1
    assert memory.stored == path.read_bytes()


def test_nothing_is_stored_if_the_block_raises() -> None:
    """Nor what stands in a buffer."""
    memory = Memory()
    file = text_writer(memory)
    with pytest.raises(KeyError):
        write_and_raise(file, "x" * 10_000)
    assert (memory.stored, memory.aborts, file.closed) == (None, 1, True)


def test_nothing_is_stored_of_text_that_the_encoding_does_not_have() -> None:
    """The error is Python's."""
    memory = Memory()
    with pytest.raises(UnicodeEncodeError):
        write_and_raise(text_writer(memory, encoding="ascii"), "abcdef", "ü")
    assert memory.stored is None


def test_a_file_that_is_dropped_stores_nothing() -> None:
    """With the warning that a binary one gives."""
    memory = Memory()
    file = text_writer(memory)
    file.write("abcdef" * 2_000)
    files = [file]
    del file
    with pytest.warns(ResourceWarning, match="nothing was stored"):
        files.clear()
    assert memory.stored is None


def test_abort_stores_nothing_and_a_closed_file_stays_closed() -> None:
    """To close it afterwards is no error, as for other files."""
    memory = Memory()
    file = text_writer(memory)
    file.write("abc")
    file.abort()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write("d")
    assert memory.stored is None


def test_a_failed_part_is_an_error_at_close_too() -> None:
    """What the buffer holds may be all that is sent."""
    memory = Memory(broken=2)
    file = text_writer(memory)
    file.write("abcdefghijkl")
    with pytest.raises(StorageError, match="no space"):
        file.close()
    assert (memory.stored, file.closed) == (None, True)


def test_an_empty_file_is_stored_on_request() -> None:
    """As a binary one."""
    memory = Memory()
    with pytest.raises(ConfigError, match="allow_empty=True"):
        text_writer(memory).close()
    writer = memory.open(**vars(WriteOptions(allow_empty=True)))
    mode("w").writer(writer).close()
    assert memory.stored == b""


class Interrupted(ObjectWriter):
    """Interrupted at the second write, before it takes the bytes."""

    writes = 0

    def write(self, data: Any, /) -> int:
        """Write, or raise."""
        self.writes += 1
        if self.writes == 2:
            raise KeyboardInterrupt
        return super().write(data)


def test_a_part_is_not_stored_if_the_last_text_cannot_be_written() -> None:
    """Ctrl-C may come at any moment of `close`, and Python closes the writer all the same."""
    memory = Memory()
    file = mode("w").writer(Interrupted("b/o", memory.put, memory, WriteOptions()))
    file.write("x" * 10_000)
    file.write("tail")
    with pytest.raises(KeyboardInterrupt):
        file.close()
    assert (memory.stored, file.closed) == (None, True)
