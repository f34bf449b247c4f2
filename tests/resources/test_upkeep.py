"""What a cache holds, hashing all of it, and making room."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import md5, sha256
from pathlib import Path

import pytest

import aisio
from aisio.resources.cache.cache import Cache
from aisio.resources.inventory import list_entries
from aisio.resources.upkeep import prune, verify
from tests.resources.cache_entries import TAR, add, marker_of


def problems(cache, **options):
    """Return the problems that `verify` finds, by path."""
    found = verify(cache, **options)
    return {finding.path: finding.problem for finding in found if finding.problem}


@pytest.mark.parametrize(
    "name", ["notes.txt", "None", "0123-x", "f" * 63 + "-x", "md5:" + "0" * 64 + "-x", ".hidden"]
)
def test_files_that_are_nobodys_are_left_alone(cache, name):
    """Neither listed nor pruned: someone else put them there."""
    path = cache.folder / name
    path.write_bytes(b"mine")
    os.utime(path, (1, 1))
    assert list_entries(cache) == []
    assert prune(cache, 0) == []
    assert path.read_bytes() == b"mine"


def test_an_absent_folder_is_empty(tmp_path):
    """Looking makes no folder."""
    cache = Cache(tmp_path / "absent")
    assert list_entries(cache) == []
    assert list(verify(cache)) == []
    assert prune(cache, 0) == []
    assert not cache.folder.exists()


@pytest.mark.parametrize("prefix", ["{sha}", "md5:{md5}", "None-0123456789abcdef"])
def test_a_flipped_bit_is_found(cache, prefix):
    """By the digest in the name, of any algorithm; where there is none, by the one found first."""
    data = bytes(range(256)) * 50
    digests = {"sha": sha256(data).hexdigest().upper(), "md5": md5(data).hexdigest()}
    path = add(cache, data, name=prefix.format(**digests) + "-x")
    assert problems(cache) == {}
    with path.open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff")
    assert "expected" in problems(cache)[path]
    assert not marker_of(path).exists()


def test_an_edited_member_is_found(cache):
    """Results are compared byte for byte; removing a result keeps the download."""
    path = add(cache, TAR, "x.tar")
    result = path.with_name(path.name + ".untar")
    (result / "d/1").write_bytes(b"ONE")
    assert cache.find_verified(path) == result, "only a check can know"
    assert list(problems(cache, remove_wrong=True)) == [path]
    assert path.read_bytes() == TAR
    assert not result.exists()
    assert problems(cache) == {}


def test_wrong_entries_are_removed_on_request(cache):
    """With its marker and results; the others stay."""
    right, wrong = add(cache, b"right"), add(cache, b"wrong")
    wrong.write_bytes(b"WRONG")
    assert list(problems(cache, remove_wrong=True)) == [wrong]
    assert [entry.path for entry in list_entries(cache)] == [right]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that cannot be read")
@pytest.mark.parametrize("target", ["/proc/self/mem", "0" * 64 + "-x"])
def test_what_cannot_be_read_is_reported_and_the_rest_is_checked(cache, target):
    """One bad sector, or a link into somebody's folder, does not keep the others from a look."""
    bad = cache.folder / ("0" * 64 + "-x")
    bad.symlink_to(target)
    wrong = add(cache, b"wrong")
    wrong.write_bytes(b"WRONG")
    found = problems(cache, remove_wrong=True)
    assert list(found) == [bad, wrong]
    assert "it cannot be checked: " in found[bad]
    assert bad.is_symlink(), "nothing wrong was found in it"


def test_what_cannot_be_removed_is_reported(cache):
    """And the rest goes."""
    stuck, wrong = sorted(add(cache, data) for data in (b"1", b"2"))
    for path in (stuck, wrong):
        path.write_bytes(b"WRONG")
    stuck.with_name(stuck.name + ".checked").mkdir()
    found = problems(cache, remove_wrong=True)
    assert "it cannot be removed: " in found[stuck]
    assert list(found) == [stuck, wrong]
    assert [entry.path for entry in list_entries(cache)] == [stuck]


