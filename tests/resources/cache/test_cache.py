"""The folder of the cache, the names in it, and which entries its markers verify."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import aisio
from aisio.catalog.entries import Resource
from aisio.errors import AisioError, CatalogError, ConfigError
from aisio.resources.cache.cache import Cache, default_cache_folder
from aisio.resources.unpack.unpack import result_of, unpack
from tests.call_counts import count_calls
from tests.tars import pack

pooch = pytest.importorskip("pooch")

DATA = b"the bytes\n"
SHA = sha256(DATA).hexdigest()


def resource(sha=SHA, pbss="s3://bucket/folder/x.txt", **fields):
    """Return a resource of that digest and URL."""
    return Resource(tag="a/b", sha256=sha, owner="A <a@b.org>", pbss=pbss, **fields)


@pytest.fixture
def cache(tmp_path):
    """Return a cache in an empty folder."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def entry(cache):
    """Return the path of a verified file."""
    path = cache.path_of(resource())
    with cache.lock(path):
        path.write_bytes(DATA)
        cache.mark_verified(path, path)
    return path


@pytest.fixture
def archive(cache):
    """Return the path of a verified tar with two members in a folder, and its result."""
    path = cache.path_of(resource(pbss="s3://bucket/x.tar"))
    with cache.lock(path):
        path.write_bytes(pack(("d/1", b"one"), ("d/2", b"two"), ("e/deep/3", b"three")))
        result = unpack(path, "tar")
        cache.mark_verified(path, result)
    return path, result


