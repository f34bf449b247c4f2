"""`aisio index`: where the index is written, what is read again, and what is said of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aisio.client.client import Client
from aisio.shards.index import ShardIndex
from tests.tars import pack


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    """Use a cache of the test's own."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shard-index"


def shards(count: int = 3) -> dict[str, bytes]:
    """Return shards of 1 to n samples."""
    return {
        f"{number}.tar": pack(*((f"{number}{sample}.a", b"x") for sample in range(number + 1)))
        for number in range(count)
    }


def summary(done) -> dict[str, Any]:
    """Return what --json printed."""
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_index_stands_beside_the_data(run, files):
    """Its path goes to stdout, the summary to stderr; the index is no shard, nor an object."""
    folder = files(shards())
    for current in (0, 3):
        done = run("index", f"{folder}/")
        assert (done.exit_code, done.stdout) == (0, f"file://{folder}/.aisio-index\n")
        said = f"aisio: 3 shards, 6 samples; {current} indexed before"
        assert done.stderr.startswith(said)
        assert ("the others at" in done.stderr) == (current < 3)
    index = ShardIndex.from_file(folder / ".aisio-index")
    assert [shard.url for shard in index.shards] == [f"file://{folder}/{n}.tar" for n in range(3)]
    assert (index.find("22"), index.has_hashes) == (5, True)


def test_index_of_a_bucket(run, bucket):
    """An object beside the shards; a HEAD and a listing show it, a reader does not."""
    for name, data in shards().items():
        bucket.object(f"train/{name}").put(data)
    row = summary(run("index", "ais://cli-data/train/", "--json", "--jobs", 2))
    assert row["index"] == "ais://cli-data/train/.aisio-index"
    assert (row["shards"], row["samples"], row["current"], row["not_ranged"]) == (3, 6, 0, 0)
    data = bucket.object("train/.aisio-index").get()
    index = ShardIndex.from_buffer(data)
    assert (index.digest, len(data)) == (row["digest"], row["size_bytes"])
    assert all(shard.pin.startswith("xxhash2:") for shard in index.shards)
    again = summary(run("index", "ais://cli-data/train/", "--json"))
    assert {**again, "gb_per_s": 0} == {**row, "current": 3, "gb_per_s": 0}


def test_only_what_was_replaced_is_read_again(run, bucket, cache):
    """Also from the index beside the data alone, on a machine with an empty cache."""
    for name, data in shards().items():
        bucket.object(name).put(data)
    summary(run("index", "ais://cli-data", "--json"))
    for path in cache.glob("*/*"):
        path.unlink()
    bucket.object("1.tar").put(pack(("new.a", b"")))
    row = summary(run("index", "ais://cli-data", "--json"))
    assert (row["current"], row["samples"]) == (2, 5)
    assert summary(run("index", "ais://cli-data", "--json", "--rebuild"))["current"] == 0


def test_several_urls_and_patterns_go_to_the_cache(run, files, cache):
    """There is no one place beside them."""
    folder = files(shards())
    for words in ((f"{folder}/[01].tar",), (folder / "0.tar", folder / "1.tar")):
        row = summary(run("index", *words, "--json"))
        assert (Path(row["index"]).parent, row["samples"]) == (cache / "merged", 3)
    row = summary(run("index", f"{folder}/", "--cache", "--json"))
    assert Path(row["index"]).parent == cache / "merged"
    assert not (folder / ".aisio-index").exists()


def test_output_names_another_object(run, files, tmp_path):
    """A file, or an object of another bucket."""
    folder = files(shards())
    out = tmp_path / "out" / "train.index"
    done = run("index", f"{folder}/", "--output", out)
    assert done.stdout == f"file://{out}\n"
    assert len(ShardIndex.from_file(out)) == 6
    assert run("index", f"{folder}/", "--output", out, "--cache").exit_code == 2


def test_names_can_be_left_out_and_added(run, files):
    """Adding them needs no second read where the cache has them."""
    folder = files(shards())
    summary(run("index", f"{folder}/", "--no-names", "--json"))
    assert not ShardIndex.from_file(folder / ".aisio-index").has_names
    assert summary(run("index", f"{folder}/", "--json"))["current"] == 3
    assert ShardIndex.from_file(folder / ".aisio-index").has_names


