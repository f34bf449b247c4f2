"""ObjectWriter: parts of one size, and nothing is stored unless it is closed without an error."""

from __future__ import annotations

import gc
import io
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aisio.errors import ConfigError, StorageError
from aisio.records import ObjectInfo
from aisio.transport.writer import MAX_PARTS, ObjectWriter, Upload, WriteOptions


class Memory(Upload):
    """Keeps the parts; the part with number `broken` fails."""

    def __init__(self, broken: int = 0) -> None:
        self.parts: list[bytes] = []
        self.stored: bytes | None = None
        self.aborts = 0
        self.broken = broken

    def send(self, buffer: memoryview, size_bytes: int) -> memoryview:
        if len(self.parts) + 1 == self.broken:
            raise StorageError("PUT b/o: no space", url="b/o")
        self.parts.append(bytes(buffer[:size_bytes]))
        return memoryview(bytearray(len(buffer)))

    def finish(self) -> ObjectInfo:
        return self.put(memoryview(b"".join(self.parts)))

    def put(self, data: memoryview) -> ObjectInfo:
        """Store all data by one request."""
        self.stored = bytes(data)
        return ObjectInfo("b", "o", len(data))

    def abort(self) -> None:
        self.aborts += 1

    def open(self, **options: Any) -> ObjectWriter:
        """Open a writer whose parts have four bytes."""
        return ObjectWriter("b/o", self.put, self, WriteOptions(**{"part_bytes": 4, **options}))


def write_and_raise(file: ObjectWriter, size_bytes: int) -> None:
    """Raise in the block, after some bytes."""
    with file:
        file.write(bytes(size_bytes))
        raise KeyError("stop")


@pytest.mark.parametrize(
    ("size", "parts"), [(1, []), (4, []), (5, [4, 1]), (8, [4, 4]), (9, [4, 4, 1])]
)
@pytest.mark.parametrize("piece", [1, 3, 100])
def test_parts_are_of_one_size(size: int, parts: list[int], piece: int) -> None:
    """Whatever the pieces are; what fits into one part is stored by one request."""
    memory, data = Memory(), bytes(range(size))
    with memory.open() as file:
        for start in range(0, size, piece):
            file.write(data[start : start + piece])
        assert not memory.stored
    assert (memory.stored, [len(part) for part in memory.parts]) == (data, parts)
    assert (file.info, memory.aborts) == (ObjectInfo("b", "o", size), 0)


def test_bytes_are_those_at_the_time_of_the_write() -> None:
    """The caller may use its memory again."""
    memory, buffer = Memory(), bytearray(b"abcdef")
    with memory.open() as file:
        file.write(buffer)
        buffer[:] = b"xxxxxx"
    assert memory.stored == b"abcdef"


def test_any_bytes_like_object_is_written() -> None:
    """Also of items of several bytes, and with gaps between them."""
    memory, numbers = Memory(), memoryview(bytes(range(8))).cast("H")
    with memory.open() as file:
        assert (file.write(numbers), file.write(memoryview(b"a-b-")[::2])) == (8, 2)
        file.writelines([b"y", bytearray(b"z")])
        with pytest.raises(TypeError, match="bytes-like"):
            file.write("text")
    assert memory.stored == bytes(range(8)) + b"abyz"


def test_it_is_a_file_that_is_only_written() -> None:
    """And says in words what it cannot do."""
    file = Memory().open()
    assert (file.writable(), file.readable(), file.seekable(), file.closed) == (
        True,
        False,
        False,
        False,
    )
    with pytest.raises(io.UnsupportedOperation, match="b/o: an object is written from start to en"):
        file.seek(0)
    for call in (file.read, file.fileno, file.truncate, file.detach):
        with pytest.raises(io.UnsupportedOperation):
            call()
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(file)
    file.abort()


def test_a_closed_file_refuses() -> None:
    """As files of io do; a second close does nothing."""
    memory = Memory()
    with memory.open() as file:
        file.write(b"a")
    memory.stored = None
    file.close()
    calls: list[Callable[[], object]] = [lambda: file.write(b"b"), file.tell, file.flush]
    for call in calls:
        with pytest.raises(ValueError, match="of a closed file"):
            call()
    assert memory.stored is None