def test_an_entry_without_a_digest_is_not_called_right(cache):
    """Where nothing is known, nothing is claimed."""
    path = cache.folder / "None-x.bin"
    path.write_bytes(b"?")
    (finding,) = verify(cache)
    assert (finding.problem, finding.skipped) == ("", "no digest of it is known")


def test_hashing_reports_its_progress(cache):
    """Bytes of downloads, for a bar."""
    add(cache, bytes(3_000_000))
    told: list[int] = []
    list(verify(cache, on_hashed=told.append))
    assert sum(told) == 3_000_000
    assert len(told) == 3


def test_the_longest_unused_goes_first(cache):
    """Until the rest is small enough, and no further."""
    old, older, new = (
        add(cache, data * 1000, used=used) for data, used in ((b"a", 20), (b"b", 10), (b"c", 30))
    )
    size_bytes = sum(entry.size_bytes for entry in list_entries(cache))
    assert [entry.path for entry in prune(cache, size_bytes)] == []
    assert [entry.path for entry in prune(cache, size_bytes - 1)] == [older]
    assert [entry.path for entry in prune(cache, 1)] == [old, new]
    assert list_entries(cache) == []


def test_all_of_an_entry_goes(cache):
    """Download, results and markers, also BioNeMo's, and a partial file of a killed process."""
    path = add(cache, TAR, "x.tar", used=1)
    path.with_name(path.name + ".checked").write_text(str(path))
    for name in (f".{path.name}.aisio-partial", f".{path.name}.json.aisio-partial"):
        (cache.folder / name).write_bytes(b"")
    path.with_name(path.name + ".aisio-unpacking").mkdir()
    forgotten = cache.folder / ".0123456789abcdef.aisio-partial"
    forgotten.write_bytes(b"")
    os.utime(forgotten, (1, 1))
    assert [entry.path for entry in prune(cache, 0)] == [path]
    left = {one.name.removeprefix(path.name) for one in cache.folder.iterdir()}
    assert left == {".aisio-lock", ".aisio-in-use"}


def test_a_dry_run_removes_nothing(cache):
    """It only returns the entries."""
    path = add(cache, b"1")
    assert [entry.path for entry in prune(cache, 0, dry_run=True)] == [path]
    assert cache.find_verified(path) == path


def test_what_was_just_used_stays(cache):
    """A program that has its path may not have opened it yet."""
    path = add(cache, b"1")
    assert cache.find_verified(path) == path
    assert prune(cache, 0) == []
    assert prune(cache, 0, min_age_s=-60) != []


def test_what_is_worked_on_stays(cache):
    """A lock that another holds is not waited for."""
    busy, idle = add(cache, b"1", used=1), add(cache, b"2", used=2)
    with cache.lock(busy):
        assert [entry.path for entry in prune(cache, 0)] == [idle]
        (finding,) = verify(cache)
        assert "is working on it" in finding.skipped
    assert cache.find_verified(busy) == busy


def test_an_open_file_outlives_the_pruning(cache):
    """A program that has opened it can still read it."""
    path = add(cache, b"still here")
    with path.open("rb") as file:
        prune(cache, 0)
        assert not path.exists()
        assert file.read() == b"still here"


READ = """
import sys
from pathlib import Path
from aisio.resources.cache.cache import Cache
path, data = Path(sys.argv[1]), b"data" * 1000
cache = Cache(path.parent)
while not Path(sys.argv[2]).exists():
    if cache.find_verified(path) is None:
        with cache.lock(path):
            if cache.find_verified(path) is None:
                path.write_bytes(data)
                cache.mark_verified(path, path)
    try:
        assert path.read_bytes() == data
    except FileNotFoundError:
        pass
"""


def test_readers_and_pruning_at_once(cache, tmp_path):
    """A process that loads while another makes room, sparing nothing, never reads wrong bytes."""
    path = cache.folder / ("0" * 64 + "-x")
    environ = {**os.environ, "PYTHONPATH": str(Path(aisio.__file__).parents[1])}
    command = [sys.executable, "-c", READ, str(path), str(tmp_path / "stop")]
    removed = 0
    with subprocess.Popen(command, env=environ) as reader:
        while reader.poll() is None and removed < 50:
            removed += len(prune(cache, 0, min_age_s=0))
        (tmp_path / "stop").touch()
    assert reader.returncode == 0
    assert removed == 50
