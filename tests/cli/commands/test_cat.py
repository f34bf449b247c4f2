"""`aisio cat`."""

from __future__ import annotations


def test_objects_are_written_one_after_the_other(run, bucket, files):
    """From any stores, bytes as they are."""
    bucket.object("a").put(b"\xff\x00")
    bucket.object("empty").put(b"")
    local = files({"b": b"\r\nb"}) / "b"
    done = run("cat", "ais://cli-data/a", "ais://cli-data/empty", local)
    assert (done.exit_code, done.stdout_bytes) == (0, b"\xff\x00\r\nb")


def test_a_range_of_each_is_written(run, bucket):
    """Bytes [start, stop)."""
    bucket.object("a").put(b"0123456789")
    done = run("cat", "--start", "2", "--stop", "4", *["ais://cli-data/a"] * 2)
    assert done.stdout_bytes == b"2323"


def test_what_is_missing_is_named_and_the_others_are_written(run, bucket, tmp_path):
    """As `cat` does, with the status of a failure; a single URL needs no summary."""
    bucket.object("a").put(b"first")
    bucket.object("b").put(b"second")
    gone = ["ais://cli-data/none", "ais://cli-data/*.png", str(tmp_path / "none")]
    done = run("cat", "ais://cli-data/a", *gone, "ais://cli-data/b")
    assert (done.exit_code, done.stdout_bytes) == (1, b"firstsecond")
    *each, last = done.stderr.splitlines()
    assert [url in line for url, line in zip(gone, each, strict=True)] == [True] * 3
    assert last.startswith("aisio: error: 3 of 5 URLs failed: ais://cli-data/none, ")

    done = run("cat", "ais://cli-data/none")
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1


def test_without_an_endpoint_what_needs_none_is_written(run, monkeypatch, tmp_path):
    """Also beside a local folder that is not there."""
    monkeypatch.delenv("AIS_ENDPOINT")
    (tmp_path / "a").write_bytes(b"here")
    done = run("cat", "ais://cli-data/a", f"{tmp_path}/none/", str(tmp_path / "a"))
    assert (done.exit_code, done.stdout_bytes) == (1, b"here")
    no_endpoint, no_folder, last = done.stderr.splitlines()
    assert "no endpoint" in no_endpoint
    assert "there is no such folder" in no_folder
    assert last.startswith("aisio: error: 2 of 3 URLs failed")


def test_a_folder_is_named_with_what_takes_it(run, bucket):
    """The pattern is one that the command accepts."""
    bucket.object("t/a").put(b"1")
    done = run("cat", "ais://cli-data/t")
    assert "`aisio cat 'ais://cli-data/t/**'` takes them all" in done.stderr
    assert run("cat", "ais://cli-data/t/**").stdout == "1"


def test_damaged_bytes_are_an_error_at_the_end(run, stub):
    """They are out by then, but the status tells."""

    def answer(exchange):
        exchange.send_response(200)
        exchange.send_header("Content-Length", "5")
        exchange.send_header("Ais-Checksum-Type", "md5")
        exchange.send_header("Ais-Checksum-Value", "0" * 32)
        exchange.end_headers()
        exchange.wfile.write(b"wrong")

    done = run("-e", stub(answer), "cat", "ais://any/a")
    assert done.exit_code == 1
    assert "checksum" in done.stderr


def test_patterns(run, bucket):
    """All objects that match, in order of their names; ranges of each."""
    for name in ("b", "a", "c/a"):
        bucket.object(name).put(name.encode() * 3)
    assert run("cat", "ais://cli-data/*").stdout == "aaabbb"
    assert run("cat", "ais://cli-data/{c/a,b}", "--start", 1, "--stop", 3).stdout == "/abb"
    done = run("cat", "ais://cli-data/*.png")
    assert done.exit_code == 1
    assert "no name matches" in done.stderr
