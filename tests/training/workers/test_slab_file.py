"""SlabFile: memory without a name, shared with the processes that this one starts."""

from __future__ import annotations

import gc
import mmap
import multiprocessing
import os
import tempfile
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import pytest

from aisio.training.workers.slab_file import SlabFile

SLOT_BYTES = 1 << 20
METHODS = ("fork", "spawn", "forkserver")


def descriptors() -> set[str]:
    """Return the open descriptors of this process."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def _write(file: SlabFile, ended: Any) -> None:
    file.bytes_of(1)[:5] = b"child"
    ended.set()


@pytest.mark.parametrize("method", METHODS)
def test_a_process_that_is_started_writes_to_it(method: str) -> None:
    """Whichever way it is started."""
    context: Any = multiprocessing.get_context(method)
    file, ended = SlabFile(2, SLOT_BYTES), context.Event()
    process = context.Process(target=_write, args=(file, ended))
    process.start()
    process.join()
    assert ended.is_set()
    assert bytes(file.bytes_of(1)[:5]) == b"child"
    assert bytes(file.slot(1)[:5]) == b"child"


def test_it_has_no_name_and_leaves_no_descriptor() -> None:
    """A mapping and its descriptors are gone with the object."""
    gc.collect()
    before = descriptors()
    file = SlabFile(2, SLOT_BYTES)
    file.bytes_of(0)[:1] = b"x"
    assert "aisio-batches" in Path("/proc/self/maps").read_text()
    del file
    assert descriptors() == before
    assert "aisio-batches" not in Path("/proc/self/maps").read_text()


def test_a_slot_keeps_the_memory_alive() -> None:
    """Views of it are what the trainer keeps."""
    file = SlabFile(2, SLOT_BYTES)
    slot = file.slot(1)
    slot[:4] = b"kept"
    del file
    assert slot[:4] == b"kept"
    del slot
    assert "aisio-batches" not in Path("/proc/self/maps").read_text()


def test_only_what_is_written_takes_memory() -> None:
    """And what is discarded takes none any more, in whole pages."""
    file = SlabFile(4, 1 << 30)
    pages = lambda: os.fstat(file._descriptor).st_blocks * 512 // mmap.PAGESIZE  # noqa: E731
    assert pages() == 0
    file.bytes_of(2)[: 10 * mmap.PAGESIZE] = b"x" * (10 * mmap.PAGESIZE)
    assert pages() == 10
    file.discard(2, 3 * mmap.PAGESIZE + 1, 10 * mmap.PAGESIZE - 1)
    assert pages() == 4
    assert bytes(file.bytes_of(2)[: 4 * mmap.PAGESIZE]) == b"x" * (4 * mmap.PAGESIZE)
    file.discard(2, 4 * mmap.PAGESIZE, mmap.PAGESIZE)
    assert pages() == 4


def test_a_system_that_shares_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no such memory."""
    monkeypatch.delattr(reduction, "DupFd")
    with pytest.raises(OSError, match="no descriptors that processes can share"):
        SlabFile(2, SLOT_BYTES)


def test_a_system_without_memfd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A temporary file that is deleted at once does as well."""
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = SlabFile(2, SLOT_BYTES)
    file.bytes_of(1)[:1] = b"x"
    assert file.slot(1)[:1] == b"x"
    assert list(tmp_path.iterdir()) == []
