"""`aisio pack`."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import struct
import tarfile
import termios
from contextlib import suppress

import pytest


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    """Leave the user's cache alone."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


SAMPLES = {f"{number:04d}.{kind}": b"x" * number for number in range(5) for kind in ("cls", "jpg")}


def test_each_shard_is_named_once_it_is_stored(run, bucket, files):
    """One URL a line; the next command can read them."""
    done = run("pack", files(SAMPLES), "ais://cli-data/train", "--samples", "2")
    assert done.exit_code == 0
    urls = [f"ais://cli-data/train/shard-{number:06d}.tar" for number in range(3)]
    assert done.stdout.splitlines() == urls
    index = "ais://cli-data/train/.aisio-index"
    assert [info.url for info in bucket.list()] == [index, *urls]
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


def test_a_bucket_without_its_scheme_is_refused(run, files, tmp_path, monkeypatch):
    """As by put: `ais://` may be missing."""
    monkeypatch.chdir(tmp_path)
    done = run("pack", files(SAMPLES), "imagenet/packed")
    assert done.exit_code == 2
    assert "for a bucket write ais://imagenet/packed" in done.stderr
    assert run("pack", files(SAMPLES), "./imagenet/packed").exit_code == 0


def test_odd_and_skipped_files_are_reported(run, files, tmp_path):
    """On stderr, as warnings; the work is done."""
    folder = files({**SAMPLES, "0005.jpg": b"", "README": b"", ".hidden": b""})
    done = run("pack", folder, tmp_path / "out")
    assert done.exit_code == 0
    odd, left_out, summary = done.stderr.splitlines()
    assert odd.startswith("aisio: warning: 1 of 6 samples lack or add extensions")
    assert left_out.startswith("aisio: warning: files left out")
    assert re.fullmatch(
        r"aisio: 1 shard, 6 samples, 11 files in [\d.]+ s: [\d,]+ files/s, [\d.]+ k?[Bb]\w*/s",
        summary,
    )


def test_a_name_that_is_not_utf8_is_packed_as_it_is(run, files, tmp_path):
    """Names in a shard are bytes, as those of files are."""
    folder = files({"0.txt": b"0"})
    (folder / "caf\udce9.txt").write_bytes(b"1")
    done = run("pack", folder, tmp_path / "out")
    assert done.exit_code == 0
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
    names = [".aisio-index", "shard-000000.tar", "shard-000001.tar"]
    assert sorted(path.name for path in out.iterdir()) == names


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
    """A missing one is an error; an empty one has nothing to pack."""
    assert run("pack", tmp_path / "none", tmp_path / "out").exit_code == 1
    (tmp_path / "empty").mkdir()
    done = run("pack", tmp_path / "empty", tmp_path / "out")
    assert done.exit_code == 1
    assert "nothing to pack" in done.stderr


IMAGES = {f"{kind}/{number}.jpg": b"J" * number for kind in ("cat", "dog") for number in range(10)}


def names_in(shard) -> list[str]:
    """Return the names of the members of a shard."""
    with tarfile.open(shard) as archive:
        return archive.getnames()


def test_class_folders_are_labelled_mixed_and_split(run, files, tmp_path):
    """In one command; the classes are told."""
    out = tmp_path / "out"
    words = ("--labels-from-folder", "--split", "train=0.8,val=0.2")
    done = run("pack", *words, files(IMAGES), out)
    assert done.stdout.splitlines() == [
        f"file://{out}/train/shard-000000.tar",
        f"file://{out}/val/shard-000000.tar",
    ]
    assert done.stderr.splitlines()[1:] == ["aisio: 2 classes: 0 cat, 1 dog"]
    assert "20 samples, 40 files in" in done.stderr
    train, val = (names_in(out / name / "shard-000000.tar") for name in ("train", "val"))
    assert (len(train), len(val)) == (32, 8)
    assert train != sorted(train)
    assert sum(name.startswith("cat/") for name in val) == 4
    assert json.loads((out / "val" / "classes.json").read_bytes()) == {"cat": 0, "dog": 1}


