"""`aisio tar`."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

FILES = {"b.txt": b"2", "a/1.txt": b"1" * 600}


def places(tmp_path, *more):
    """Return the words that name a tar and its index, and others."""
    return ("--tar-path", tmp_path / "o.tar", "--index-path", tmp_path / "o.idx", *more)


def test_both_are_named_once_they_are_stored(run, bucket, files):
    """The options are those of the original."""
    url = "ais://cli-data/t"
    words = ("--tar-path", f"{url}.tar", "--index-path", f"{url}.idx")
    done = run("tar", *words, "--source-path", files(FILES))
    assert (done.exit_code, done.stderr) == (0, "aisio: 2 files, 3,584 bytes\n")
    assert done.stdout.splitlines() == [f"{url}.tar", f"{url}.idx"]
    with tarfile.open(fileobj=io.BytesIO(bucket.object("t.tar").get())) as archive:
        assert archive.getnames() == ["a/1.txt", "b.txt"]


def test_the_index_of_a_tar(run, files, tmp_path):
    """The same as when it was packed; JSON has all that is known."""
    assert run("tar", *places(tmp_path), "--source-path", files(FILES)).exit_code == 0
    first = (tmp_path / "o.idx").read_bytes()
    again = run("tar", *places(tmp_path, "--index-only", "--overwrite", "--json"))
    assert json.loads(again.stdout) == {
        "url": f"file://{tmp_path}/o.tar",
        "index_url": f"file://{tmp_path}/o.idx",
        "members": 2,
        "size_bytes": 3584,
        "checksum": None,
    }
    assert (tmp_path / "o.idx").read_bytes() == first


def test_what_is_there_is_replaced_only_with_overwrite(run, files, tmp_path):
    """One line of error."""
    words = places(tmp_path, "--source-path", files(FILES))
    assert run("tar", *words).exit_code == 0
    refused = run("tar", *words)
    assert refused.exit_code == 1
    assert "o.tar exists; overwrite it" in refused.stderr
    done = run("tar", *words, "--overwrite", "--json")
    assert json.loads(done.stdout)["checksum"]["kind"] == "xxhash2"


def test_a_bucket_is_created_with_the_option(run, bucket, files):
    """And only then."""
    url = "ais://cli-tars/o"
    places = ("--tar-path", f"{url}.tar", "--index-path", f"{url}.idx")
    words = (*places, "--source-path", files(FILES))
    refused = run("tar", *words)
    assert refused.exit_code == 1
    assert "--create-bucket" in refused.stderr
    assert run("tar", *words, "--create-bucket").exit_code == 0
    bucket.client.bucket("cli-tars").delete()


@pytest.mark.parametrize("words", [(), ("--index-only", "--source-path", "x")])
def test_a_source_or_index_only(run, tmp_path, words):
    """A usage error."""
    assert run("tar", *places(tmp_path, *words)).exit_code == 2


def test_what_cannot_be_packed(run, tmp_path):
    """Nothing is written."""
    (tmp_path / "empty").mkdir()
    done = run("tar", *places(tmp_path, "--source-path", tmp_path / "empty"))
    assert done.exit_code == 1
    assert "nothing to pack" in done.stderr
    assert not (tmp_path / "o.tar").exists()
