"""IndexCache: each archive is read through once, and memory is bounded."""

from __future__ import annotations

import io
import os
from pathlib import Path

from aisio.gateway.archives.index_cache import IndexCache
from tests.gateway.archive_data import MEMBERS, make_tar


def test_an_archive_is_read_through_once_for_each_state(tmp_path: Path) -> None:
    """The index is cached until the file changes."""
    path, archives = tmp_path / "a", IndexCache()
    path.write_bytes(make_tar())
    with io.FileIO(str(path)) as file:
        status = os.fstat(file.fileno())
        assert archives.cached(status, ".tar") is None
        first = archives.load(file, status, ".tar")
        assert archives.load(file, status, ".tar") is first
        assert archives.cached(status, ".tar") is first
    path.write_bytes(make_tar({"new": b"1"}))
    with io.FileIO(str(path)) as file:
        assert archives.load(file, os.fstat(file.fileno()), ".tar").find("new") is not None


def test_the_least_recently_used_index_is_dropped(
    tmp_path: Path,
) -> None:
    """Memory is bounded by the number of members."""
    archives, states = IndexCache(max_members=2 * len(MEMBERS)), []
    for number in range(3):
        path = tmp_path / str(number)
        path.write_bytes(make_tar())
        with io.FileIO(str(path)) as file:
            states.append(os.fstat(file.fileno()))
            archives.load(file, states[-1], ".tar")
            archives.cached(states[0], ".tar")
    assert [archives.cached(state, ".tar") is not None for state in states] == [True, False, True]
