"""ThreadedFileSystem: calls run at once in threads, and no more of them than is said."""

from __future__ import annotations

import asyncio
import threading

import fsspec  # noqa: F401 - the package imports it

from aisio.integrations.fsspec.threaded import ThreadedFileSystem


def test_calls_run_at_once() -> None:
    """In as many threads as there may be."""
    fs = ThreadedFileSystem(2, asynchronous=True, skip_instance_cache=True)
    meeting = threading.Barrier(2)

    async def run() -> list[int]:
        return await asyncio.gather(*[fs._run(meeting.wait, timeout=60) for _ in range(4)])

    assert sorted(asyncio.run(run())) == [0, 0, 1, 1]
