"""Freed memory is kept for the next batch, not given back to the system and asked for again."""

from __future__ import annotations

import platform
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
import torch  # noqa: F401 - the datasets need it

from aisio import AISIterDataset, AISMapDataset, AISShardDataset, AISShardReader, ShardWriter
from aisio.freed_memory import keep_freed_memory

FAULTS = """
import resource, sys
from aisio.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def make_batches(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        batch = [bytes([1]) * 70_000 for _ in range(300)]
        del batch
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
make_batches(2)
print(make_batches(20))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="objects do not come from glibc",
)
def test_batches_use_the_same_memory_again() -> None:
    """Otherwise each of these 20 takes 5,000 new pages."""
    faults = {
        way: int(subprocess.check_output([sys.executable, "-c", FAULTS, way]))
        for way in ("keep", "as it is")
    }
    assert faults["keep"] < 1_000 < faults["as it is"]


AGAIN = """
import os, resource
from aisio.freed_memory import keep_freed_memory
keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    keep_freed_memory()
if not os.fork():
    keep_freed_memory()
    os._exit(0)
os.wait()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt)
"""


def test_it_is_done_once_in_a_process_and_its_forks() -> None:
    """Another block would be of the heap, and all of its 8,000 pages written."""
    own, forked = map(int, subprocess.check_output([sys.executable, "-c", AGAIN]).split())
    assert own < 1_000
    assert forked < 2_000


@pytest.mark.parametrize("kind", [AISIterDataset, AISMapDataset, AISShardDataset, AISShardReader])
def test_datasets_have_it_kept(kind: Callable[[str], object], tmp_path: Path) -> None:
    """So that batches which torch's DataLoader receives need no new pages either."""
    with ShardWriter(f"file://{tmp_path}") as writer:
        writer.write({"__key__": "1", "cls": 1})
    keep_freed_memory.cache_clear()
    kind(f"file://{tmp_path}/")
    assert keep_freed_memory.cache_info().currsize == 1
