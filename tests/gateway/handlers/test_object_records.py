from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import xxhash

from aisio.gateway.handlers.object_records import ObjectRecords
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.records import FileState, Record

BUCKET = BucketName("b")
LARGE = bytes(1 << 20)


class SlowFolder(Folder):
    """A folder that computes checksums when a test releases them.

    Attributes:
        release: Set to let the computations go on.
        computed: The names of the objects whose checksums were computed.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.release = threading.Event()
        self.computed = list[str]()

    def compute_checksum(
        self, bucket: BucketName, name: str, handle: int, state: FileState
    ) -> Record:
        """Wait for the test, then compute."""
        self.release.wait()
        self.computed.append(name)
        return super().compute_checksum(bucket, name, handle, state)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[SlowFolder]:
    """Return a folder with a bucket and two files that are not on record."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "large").write_bytes(LARGE)
    (tmp_path / "b" / "small").write_bytes(b"data")
    folder = SlowFolder(str(tmp_path))
    folder.open()
    yield folder
    folder.release.set()
    folder.close()


async def get(records: ObjectRecords, folder: Folder, name: str) -> Record:
    """Return the record of an object, as a request does."""
    opened = folder.open_object(BUCKET, name)
    with opened.file:
        return await records.get(BUCKET, name, opened)


def test_the_checksum_of_a_large_file_is_computed_once_for_all(folder: SlowFolder) -> None:
    """Meanwhile the event loop handles other requests; later requests find the record."""

    async def main() -> list[Record]:
        records = ObjectRecords(folder)
        requests = [asyncio.create_task(get(records, folder, "large")) for _ in range(4)]
        await asyncio.sleep(0)
        assert not any(request.done() for request in requests)
        folder.release.set()
        results = await asyncio.gather(*requests)
        results.append(await get(records, folder, "large"))
        records.close()
        return results

    results = asyncio.run(main())
    assert {record.checksum for record in results} == {xxhash.xxh64_hexdigest(LARGE, 0)}
    assert folder.computed == ["large"]


def test_a_small_file_is_read_at_once(folder: SlowFolder) -> None:
    """A thread would take longer than the checksum."""
    folder.release.set()

    async def main() -> Record:
        records = ObjectRecords(folder)
        request = asyncio.create_task(get(records, folder, "small"))
        await asyncio.sleep(0)
        assert request.done()
        records.close()
        return request.result()

    assert asyncio.run(main()).checksum == xxhash.xxh64_hexdigest(b"data", 0)


def test_a_request_that_is_cancelled_leaves_the_checksum_to_others(folder: SlowFolder) -> None:
    """It closes its own file, and not the one that the thread reads."""

    async def main() -> Record:
        records = ObjectRecords(folder)
        first = asyncio.create_task(get(records, folder, "large"))
        second = asyncio.create_task(get(records, folder, "large"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        folder.release.set()
        record = await second
        records.close()
        return record

    assert asyncio.run(main()).checksum == xxhash.xxh64_hexdigest(LARGE, 0)


def test_the_event_loop_does_not_wait_for_the_lock(folder: SlowFolder) -> None:
    """While a thread changes names, even a small file's checksum is computed in a thread."""
    folder.release.set()
    records = ObjectRecords(folder)
    held, freed = threading.Event(), threading.Event()

    def hold() -> None:
        with folder.lock:
            held.set()
            assert freed.wait(30), "the event loop waited for the lock"

    async def run() -> Record:
        task = asyncio.create_task(get(records, folder, "small"))
        while "small" not in folder.computed:
            await asyncio.sleep(0)
        freed.set()
        return await task

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    assert asyncio.run(run()).checksum == xxhash.xxh64_hexdigest(b"data")
    thread.join()
    records.close()
