"""OpenedFile: the header in one request, the bytes of one version, and all of them verified."""

from __future__ import annotations

import os
import threading
import warnings

import pytest
import torch  # noqa: F401 - the package needs it

from aisio.checkpoint.safetensors.opened_file import FIRST_BYTES, OpenedFile, Reach
from aisio.errors import CheckpointError, ConfigError, IntegrityError, NotFoundError
from aisio.records import ByteRange
from tests.checkpoint.safetensors.stored import URL, CountingStore, data_of, file_of

MIB = 1024 * 1024
LARGE = file_of({"a": 3 * MIB, "b": 2 * MIB})


def read_all(file: OpenedFile) -> bytes:
    """Read all tensors."""
    data = bytearray(file.header.data_bytes)
    file.read_into(memoryview(data), 0)
    return bytes(data)


def test_a_small_file_takes_one_request() -> None:
    """Of its header and everything."""
    store = CountingStore({URL.name: file_of({"a": 1000, "b": 0}, {"k": "v"})})
    with store.open_file() as file:
        assert file.header.metadata == {"k": "v"}
        assert read_all(file) == data_of("a", 1000)
    assert store.ranges == [ByteRange(0, FIRST_BYTES)]
    assert file.is_closed


def test_no_byte_of_a_large_file_is_read_twice() -> None:
    """The first request has the header and what is behind it."""
    store = CountingStore({URL.name: LARGE})
    with store.open_file() as file:
        assert len(store.ranges) == 1
        assert read_all(file) == data_of("a", 3 * MIB) + data_of("b", 2 * MIB)
    sizes = [(one.stop or 0) - one.start for one in store.ranges if one]
    assert (sum(sizes), len(sizes)) == (len(LARGE), 4)


def test_a_header_that_is_longer_than_the_first_request() -> None:
    """Is read on."""
    data = file_of({f"{'n' * 200}{number:05d}": 3 for number in range(4000)})
    store = CountingStore({URL.name: data})
    with store.open_file() as file:
        assert len(file.header.tensors) == 4000
        assert read_all(file) == data[-12_000:]
    assert sum((one.stop or 0) - one.start for one in store.ranges if one) == len(data)


def test_a_damaged_byte_is_told() -> None:
    """By the checksum, if all bytes are read in order: in the first response or in a later one."""
    store = CountingStore({URL.name: LARGE})
    for offset in (1000, len(LARGE) - 5):
        store.damaged = (offset,)
        with (
            store.open_file() as file,
            pytest.raises(IntegrityError, match="checksum of its bytes is"),
        ):
            read_all(file)


def test_checksums_of_ranges_are_not_taken_for_that_of_the_object() -> None:
    """A bucket can be set up to send them."""
    store = CountingStore({URL.name: LARGE})
    store.sums_ranges = True
    with store.open_file() as file:
        assert read_all(file) == data_of("a", 3 * MIB) + data_of("b", 2 * MIB)


def test_a_replaced_file_is_told() -> None:
    """Its bytes are never mixed with the old ones."""
    store = CountingStore({URL.name: LARGE})
    with store.open_file() as file:
        store.version = "2"
        with pytest.raises(IntegrityError, match="the object was replaced while it was open"):
            file.read_into(memoryview(bytearray(100)), 4 * MIB)
        store.objects[URL.name] = b"smaller"
        with pytest.raises(IntegrityError, match="the object was replaced while it was open"):
            file.read_into(memoryview(bytearray(100)), 4 * MIB)


@pytest.mark.parametrize("data", [b"", b"1234567", b"no safetensors file at all"])
def test_what_is_no_file_is_told(data: bytes) -> None:
    """With its URL; the same for what is empty, for which a store refuses the range."""
    with pytest.raises(CheckpointError, match=f"^{URL} is not a sound safetensors file: "):
        CountingStore({URL.name: data}).open_file()
    with pytest.raises(NotFoundError):
        CountingStore({}).open_file()


def test_threads_share_a_file() -> None:
    """Each gets its own bytes."""
    store = CountingStore({URL.name: LARGE})
    wrong: list[int] = []
    with store.open_file() as file:

        def read(number: int) -> None:
            for start in range(number * 1000, 5 * MIB - 700_000, 900_001):
                data = bytearray(700_000)
                file.read_into(memoryview(data), start)
                if data != LARGE[-5 * MIB :][start : start + 700_000]:
                    wrong.append(start)

        threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_forked_child_reads_by_itself() -> None:
    """Also where a thread of its parent was reading at the fork."""
    store, begun, may_go_on = CountingStore({URL.name: LARGE}), threading.Event(), threading.Event()
    with store.open_file() as file:
        parent = os.getpid()

        def wait(byte_range: object) -> None:
            if os.getpid() == parent:
                begun.set()
                may_go_on.wait()

        store.before = wait
        reading = threading.Thread(target=file.read_into, args=(memoryview(bytearray(9)), 4 * MIB))
        reading.start()
        begun.wait()
        child = _fork(file)
        may_go_on.set()
        reading.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _fork(file: OpenedFile) -> int:

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            data = bytearray(1000)
            file.read_into(memoryview(data), 4 * MIB)
            status = int(data != LARGE[-MIB : -MIB + 1000])
        finally:
            os._exit(status)
    return child


def test_settings_are_checked() -> None:
    """When they are given."""
    with pytest.raises(ConfigError, match="concurrency=0: expected a whole number of at least 1"):
        Reach(None, None, direct=False, concurrency=0)
