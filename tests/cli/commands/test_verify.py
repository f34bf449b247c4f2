"""`aisio verify`: which samples differ, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tars import pack


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> None:
    """Use a cache of the test's own."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(run, files) -> str:
    """Return the path of a folder of two indexed shards."""
    shard = pack(("k/1.a", b"1" * 600), ("k/2.a", b"2"))
    folder = files({"a.tar": shard, "b.tar": shard.replace(b"k/", b"l/")})
    # The names in the headers changed, so their checksums are made anew.
    (folder / "b.tar").write_bytes(pack(("l/1.a", b"1" * 600), ("l/2.a", b"2")))
    assert run("index", f"{folder}/").exit_code == 0
    return f"{folder}/"


def damage(path: str, position: int) -> None:
    """Flip a bit of a file, in place."""
    with open(path, "r+b") as file:  # noqa: PTH123
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def test_right_shards(run, folder):
    """Nothing on stdout, a summary on stderr."""
    done = run("verify", folder, "--jobs", 2)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "aisio: 2 shards, 4 samples, 0 differences\n"


def test_damaged_sample_is_named(run, folder):
    """With shard, key, offset and bytes; a file that was changed is said to be replaced, too."""
    damage(f"{folder}b.tar", 700)
    done = run("verify", folder)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"file://{folder}b.tar: it was replaced since it was indexed",
        f"file://{folder}b.tar: sample 0 'l/1' at byte 0: bytes 0 to 1535 differ",
    ]
    rows = [json.loads(line) for line in run("verify", folder, "--json").stdout.splitlines()]
    assert rows[1] == {
        "url": f"file://{folder}b.tar",
        "problem": "bytes 0 to 1535 differ",
        "sample": 0,
        "key": "l/1",
        "offset": 0,
        "size_bytes": 1536,
    }


def test_shard_without_an_index_is_an_error(run, folder, files):
    """The others are verified."""
    files({"c.tar": pack(("1.a", b""))})
    done = run("verify", folder)
    assert done.exit_code == 1
    assert f"file://{folder}c.tar has no index: `aisio index` makes one" in done.stderr
    assert "3 shards, 4 samples, 0 differences" in done.stderr
    assert "1 of 3 shards failed" in done.stderr


def test_missing_shard_is_named(run, folder):
    """One that the index beside the data has, and nobody lists any more."""
    Path(f"{folder}a.tar").unlink()
    done = run("verify", folder)
    assert done.exit_code == 1
    assert done.stdout == f"file://{folder}a.tar: it was indexed, and is not there\n"
    assert done.stderr == "aisio: 1 shard, 2 samples, 1 difference\n"


def test_damaged_index_is_one_error(run, folder):
    """Not one for each shard."""
    Path(f"{folder}.aisio-index").write_bytes(b"x")
    done = run("verify", folder)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("not a shard index of aisio") == 1
