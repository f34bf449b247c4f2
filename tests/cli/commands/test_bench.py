"""`aisio bench`."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from tests.svg import texts


@pytest.fixture
def data(bucket):
    """Return a bucket of three objects and a shard of one sample."""
    for number in range(3):
        bucket.object(f"o/{number}.bin").put(b"x" * 1000)
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as tar:
        member = tarfile.TarInfo("0.cls")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"7"))
    bucket.object("s/0.tar").put(shard.getvalue())
    return bucket


def test_each_work_is_a_line(run, data):
    """Listing, objects and shards of a bucket, with what limited them."""
    done = run("bench", "ais://cli-data", "--turns", 2)
    assert done.exit_code == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split()[:3] == ["work", "items", "items/s"]
    assert [line.split()[:2] for line in lines] == [
        ["list", "4"],
        ["objects", "3"],
        ["shards", "1"],
    ]
    assert all(line.endswith(("  this CPU", "  the store")) for line in lines)
    assert done.stderr.startswith("aisio: 2 turns of at most 1,000 objects")


def test_json_is_an_object_for_each_work(run, data):
    """Times in seconds; percentiles for objects alone."""
    done = run("bench", "ais://cli-data/", "--json", "--turns", 1)
    listing, objects, shards = map(json.loads, done.stdout.splitlines())
    assert (objects["work"], objects["items"], objects["size_bytes"]) == ("objects", 3, 3000)
    assert 0 < objects["first_s"] <= objects["p99_s"]
    assert objects["p50_s"] <= objects["p90_s"] <= objects["p99_s"]
    assert listing["p50_s"] is shards["p50_s"] is None
    assert objects["limited_by"] in ("cpu", "store")


def test_how_much_is_read_can_be_limited(run, data):
    """By objects and by bytes."""
    for words, expected in ((("--objects", 2), (2, 2000)), (("--bytes", "1500"), (2, 1500))):
        done = run("bench", "ais://cli-data/o/", "--json", *words)
        read = json.loads(done.stdout.splitlines()[1])
        assert (read["items"], read["size_bytes"]) == expected


def test_a_local_folder_can_be_measured(run, files):
    """Without a cluster."""
    done = run("bench", files({"a": b"12"}), "--json", env={"AIS_ENDPOINT": ""})
    assert [json.loads(line)["work"] for line in done.stdout.splitlines()] == ["list", "objects"]


def test_nothing_to_read_is_an_error(run, data):
    """Status 1, and no line of figures."""
    done = run("bench", "ais://cli-data/none")
    assert (done.exit_code, "ais://cli-data/none" in done.stderr) == (1, True)


def test_plot_draws_the_figures(run, data, tmp_path):
    """Beside the table, or the JSON."""
    pytest.importorskip("matplotlib")
    done = run("bench", "--turns", 1, "ais://cli-data", "--plot", tmp_path / "a.svg")
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    found = texts(tmp_path / "a.svg")
    assert {"Reading ais://cli-data", "Rate", "Throughput", "samples of shards"} <= set(found)
    done = run("bench", "--json", "--turns", 1, "ais://cli-data", "--plot", tmp_path / "b.png")
    assert len([json.loads(line)["work"] for line in done.stdout.splitlines()]) == 3
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_picture_is_an_error_before_anything_is_read(run, tmp_path):
    """The URL does not even exist."""
    done = run("bench", "ais://cli-none", "--plot", tmp_path / "a.gif")
    assert done.exit_code == 1
    assert "a picture is a .png or .svg file" in done.stderr
