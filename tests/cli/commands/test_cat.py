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


def test_the_first_missing_object_ends_it(run, bucket):
    """What came before it has been written."""
    bucket.object("a").put(b"first")
    done = run("cat", "ais://cli-data/a", "ais://cli-data/none", "ais://cli-data/a")
    assert (done.exit_code, done.stdout_bytes) == (1, b"first")
    assert "ais://cli-data/none" in done.stderr


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
