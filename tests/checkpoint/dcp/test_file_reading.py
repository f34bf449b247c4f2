"""FileReader: ranges of one version of a file; see also `test_reader.py`."""

from __future__ import annotations

import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Event

import pytest
import torch  # noqa: F401 - the package needs it
import xxhash

from aisio.checkpoint.dcp.file_reading import FileReader, RunReading
from aisio.checkpoint.dcp.place import StoreFinder
from aisio.checkpoint.dcp.read_plan import Run
from aisio.checkpoint.dcp.stored_metadata import Item, storage_info
from aisio.errors import IntegrityError, StorageError
from aisio.records import ByteRange, Checksum
from aisio.stores import LocalStore
from aisio.transport.body import Body
from aisio.transport.worker_threads import WorkerThreads
from aisio.urls import ObjectUrl

CONTENT = bytes(range(200))


def reader(folder: Path, least: int = 200, most: int | None = 200) -> FileReader:
    """Return a reader of a file of 200 bytes."""
    (folder / "f").write_bytes(CONTENT)
    return FileReader(StoreFinder(None, None, direct=False).place(folder), "f", least, most)


def test_views_take_the_bytes_in_their_order(tmp_path: Path) -> None:
    """Of a range."""
    views = [memoryview(bytearray(size)) for size in (3, 0, 10, 7)]
    reader(tmp_path).read(50, views, lambda: False)
    assert b"".join(views) == CONTENT[50:70]


def test_a_file_that_is_replaced_meanwhile_is_told(tmp_path: Path) -> None:
    """All ranges are of one version."""
    file, view = reader(tmp_path), [memoryview(bytearray(10))]
    file.read(0, view, lambda: False)
    (tmp_path / "new").write_bytes(CONTENT)
    os.utime(tmp_path / "new", (1, 1))
    (tmp_path / "new").replace(tmp_path / "f")
    with pytest.raises(IntegrityError, match="it was replaced while the checkpoint was loaded"):
        file.read(10, view, lambda: False)


@pytest.mark.parametrize(("least", "most"), [(201, None), (100, 199), (300, 300)])
def test_a_file_of_another_size_is_told(tmp_path: Path, least: int, most: int | None) -> None:
    """Before its bytes are read; also where the range begins behind its end."""
    for start in (0, 250):
        with pytest.raises(IntegrityError, match="not the file that the checkpoint consists of"):
            reader(tmp_path, least, most).read(start, [memoryview(bytearray(5))], lambda: False)


def test_a_read_that_nobody_wants_ends(tmp_path: Path) -> None:
    """Where another one has failed."""
    with pytest.raises(StorageError, match="has failed elsewhere"):
        reader(tmp_path).read(0, [memoryview(bytearray(5))], lambda: True)


def test_a_run_is_read_in_parts(tmp_path: Path) -> None:
    """And each item has its bytes."""
    items = [Item(storage_info("f", start, 40, "", None)) for start in (20, 60, 110)]
    for item in items:
        item.xxh3_64 = None
    run = Run("f", 20, 150, items)
    views = [memoryview(bytearray(size)) for size in (30, 100)]
    reading, threads = RunReading(reader(tmp_path), run, views), WorkerThreads(3, "test")
    reading.begin(threads, 7, lambda: False)
    reading.finish()
    threads.end(cancel=False)
    assert reading.size_bytes == 130
    for item in items:
        assert b"".join(reading.bytes_of(item)) == CONTENT[item.offset : item.stop]


class SummedRanges(LocalStore):
    """Has checksums of ranges. The first of two is wrong, and the second comes late, and wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read_again = Event()

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """See `Store.get`."""
        body = super().get(url, byte_range)
        assert byte_range is not None
        if byte_range == ByteRange(0, 200):
            self.is_read_again.set()
            return body
        body.close()
        if byte_range.start:
            self.is_read_again.wait(0.2)
            return Body(BytesIO(bytes(100)), body.info, 100)
        return Body(BytesIO(bytes(100)), body.info, 100, Checksum("md5", "0" * 32))


def test_no_range_comes_after_the_bytes_were_read_again(tmp_path: Path) -> None:
    """Or it would undo what was compared."""
    (tmp_path / "f").write_bytes(CONTENT)
    place = replace(StoreFinder(None, None, direct=False).place(tmp_path), store=SummedRanges())
    item = Item(storage_info("f", 0, 200, xxhash.xxh3_64_hexdigest(CONTENT), None))
    memory = bytearray(200)
    file, threads = FileReader(place, "f", 200, 200), WorkerThreads(2, "test")
    reading = RunReading(file, Run("f", 0, 200, [item]), [memoryview(memory)])
    reading.begin(threads, 100, lambda: False)
    reading.finish()
    threads.end(cancel=False)
    assert memory == CONTENT
