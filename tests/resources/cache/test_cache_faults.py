"""Full and read-only disks, and processes that are killed: nothing wrong under a right name."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aisio
from aisio.resources.cache.cache import Cache
from aisio.resources.unpack.unpack import unpack
from tests.tars import pack

# Ignored, a file that grows over the limit is an error to whoever writes it; else it kills him.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from aisio.resources.unpack.unpack import unpack
signal.signal(signal.SIGXFSZ, getattr(signal, sys.argv[3]))
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
unpack(Path(sys.argv[1]), sys.argv[2])
"""
FULL = """
import errno, sys
from pathlib import Path
from aisio.resources.cache.cache import Cache
from aisio.resources.unpack.unpack import unpack
path = Path(sys.argv[1])
try:
    with Cache(path.parent).lock(path):
        unpack(path, "tar")
except OSError as error:
    assert error.errno == errno.ENOSPC, error
    print(error)
print(sorted(one.name for one in path.parent.iterdir()))
"""
READ_ONLY = """
import sys
from pathlib import Path
from aisio.resources.cache.cache import Cache
path = Path(sys.argv[1])
cache = Cache(path.parent)
print(cache.find_verified(path))
try:
    with cache.lock(path):
        print("locked")
except PermissionError as error:
    print(error)
"""
LOAD = """
import sys
from pathlib import Path
from aisio.catalog import Resource
from aisio.resources.loading import load
folder, sha256 = sys.argv[1:]
fields = dict(tag="t/x", sha256=sha256, owner="a@example.com", pbss="s3://b/x.tar.gz")
try:
    print(load("t/x", "pbss", {"t/x": Resource(**fields)}, folder))
except PermissionError as error:
    print(error)
"""
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(aisio.__file__).parents[1])}
ARCHIVE = gzip.compress(pack(("1", b"small"), ("2", bytes(3_000_000)), ("3", b"never")))


def python(script, *words):
    """Run a script, and return the finished process."""
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRON, check=False)


def on_own_disk(commands, script, *words):
    """Run a script after commands that mount something, which no other process sees."""
    shell = f'{commands} && exec "{sys.executable}" -c \'{script}\' "$@"'
    command = ["unshare", "--mount", "sh", "-c", shell, "sh", *map(str, words)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRON, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if done.returncode:
        if "Traceback" not in done.stderr:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        pytest.fail(done.stderr)
    return done.stdout


@pytest.fixture
def path(tmp_path):
    """Return the path of a compressed tar in a cache."""
    path = tmp_path / "cache" / ("0" * 64 + "-x.tar.gz")
    path.parent.mkdir()
    path.write_bytes(ARCHIVE)
    return path


@pytest.mark.parametrize(("kind", "suffix"), [("tar", ".untar"), ("gzip", ".decomp")])
def test_a_write_that_fails_leaves_nothing(path, kind, suffix):
    """The error says what to do, and the incomplete result is removed."""
    done = python(LIMITED, path, kind, "SIG_IGN")
    assert "aisio cache prune" in done.stderr
    assert "unpacking" in done.stderr
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert unpack(path, kind) == path.with_name(path.name + suffix)


@pytest.mark.parametrize(("kind", "suffix"), [("tar", ".untar"), ("gzip", ".decomp")])
def test_a_killed_unpacking_leaves_nothing_under_a_final_name(path, kind, suffix):
    """What it had written is under another name, and goes with the next try."""
    assert python(LIMITED, path, kind, "SIG_DFL").returncode < 0
    result = path.with_name(path.name + suffix)
    assert sorted(one.name for one in path.parent.iterdir()) == [
        path.name,
        path.name + ".aisio-unpacking",
    ]
    assert unpack(path, kind) == result
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name, result.name]


def test_a_result_stays_where_another_try_fails(path):
    """An incomplete folder is replaced only when the new one is complete."""
    result = unpack(path, "tar")
    (result / "3").unlink()
    assert "aisio cache prune" in python(LIMITED, path, "tar", "SIG_IGN").stderr
    assert sorted(one.name for one in result.iterdir()) == ["1", "2"]


def test_a_full_disk_is_a_clear_error(tmp_path, path):
    """On a disk of 1 MB: the errno stays, the error says what to do, and no result is left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=1m none {disk} && cp {path} {disk}/"
    said, names = on_own_disk(mount, FULL, disk / path.name).splitlines()
    assert f"No space left on device while unpacking {disk / path.name}" in said
    assert "set AISIO_CACHE_DIR" in said
    assert names == str([path.name, path.name + ".aisio-lock"])


def test_a_read_only_folder_answers_for_what_is_verified(path):
    """Reading works; the error of anything that writes says what to do."""
    cache = Cache(path.parent)
    with cache.lock(path):
        cache.mark_verified(path, path)
    mount = f"mount --bind {path.parent} {path.parent} && mount -o remount,bind,ro {path.parent}"
    found, refused = on_own_disk(mount, READ_ONLY, path).splitlines()
    assert found == str(path)
    assert "Read-only file system" in refused
    assert "set AISIO_CACHE_DIR" in refused


@pytest.mark.parametrize("damage", ["", "file", "result"])
def test_a_read_only_folder_that_others_filled_is_read(path, damage):
    """Without a marker it is hashed and compared at each load; a wrong one is refused."""
    sha256 = hashlib.sha256(ARCHIVE).hexdigest()
    path = path.rename(path.with_name(f"{sha256}-x.tar.gz"))
    result = unpack(path, "tar")
    if damage:
        (path if damage == "file" else result / "1").write_bytes(b"wrong")
    mount = f"mount --bind {path.parent} {path.parent} && mount -o remount,bind,ro {path.parent}"
    said = on_own_disk(mount, LOAD, path.parent, sha256).strip()
    assert "set AISIO_CACHE_DIR" in said if damage else said == str(result)