def test_ngc_10_the_variables_are_read_at_each_call(monkeypatch, tmp_path):
    """NGC-10: AISIO_CACHE_DIR, then BIONEMO_CACHE_DIR, then the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("AISIO_CACHE_DIR", raising=False)
    monkeypatch.delenv("BIONEMO_CACHE_DIR", raising=False)
    if sys.platform == "linux":
        assert default_cache_folder() == tmp_path / "aisio"
    monkeypatch.setenv("BIONEMO_CACHE_DIR", str(tmp_path / "bionemo"))
    assert default_cache_folder() == tmp_path / "bionemo"
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "own"))
    assert default_cache_folder() == tmp_path / "own"


@pytest.mark.parametrize("name", ["AISIO_CACHE_DIR", "BIONEMO_CACHE_DIR"])
def test_ngc_10_a_tilde_is_the_home_folder(monkeypatch, tmp_path, name):
    """NGC-10: as pooch has it; files of services and notebooks set it where no shell expands it."""
    monkeypatch.delenv("AISIO_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(name, "~/models")
    assert default_cache_folder() == tmp_path / "models"
    assert Cache("~/models").folder == tmp_path / "models"
    assert Cache(Path("~/models")).folder == tmp_path / "models"


def test_ngc_10_a_tilde_of_no_user_is_a_clear_error(monkeypatch):
    """NGC-10: no folder of that name is made."""
    monkeypatch.setenv("AISIO_CACHE_DIR", "~nobody-of-that-name/x")
    with pytest.raises(ConfigError, match="~nobody-of-that-name/x: .*whole path"):
        default_cache_folder()


def test_ngc_10_the_folder_is_made(cache):
    """NGC-10: with its parents, when the first entry is worked on."""
    assert not cache.folder.exists()
    with cache.lock(cache.path_of(resource())):
        assert cache.folder.is_dir()


def test_ngc_10_an_unwritable_folder_names_the_variable(tmp_path):
    """NGC-10: a PermissionError that names the folder and the variable to set."""
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file" / "cache")
    with pytest.raises(PermissionError, match="creating a cache directory at .*file/cache") as seen:
        cache.create_folder()
    assert "AISIO_CACHE_DIR" in str(seen.value)
    assert isinstance(seen.value, AisioError)


def test_ngc_10_without_a_home_folder_the_error_names_the_variable():
    """NGC-10: a user without a home gets no folder named "~" in the current one."""
    script = (
        "import os, platformdirs.unix\n"
        "from aisio.errors import ConfigError\n"
        "from aisio.resources.cache.cache import default_cache_folder\n"
        "try: os.setuid(54321)\n"
        "except PermissionError: raise SystemExit(3)\n"
        "try: print(default_cache_folder())\n"
        "except ConfigError as error: print(error)"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(aisio.__file__).parents[1])}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    if done.returncode == 3:
        pytest.skip("only root can become a user without a home")
    assert "set AISIO_CACHE_DIR" in done.stdout


def test_ngc_13_names_are_those_of_bionemo(cache):
    """NGC-13: `{sha256}-{last part of the pbss URL}`, the name that BioNeMo gives to pooch."""
    assert cache.path_of(resource()) == cache.folder / f"{SHA}-x.txt"
    upper = cache.path_of(resource(SHA.upper()))
    assert upper.name == f"{SHA.upper()}-x.txt"
    assert cache.path_of(resource("md5:" + "0" * 32)).name == f"md5:{'0' * 32}-x.txt"


def test_ngc_13_pooch_finds_what_aisio_stored(cache, archive):
    """NGC-13: an entry of ours is a hit for pooch, with the same result at the same path."""
    path, _ = archive
    digest = sha256(path.read_bytes()).hexdigest()
    named = shutil.copy(path, path.with_name(f"{digest}-x.tar"))
    unpack(Path(named), "tar")

    def download(url, output_file, downloader):
        raise AssertionError("pooch would download it again")

    found = pooch.retrieve(
        "https://127.0.0.1:9/x.tar",
        known_hash=digest,
        fname=f"{digest}-x.tar",
        path=cache.folder,
        downloader=download,
        processor=pooch.Untar(),
    )
    assert {Path(file).relative_to(f"{named}.untar").as_posix() for file in found} == {
        "d/1",
        "d/2",
        "e/deep/3",
    }


@pytest.mark.parametrize(
    ("filename", "kind", "processor"),
    [("x.tar", "tar", "Untar"), ("x.gz", "gzip", "Decompress"), ("x.txt", "none", "")],
)
def test_ngc_13_aisio_uses_files_of_pooch(cache, tmp_path, filename, kind, processor):
    """NGC-13, NGC-18: the same names, and neither unpacked nor written again."""
    data = gzip.compress(DATA) if kind == "gzip" else pack(("d/1", b"one"))
    path = cache.path_of(resource(sha256(data).hexdigest(), f"s3://bucket/{filename}"))
    pooch.retrieve(
        "https://127.0.0.1:9/x",
        known_hash=sha256(data).hexdigest(),
        fname=path.name,
        path=cache.folder,
        downloader=lambda url, output_file, _: Path(output_file).write_bytes(data),
        processor=getattr(pooch, processor)() if processor else None,
    )
    before = {one: one.stat() for one in cache.folder.rglob("*") if one.is_file()}
    with cache.lock(path):
        cache.mark_verified(path, unpack(path, kind))
    assert cache.find_verified(path) == result_of(path, kind)
    assert {one: _without_atime(one.stat()) for one in before} == {
        one: _without_atime(status) for one, status in before.items()
    }


def _without_atime(status):
    return status.st_ino, status.st_size, status.st_mtime_ns


def test_ngc_14_entries_without_a_digest_never_collide(cache):
    """NGC-14: equal file names from other places are other entries."""
    places = [
        resource(None),
        resource(None, "s3://other/folder/x.txt"),
        resource(None, ngc="org/x:1", ngc_registry="model"),
        resource(None, ngc="org/x:1", ngc_registry="resource"),
        resource(None, endpoint="http://127.0.0.1:9"),
        resource(None, None, url="https://example.org/x.txt"),
        resource(None, None, mirrors=("https://example.com/x.txt",)),
    ]
    names = {cache.path_of(place).name for place in places}
    assert len(names) == len(places)
    assert all(name.startswith("None-") and name.endswith("-x.txt") for name in names)
    assert cache.path_of(places[0]) == cache.path_of(resource(None, description="other words"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha": "../../x"},
        {"sha": "md5:"},
        {"sha": ""},
        {"sha": "sha256:a/b"},
        {"pbss": "s3://bucket/folder/"},
        {"pbss": "s3://bucket/x.aisio-verified"},
        {"pbss": "s3://bucket/" + "x" * 200},
        {"pbss": "s3://bucket/a\0b"},
    ],
)
def test_what_cannot_be_a_file_name_is_refused(cache, wrong):
    """No digest or file name leads out of the folder, or looks like a file of the cache itself."""
    with pytest.raises(CatalogError, match="^a/b: "):
        cache.path_of(resource(**wrong))


def test_ngc_23_a_verified_entry_is_returned(cache, entry):
    """NGC-23: a result that was marked is returned, and no other."""
    assert cache.find_verified(entry) == entry
    assert cache.find_verified(entry, entry) == entry
    assert cache.find_verified(entry, entry.with_name(entry.name + ".decomp")) is None
    assert cache.find_verified(entry.with_name("other")) is None


def test_ngc_16_a_wrong_file_is_not_verified(cache):
    """NGC-16: a file with the right name that nobody has hashed is not verified."""
    path = cache.path_of(resource())
    cache.create_folder()
    path.write_bytes(b"wrong")
    assert cache.find_verified(path) is None


def _edit(path):
    times = path.stat()
    path.write_bytes(DATA.upper())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _replace(path):
    times = path.stat()
    copy = path.with_name("copy")
    copy.write_bytes(DATA)
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    return copy.replace(path)


def _edit_in_place(path):
    """Change bytes and keep size, inode and modification time."""
    times = path.stat()
    with path.open("r+b") as file:
        file.write(b"THE")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _cut(path):
    times = path.stat()
    os.truncate(path, 3)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _link(path):
    """Put a link to an equal file in its place."""
    path.symlink_to(_replace(path).rename(path.with_name("other")))


@pytest.mark.parametrize(
    "harm", [_edit, _edit_in_place, _replace, _cut, _link, Path.unlink, Path.touch]
)
def test_ngc_23_a_changed_file_is_not_verified(cache, entry, harm):
    """NGC-23: size, change time or inode differ, even if the modification time was set back."""
    harm(entry)
    assert cache.find_verified(entry) is None


@pytest.mark.parametrize("harm", [_edit, _edit_in_place, _replace, _cut, Path.unlink, Path.touch])
def test_ngc_23_a_link_is_verified_by_its_target(cache, harm):
    """NGC-23: its target may change or go, and the link looks as before."""
    path = cache.path_of(resource())
    cache.create_folder()
    target = cache.folder.with_name("target")
    target.write_bytes(DATA)
    path.symlink_to(target)
    cache.mark_verified(path, path)
    assert cache.find_verified(path) == path
    harm(target)
    assert cache.find_verified(path) is None


@pytest.mark.parametrize(
    "text", [b"", b"\0" * 300, b"{}", b"[]", b'{"format": 1}', b'{"format":1,"name":"x"}', None]
)
def test_ngc_23_a_damaged_marker_is_not_believed(cache, entry, text):
    """NGC-23: garbage, a cut marker and one that is gone all mean: not verified."""
    marker = entry.with_name(entry.name + ".aisio-verified")
    whole = marker.read_bytes()
    if text is None:
        marker.unlink()
    else:
        marker.write_bytes(text)
    assert cache.find_verified(entry) is None
    for stop in range(0, len(whole), 7):
        marker.write_bytes(whole[:stop])
        assert cache.find_verified(entry) is None


def test_ngc_23_a_marker_of_another_entry_is_not_believed(cache, entry):
    """NGC-23: a marker holds the name of its entry, whatever it was copied to."""
    other = entry.with_name("other")
    entry.rename(other)
    entry.with_name(entry.name + ".aisio-verified").rename(f"{other}.aisio-verified")
    assert cache.find_verified(other) is None


def test_ngc_23_bionemos_own_marker_is_not_believed(cache):
    """NGC-23: `.checked` outlives its file, so it is ignored, and removed with the entry."""
    path = cache.path_of(resource())
    cache.create_folder()
    path.write_bytes(b"wrong")
    checked = path.with_name(path.name + ".checked")
    checked.write_text(str(path))
    assert cache.find_verified(path) is None
    cache.invalidate(path)
    assert not checked.exists()
    assert path.exists()


@pytest.mark.parametrize("harm", ["d/1", "d", "e/deep/3", "", "file"])
def test_ngc_21_a_vanished_member_is_noticed_and_made_again(cache, archive, harm):
    """NGC-21: from the cached archive; the download itself is not touched."""
    path, result = archive
    before = path.stat()
    gone = result / harm
    if harm == "file":
        shutil.rmtree(result)
        result.write_bytes(b"a file in its place")
    elif gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    assert cache.find_verified(path) is None
    cache.mark_verified(path, unpack(path, "tar"))
    assert (result / "d/1").read_bytes() == b"one"
    assert (result / "e/deep/3").read_bytes() == b"three"
    assert cache.find_verified(path) == result
    assert path.stat() == before


def test_ngc_21_a_complete_result_is_kept_with_what_lies_in_it(cache, archive):
    """NGC-21: a program's index beside the data means comparing, not unpacking again."""
    path, result = archive
    (result / "d/index").write_bytes(b"of a program")
    inode = result.stat().st_ino
    assert cache.find_verified(path) is None
    cache.mark_verified(path, unpack(path, "tar"))
    assert (result / "d/index").read_bytes() == b"of a program"
    assert result.stat().st_ino == inode
    assert cache.find_verified(path) == result


