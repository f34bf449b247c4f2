"""An entry that a process has loaded stays until that process ends."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

import aisio
from aisio.catalog import Resource
from aisio.resources.cache.cache import Cache
from aisio.resources.cache.in_use import is_in_use, keep_unused, mark_in_use
from aisio.resources.inventory import list_entries
from aisio.resources.loading import load
from aisio.resources.upkeep import prune

DATA = b"the bytes\n"
SHA = sha256(DATA).hexdigest()
# Says what it loaded, and stays until its stdin ends: itself, or a process that it forked.
LOAD = """
import os, sys
from aisio.catalog import Resource
from aisio.resources.loading import load
sha256, url, folder, how = sys.argv[1:]
if how == "as another user":
    os.setuid(54321)
resource = Resource(tag="a/b", sha256=sha256, owner="a@b.c", url=url)
print(load("a/b", resources={"a/b": resource}, cache_dir=folder), flush=True)
if how == "forked" and os.fork():
    os._exit(0)
sys.stdin.read()
"""
# Each turn is a process of its own, which goes on reading what it has loaded.
READ = """
import os, sys
from pathlib import Path
from aisio.catalog import Resource
from aisio.resources.loading import load
sha256, url, folder, stop = sys.argv[1:]
resource = Resource(tag="a/b", sha256=sha256, owner="a@b.c", url=url)
while not Path(stop).exists():
    child = os.fork()
    if not child:
        try:
            path = load("a/b", resources={"a/b": resource}, cache_dir=folder)
            right = all(path.read_bytes() == b"the bytes\\n" for _ in range(100))
        except BaseException as error:
            os._exit(print(repr(error), file=sys.stderr) or 1)
        os._exit(not right)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
"""
MANY = """
import os, sys
from pathlib import Path
from aisio.resources.cache.in_use import mark_in_use
before = len(os.listdir("/dev/fd"))
assert all(mark_in_use(Path(sys.argv[1], f"{number:064x}-x")) for number in range(200))
print(len(os.listdir("/dev/fd")) - before)
"""
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(aisio.__file__).parents[1])}


@pytest.fixture
def shared():
    """Return a folder in which all users may make files, and each remove only his own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        cache = Path(folder, "cache")
        cache.mkdir()
        cache.chmod(0o1777)
        yield cache


@pytest.fixture
def url(tmp_path):
    """Return the URL of the bytes."""
    (tmp_path / "x.bin").write_bytes(DATA)
    return f"file://{tmp_path}/x.bin"


def loaded(url, folder):
    """Load an entry in this process, and return its path."""
    resource = Resource(tag="a/b", sha256=SHA, owner="a@b.c", url=url)
    return load("a/b", resources={"a/b": resource}, cache_dir=folder)


def process(script, *words):
    """Start a process with pipes."""
    command = [sys.executable, "-c", script, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=ENVIRON)


def grow_old(path):
    """Have an entry look as if it was used last in 1970."""
    os.utime(f"{path}.aisio-verified", (1, 1))


def open_files():
    """Return how many files this process has open."""
    gc.collect()  # what earlier tests left must not go meanwhile
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("how", ["itself", "forked"])
def test_what_a_running_process_has_loaded_stays(url, tmp_path, how):
    """However long ago that was, and while a process that it forked still runs."""
    cache = Cache(tmp_path / "cache")
    with process(LOAD, SHA, url, cache.folder, how) as loader:
        path = Path(loader.stdout.readline().strip())
        if how == "forked":
            loader.wait()
        grow_old(path)
        assert prune(cache, 0) == []
        assert prune(cache, 0, dry_run=True) == []
        assert path.read_bytes() == DATA
        loader.stdin.close()
        loader.stdout.read()
        while not (removed := prune(cache, 0)):
            pass  # a forked one closes its files one after the other
    assert [entry.path for entry in removed] == [path]
    assert not path.exists()


def test_what_another_user_has_loaded_stays(shared):
    """Also where that user may not change the time of the marker."""
    if os.getuid():
        pytest.skip("only root can become another user")
    (shared.parent / "x.bin").write_bytes(DATA)
    path = shared / f"{SHA}-x.bin"
    cache = Cache(shared)
    with cache.lock(path):
        path.write_bytes(DATA)
        cache.mark_verified(path, path)
    grow_old(path)
    url = f"file://{shared.parent}/x.bin"
    with process(LOAD, SHA, url, shared, "as another user") as loader:
        assert loader.stdout.readline().strip() == str(path)
        assert path.with_name(path.name + ".aisio-verified").stat().st_mtime == 1
        assert prune(cache, 0) == []
        loader.stdin.close()
    assert [entry.path for entry in prune(cache, 0)] == [path]


def test_pruning_never_takes_what_was_just_returned(url, tmp_path):
    """No entry is recent enough to stay here: it stays only if it is in use."""
    cache, stop = Cache(tmp_path / "cache"), tmp_path / "stop"
    removed = 0
    with process(READ, SHA, url, cache.folder, stop) as reader:
        while reader.poll() is None and removed < 50:
            removed += len(prune(cache, 0, min_age_s=0))
        stop.touch()
    assert reader.returncode == 0
    assert removed == 50


def test_an_entry_that_is_being_removed_cannot_be_marked_in_use(tmp_path):
    """A process that loads it then waits for its lock. An entry in use is not removed."""
    path = tmp_path / f"{SHA}-x"
    with keep_unused(path):
        assert not mark_in_use(path)
    assert not is_in_use(path)
    assert mark_in_use(path)
    assert is_in_use(path)
    with pytest.raises(BlockingIOError), keep_unused(path):
        pass


def test_a_second_load_opens_nothing(url, tmp_path):
    """One file stays open for an entry, however often it is loaded."""
    loaded(url, tmp_path / "cache")
    before = open_files()
    for _ in range(20):
        loaded(url, tmp_path / "cache")
    assert open_files() <= before


def test_a_process_marks_a_limited_number_of_entries(tmp_path):
    """It needs descriptors for its own work."""
    with process(MANY, tmp_path) as holder:
        assert holder.stdout.read() == "128\n"


def test_a_folder_that_was_removed_is_marked_again(url, tmp_path):
    """Not the file that went with the old one."""
    path = loaded(url, tmp_path / "cache")
    shutil.rmtree(path.parent)
    assert loaded(url, tmp_path / "cache") == path
    assert is_in_use(path)


def test_the_in_use_file_is_no_entry(url, tmp_path):
    """Its file is neither listed nor counted, also where it is all that there is."""
    path = loaded(url, tmp_path / "cache")
    (entry,) = list_entries(Cache(path.parent))
    marker = path.with_name(path.name + ".aisio-verified")
    assert entry.size_bytes == len(DATA) + marker.stat().st_size
    path.unlink()
    marker.unlink()
    assert list_entries(Cache(path.parent)) == []
    assert path.with_name(path.name + ".aisio-in-use").exists()