def test_another_set_gets_the_numbers_of_the_first(run, files, tmp_path):
    """Also where it lacks a class; without labels there is nothing to number."""
    run("pack", "--labels-from-folder", files(IMAGES), tmp_path / "train")
    val = files({"dog/1.jpg": b"J"}, "val")
    numbers = ("--classes", tmp_path / "train" / "classes.json")
    done = run("pack", "--labels-from-folder", *numbers, val, tmp_path / "out")
    assert done.exit_code == 0
    with tarfile.open(tmp_path / "out" / "shard-000000.tar") as shard:
        member = shard.extractfile("dog/1.cls")
        assert member is not None
        assert member.read() == b"1"
    refused = run("pack", *numbers, val, tmp_path / "other")
    assert refused.exit_code == 1
    assert "no sample has a label" in refused.stderr


@pytest.mark.parametrize("words", [["--shuffle"], ["--shuffle", "0"], ["--shuffle=0"]])
def test_a_seed_may_be_left_out(run, files, tmp_path, words):
    """Also where the folder follows; it is 0."""
    done = run("pack", *words, files(IMAGES), tmp_path / "out")
    assert done.exit_code == 0
    first = names_in(tmp_path / "out/shard-000000.tar")
    assert first != sorted(first)
    assert first[:3] == GOLDEN
    other = run("pack", files(IMAGES), tmp_path / "other", "--shuffle", "1")
    assert other.exit_code == 0
    assert names_in(tmp_path / "other/shard-000000.tar")[:3] != GOLDEN


GOLDEN = ["dog/6.jpg", "dog/9.jpg", "dog/0.jpg"]


def test_class_order_is_told(run, files, tmp_path):
    """Unless it was asked for."""
    done = run("pack", files(IMAGES), tmp_path / "out")
    warning, _ = done.stderr.splitlines()
    assert "in the order of their 2 folders (cat, dog)" in warning
    done = run("pack", files(IMAGES), tmp_path / "out", "--no-shuffle")
    (summary,) = done.stderr.splitlines()
    assert summary.startswith("aisio: 1 shard (1 stored before), 20 samples, 20 files in ")


def test_a_list_names_the_line_of_a_missing_file(run, files, tmp_path):
    """And nothing is written."""
    (tmp_path / "list.csv").write_text("file,label\ncat/1.jpg,cat\ncat/x.jpg,cat\n")
    done = run("pack", files(IMAGES), tmp_path / "out", "--list", tmp_path / "list.csv")
    assert done.exit_code == 1
    assert f"{tmp_path}/list.csv, line 3: there is no file" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--shuffle", "--no-shuffle"], "exclude each other"),
        (["--split", "train"], "as in train=0.9,val=0.1"),
        (["--split", "a=0.5,a=0.5"], "each name once"),
        (["--split", "a=0.8,b=0.3"], "the fractions add up to 1.1, more than 1"),
        (["--prefix", ".a"], "--prefix"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_options_that_cannot_be(run, files, tmp_path, words, says):
    """A usage error."""
    done = run("pack", files(IMAGES), tmp_path / "out", *words)
    assert done.exit_code == 2
    assert says in done.stderr


def test_a_bar_shows_on_a_terminal(start, files, tmp_path):
    """With files and bytes a second."""
    names = {f"{number}.bin": bytes(1 << 20) for number in range(4)}
    reader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 100, 0, 0))
    program = start("pack", files(names), tmp_path / "out", stderr=terminal)
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # the end of a terminal
        while data := os.read(reader, 4096):
            shown += data
    os.close(reader)
    assert program.wait() == 0
    assert re.search(rb"files: .*GB/s", shown)
    assert b"1 shard, 4 samples, 4 files in" in shown