def test_ngc_21_an_edited_member_is_found_by_a_recheck(archive):
    """NGC-21: unpacking compares contents, not only names as upstream does."""
    path, result = archive
    (result / "d/1").write_bytes(b"ONE")
    unpack(path, "tar")
    assert (result / "d/1").read_bytes() == b"one"


def test_one_download_has_several_results(cache, archive):
    """An entry that is wanted packed by one catalog and unpacked by another is verified as both."""
    path, result = archive
    assert cache.find_verified(path, path) is None
    cache.mark_verified(path, path)
    assert cache.find_verified(path, path) == path
    assert cache.find_verified(path, result) == result


def test_forgetting_removes_what_was_made(cache, archive):
    """Before a download is replaced, all results of the old one must be gone."""
    path, result = archive
    cache.invalidate(path)
    assert not result.exists()
    assert cache.find_verified(path) is None
    names = {one.name.removeprefix(path.name) for one in cache.folder.iterdir()}
    assert names == {"", ".aisio-lock"}


def test_finding_an_entry_counts_as_a_use(cache, entry):
    """The marker's own time is that of the last use, for the pruning."""
    marker = entry.with_name(entry.name + ".aisio-verified")
    os.utime(marker, (1, 1))
    assert cache.find_verified(entry) == entry
    assert marker.stat().st_mtime > 1