def test_nothing_written_is_an_error() -> None:
    """An empty object is stored only where that was said."""
    memory = Memory()
    with pytest.raises(ConfigError, match="b/o: nothing was written, .* pass allow_empty=True"):
        memory.open().close()
    assert memory.stored is None
    memory.open(allow_empty=True).close()
    assert memory.stored == b""


@pytest.mark.parametrize("size", [2, 12])
def test_an_exception_in_the_block_stores_nothing(size: int) -> None:
    """It is raised as it is; parts that were sent are dropped."""
    memory = Memory()
    file = memory.open()
    with pytest.raises(KeyError, match="stop"):
        write_and_raise(file, size)
    assert (memory.stored, memory.aborts) == (None, int(size > 4))
    file.close()
    assert memory.stored is None


def test_a_writer_that_is_dropped_stores_nothing() -> None:
    """With a warning, also if it is part of a reference cycle."""
    memory = Memory()
    file = memory.open()
    file.write(bytes(12))
    vars(file)["cycle"] = [file]
    del file
    with pytest.warns(ResourceWarning, match="b/o: a writer was dropped without being closed"):
        gc.collect()
    assert (memory.stored, memory.aborts) == (None, 1)


def test_after_a_failed_write_nothing_is_stored() -> None:
    """Whoever goes on all the same is told again, when closing at the latest."""
    memory = Memory(broken=2)
    file = memory.open()
    file.write(bytes(8))
    with pytest.raises(StorageError, match="no space"):
        file.write(bytes(8))
    with pytest.raises(StorageError, match="b/o: nothing was stored, because a write failed: PUT"):
        file.write(b"a")
    with pytest.raises(StorageError, match="nothing was stored, because a write failed"):
        file.close()
    assert file.closed
    assert memory.stored is None
    assert memory.aborts == 1


def test_there_is_a_most_of_parts() -> None:
    """It is told before the store refuses."""
    memory = Memory()
    with (
        pytest.raises(ConfigError, match=r"more than 9,999 parts of 1 bytes: .* larger part_bytes"),
        memory.open(part_bytes=1) as file,
    ):
        file.write(bytes(MAX_PARTS + 2))
    assert (len(memory.parts), memory.stored, memory.aborts) == (MAX_PARTS, None, 1)


@pytest.mark.parametrize("options", [{"part_bytes": 0}, {"concurrency": 0}, {"part_bytes": 1.5}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    """The message names the argument."""
    with pytest.raises(ConfigError, match=f"{next(iter(options))}=.*: expected a whole number"):
        WriteOptions(**options)


def test_threads_may_share_it() -> None:
    """Each write is one piece."""
    memory = Memory()
    with memory.open() as file:
        pieces = [bytes([number]) * 7 for number in range(8)]
        threads = [threading.Thread(target=file.write, args=(piece,)) for piece in pieces]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert memory.stored is not None
    assert {memory.stored[start : start + 7] for start in range(0, 56, 7)} == set(pieces)


def _use_in_child(file: ObjectWriter, memory: Memory) -> None:
    for call in (lambda: file.write(b"child"), file.close):
        with pytest.raises(StorageError, match="writing b/o was begun before the fork"):
            call()
    assert (memory.stored, memory.aborts) == (None, 0)


def test_a_forked_child_neither_writes_nor_stores_nor_aborts() -> None:
    """The writer is its parent's."""
    memory = Memory()
    with memory.open() as file:
        file.write(bytes(12))
        child = multiprocessing.get_context("fork").Process(
            target=_use_in_child, args=(file, memory)
        )
        child.start()
        child.join()
        assert child.exitcode == 0
    assert memory.stored == bytes(12)


class _Waiting(Memory):
    """Its first part is under way until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def send(self, buffer: memoryview, size_bytes: int) -> memoryview:
        self.begun.set()
        self.go_on.wait()
        return super().send(buffer, size_bytes)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_during_a_write_does_not_hang() -> None:
    """The thread that writes, and holds the lock, does not exist in the child."""
    memory = _Waiting()
    with memory.open() as file:
        writing = threading.Thread(target=file.write, args=(bytes(12),))
        writing.start()
        memory.begun.wait()
        child = multiprocessing.get_context("fork").Process(
            target=_use_in_child, args=(file, memory)
        )
        child.start()
        child.join(10)
        exitcode = child.exitcode
        child.kill()
        child.join()
        memory.go_on.set()
        writing.join()
    assert exitcode == 0
    assert memory.stored == bytes(12)
