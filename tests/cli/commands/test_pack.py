"""`aisio pack`."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

SAMPLES = {f"{number:04d}.{kind}": b"x" * number for number in range(5) for kind in ("cls", "jpg")}


def test_each_shard_is_named_once_it_is_stored(run, bucket, files):
    """One URL a line; the next command can read them."""
    done = run("pack", files(SAMPLES), "ais://cli-data/train", "--samples", "2")
    assert (done.exit_code, done.stderr) == (0, "")
    urls = [f"ais://cli-data/train/shard-{number:06d}.tar" for number in range(3)]
    assert done.stdout.splitlines() == urls
    assert [info.url for info in bucket.list()] == urls
    data = bucket.object("train/shard-000002.tar").get()
    with tarfile.open(fileobj=io.BytesIO(data)) as shard:
        assert shard.getnames() == ["0004.cls", "0004.jpg"]


def test_json_has_the_contents_of_each_shard(run, bucket, files):
    """Size and checksum are the store's."""
    done = run("pack", files(SAMPLES), "ais://cli-data", "--bytes", "4K", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(row["samples"] for row in rows) == 5
    for row in rows:
        known = bucket.client.object(row["url"]).head()
        assert row["size_bytes"] == known.size_bytes
        assert row["checksum"] == {"kind": known.checksum.kind, "value": known.checksum.value}


def test_a_folder_is_a_target_too(run, files, tmp_path):
    """Made where there is none."""
    out = tmp_path / "deep" / "out"
    done = run("pack", files(SAMPLES), out, "--prefix", "val")
    assert done.stdout == f"file://{out}/val-000000.tar\n"
    with tarfile.open(out / "val-000000.tar") as shard:
        assert shard.getnames() == sorted(SAMPLES)


def test_odd_and_skipped_files_are_reported(run, files, tmp_path):
    """On stderr, as warnings; the work is done."""
    folder = files({**SAMPLES, "0005.jpg": b"", "README": b"", ".hidden": b""})
    done = run("pack", folder, tmp_path / "out")
    assert done.exit_code == 0
    odd, left_out = done.stderr.splitlines()
    assert odd.startswith("aisio: warning: 1 of 6 samples lack or add extensions")
    assert left_out.startswith("aisio: warning: files left out")


def test_a_name_that_is_not_utf8_is_packed_as_it_is(run, files, tmp_path):
    """Names in a shard are bytes, as those of files are."""
    folder = files({"0.txt": b"0"})
    (folder / "caf\udce9.txt").write_bytes(b"1")
    done = run("pack", folder, tmp_path / "out")
    assert (done.exit_code, done.stderr) == (0, "")
    with tarfile.open(tmp_path / "out/shard-000000.tar") as shard:
        assert shard.getnames() == ["0.txt", "caf\udce9.txt"]


def test_strict_refuses_what_is_odd(run, files, tmp_path):
    """Before anything is written."""
    folder = files({**SAMPLES, "0005.jpg": b""})
    done = run("pack", "--strict", folder, tmp_path / "out")
    assert done.exit_code == 1
    assert "1 with jpg (0005)" in done.stderr
    assert not (tmp_path / "out").exists()


def test_shards_of_an_earlier_run_are_replaced_only_with_overwrite(run, files, tmp_path):
    """And those that have no successor go."""
    folder, out = files(SAMPLES), tmp_path / "out"
    assert run("pack", folder, out, "--samples", "1").exit_code == 0
    refused = run("pack", folder, out, "--samples", "4")
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert run("pack", folder, out, "--samples", "4", "--overwrite").exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["shard-000000.tar", "shard-000001.tar"]


def test_a_bucket_is_created_with_the_option(run, bucket, files):
    """And only then."""
    refused = run("pack", files(SAMPLES), "ais://cli-new")
    assert refused.exit_code == 1
    assert "--create-bucket" in refused.stderr
    assert run("pack", files(SAMPLES), "ais://cli-new", "--create-bucket").exit_code == 0
    bucket.client.bucket("cli-new").delete()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--samples", "2", "--bytes", "1M"], 2),
        (["--samples", "0"], 2),
        (["--bytes", "many"], 2),
        (["--bytes", "0"], 2),
        (["--prefix", "a/b"], 2),
    ],
)
def test_invalid_limits(run, files, tmp_path, words, status):
    """Nothing is written."""
    done = run("pack", files(SAMPLES), tmp_path / "out", *words)
    assert done.exit_code == status
    assert not (tmp_path / "out").exists()


def test_a_folder_is_needed(run, files, tmp_path):
    """A missing one is a usage error, an empty one has nothing to pack."""
    assert run("pack", tmp_path / "none", tmp_path / "out").exit_code == 2
    (tmp_path / "empty").mkdir()
    done = run("pack", tmp_path / "empty", tmp_path / "out")
    assert done.exit_code == 1
    assert "nothing to pack" in done.stderr