def test_ngc_23_finding_a_huge_file_reads_none_of_it(cache):
    """NGC-23: only the marker is opened, and 100 GB are not read."""
    path = cache.path_of(resource())
    cache.create_folder()
    with path.open("wb") as file:
        file.truncate(100 * 10**9)
    cache.mark_verified(path, path)
    calls = count_calls(lambda: cache.find_verified(path))
    assert cache.find_verified(path) == path
    assert calls.total() < 500


def test_ngc_23_finding_many_members_looks_at_their_folders(cache):
    """NGC-23: the folders are looked at, not the files in them; of 2,000 folders the first 1,000.

    A member that vanishes is noticed all the same.
    """
    path = cache.path_of(resource(pbss="s3://bucket/x.tar"))
    cache.create_folder()
    path.write_bytes(b"")
    result = result_of(path, "tar")
    for folder in range(2000):
        (result / f"{folder:04d}").mkdir(parents=True)
        if folder < 500:
            for member in range(8):
                os.close(os.open(result / f"{folder:04d}/{member}", os.O_CREAT))
    cache.mark_verified(path, result)
    calls = count_calls(lambda: cache.find_verified(path))
    assert cache.find_verified(path) == result
    assert calls["stat"] + calls["lstat"] < 1100
    assert calls["scandir"] + calls["listdir"] < 10
    (result / "0499/7").unlink()
    assert cache.find_verified(path) is None