def test_store_that_cannot_be_written(run, files, cache, tmp_path):
    """The work is not lost; an --output that is a folder is refused."""
    folder = files(shards())
    (folder / ".aisio-index").mkdir()
    done = run("index", f"{folder}/")
    assert done.exit_code == 0
    assert Path(done.stdout.strip()).parent == cache / "merged"
    assert "the index is kept in the cache, as it cannot be written" in done.stderr
    assert run("index", f"{folder}/", "--output", folder / ".aisio-index").exit_code == 2


def test_bad_shard_is_reported_and_the_others_are_kept(run, files):
    """Nothing is written beside the data, which would be an index of a part."""
    folder = files({**shards(), "1.tar": b"x" * 600})
    done = run("index", f"{folder}/")
    assert done.exit_code == 1
    assert f"file://{folder}/1.tar: not a tar archive" in done.stderr
    assert "1 of 3 shards failed" in done.stderr
    assert not (folder / ".aisio-index").exists()
    (folder / "1.tar").write_bytes(shards()["1.tar"])
    assert summary(run("index", f"{folder}/", "--json"))["current"] == 2


def test_shards_that_are_not_ranged_are_said(run, files):
    """They cost more than others."""
    interleaved = pack(("1.a", b""), ("2.a", b""), ("1.b", b""))
    done = run("index", f"{files({'a.tar': interleaved, **shards()})}/")
    assert done.exit_code == 0
    assert "1 shard cannot be read by ranges" in done.stderr


def test_killed_command_goes_on(start, files, cache):
    """What it had indexed is in the cache; no half-written file is taken for an index."""
    folder = files({f"{n:03d}.tar": pack((f"{n}.a", b"x" * 900_000)) for n in range(80)})
    program = start("index", f"{folder}/", "--jobs", 1)
    while len(list(cache.glob("fragments/*.aisio-index"))) < 5:
        with pytest.raises(subprocess.TimeoutExpired):  # it still runs
            program.wait(0.02)
    program.kill()
    program.wait()
    before = len(list(cache.glob("fragments/*.aisio-index")))
    done = start("index", f"{folder}/", "--json")
    row = json.loads(done.communicate()[0])
    assert (done.returncode, row["samples"]) == (0, 80)
    assert 5 <= row["current"] == before


def test_damaged_index_is_built_again(run, files):
    """With a warning; what the cache has is not read again. A newer one is not overwritten."""
    folder = files(shards())
    assert run("index", f"{folder}/").exit_code == 0
    path = folder / ".aisio-index"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    done = run("index", f"{folder}/", "--json")
    assert (summary(done)["current"], path.read_bytes()) == (3, data)
    assert "it was cut" in done.stderr
    newer = data[:8] + b"\x09" + data[9:]
    path.write_bytes(newer)
    done = run("index", f"{folder}/")
    assert (done.exit_code, path.read_bytes()) == (1, newer)
    assert "update aisio" in done.stderr


def test_nothing_to_index_is_an_error(run, files):
    """A misspelt folder must not pass for an empty one."""
    assert run("index", f"{files({'a.txt': b''})}/").exit_code == 1
    assert run("index").exit_code == 2


def test_a_copied_bucket_brings_its_index(run, bucket, endpoint):
    """Nothing is read again, under another prefix too, and the data is said to be the same."""
    for name, data in shards().items():
        bucket.object(f"t/x/{name}").put(data)
    indexed = summary(run("index", f"{bucket.url}/t/", "--json"))
    other = Client(endpoint).bucket("cli-copy").create()
    try:
        for info in bucket.list("t/"):
            other.object(info.name.replace("t/", "u/v/")).put(bucket.object(info.name).get())
        copied = summary(run("index", f"{other.url}/u/v/", "--json"))
        assert (copied["current"], copied["digest"]) == (3, indexed["digest"])
        assert run("verify", f"{other.url}/u/v/").exit_code == 0
        other.object("u/v/x/1.tar").put(shards()["2.tar"])
        assert summary(run("index", f"{other.url}/u/v/", "--json"))["current"] == 2
    finally:
        other.delete()


def test_a_copied_folder_brings_its_index(run, files, tmp_path, cache):
    """If the copy has the times of the files, as on another mount of the same file system."""
    folder = files(shards())
    indexed = summary(run("index", folder, "--json"))
    shutil.rmtree(cache)
    shutil.copytree(folder, tmp_path / "copy")
    copied = summary(run("index", tmp_path / "copy", "--json"))
    assert (copied["current"], copied["digest"]) == (3, indexed["digest"])
    os.utime(tmp_path / "copy" / "0.tar", (1, 1))
    assert summary(run("index", tmp_path / "copy", "--json"))["current"] == 2
