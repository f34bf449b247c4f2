"""`aisio ls`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

PAGES, PAGE_ENTRIES = 10, 10_000

MEASURED = (
    "import resource, sys\nfrom aisio.cli import main\n"
    "try: main(sys.argv[1:])\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
)


def page_server(pages, *, before_page=lambda number: None):
    """Return what answers a listing of so many pages, its object names 100 characters long."""

    def answer(exchange):
        body = exchange.rfile.read(int(exchange.headers["Content-Length"]))
        number = int(json.loads(body)["value"]["continuation_token"] or 0)
        before_page(number)
        first = number * PAGE_ENTRIES
        entries = [{"name": f"{first + row:0100d}", "size": 1} for row in range(PAGE_ENTRIES)]
        token = str(number + 1) if number + 1 < pages else ""
        page = json.dumps({"uuid": "u", "continuation_token": token, "entries": entries}).encode()
        exchange.send_response(200)
        exchange.send_header("Content-Type", "application/json")
        exchange.send_header("Content-Length", str(len(page)))
        exchange.end_headers()
        exchange.wfile.write(page)

    return answer


@pytest.fixture
def objects(bucket):
    """Put a few objects and return their bucket."""
    for name in ("train/a b.jpg", "train/deep/c.jpg", "trash", "val/ä.jpg"):
        bucket.object(name).put(name.encode())
    return bucket


def rows(done):
    """Read JSON lines."""
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_without_url_the_buckets_are_listed(run, bucket):
    """By URL, so that the output is fit for the next command."""
    assert run("ls").stdout == "ais://cli-data\n"
    assert rows(run("ls", "--json")) == [{"url": "ais://cli-data"}]
    assert run("ls", "--provider", "s3").stdout == ""


def test_a_bucket_is_listed_by_urls(run, objects):
    """One a line, in bytewise order."""
    assert run("ls", "ais://cli-data").stdout.splitlines() == [
        "ais://cli-data/train/a b.jpg",
        "ais://cli-data/train/deep/c.jpg",
        "ais://cli-data/trash",
        "ais://cli-data/val/ä.jpg",
    ]


def test_a_prefix_is_a_plain_string(run, objects):
    """No folder semantics."""
    listed = run("ls", "ais://cli-data/tra").stdout.splitlines()
    assert [url.removeprefix("ais://cli-data/") for url in listed] == [
        "train/a b.jpg",
        "train/deep/c.jpg",
        "trash",
    ]


def test_long_shows_size_checksum_and_version(run, objects):
    """As the store has them."""
    info = objects.object("trash").head()
    line = run("ls", "--long", "ais://cli-data/trash").stdout
    checksum = f"{info.checksum.kind}:{info.checksum.value}"
    assert line.split() == ["5", checksum, info.version or "-", "ais://cli-data/trash"]
    (row,) = rows(run("ls", "-l", "--json", "ais://cli-data/trash"))
    assert row == {
        "url": "ais://cli-data/trash",
        "name": "trash",
        "size_bytes": 5,
        "checksum": {"kind": info.checksum.kind, "value": info.checksum.value},
        "version": info.version,
    }


def test_json_has_url_name_and_size(run, objects):
    """What a listing costs least for."""
    assert rows(run("ls", "--json", "ais://cli-data/val")) == [
        {"url": "ais://cli-data/val/ä.jpg", "name": "val/ä.jpg", "size_bytes": 10}
    ]


def test_no_recursion_shows_folders_for_what_is_in_them(run, objects):
    """One level; a folder has no size."""
    done = run("ls", "--no-recursion", "--json", "ais://cli-data")
    found = sorted((row["name"], row["size_bytes"]) for row in rows(done))
    assert found == [("train/", None), ("trash", 5), ("val/", None)]


def test_local_folders_are_listed_like_buckets(run, files):
    """By path or by URL."""
    folder = files({"a/x.jpg": b"1", "a/y.jpg": b"22", "b.jpg": b"333"})
    urls = [f"file://{folder}/a/x.jpg", f"file://{folder}/a/y.jpg", f"file://{folder}/b.jpg"]
    assert run("ls", folder).stdout.splitlines() == urls
    assert run("ls", f"file://{folder}/").stdout.splitlines() == urls
    done = run("ls", folder, "--no-recursion", "-l")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["-", "3"]


def test_a_prefix_of_nothing_is_an_error(run, objects, files, monkeypatch):
    """It may be misspelt; an empty bucket or folder is none."""
    folder = files({"x/y": b""})
    monkeypatch.chdir(folder)
    for url in ("ais://cli-data/trian/", "ais://cli-data/nothing", "none", "none/deeper"):
        for words in (["ls"], ["ls", "--json", "-l"], ["ls", "--no-recursion"]):
            done = run(*words, url)
            assert (done.exit_code, done.stdout) == (1, "")
            assert done.stderr.count("\n") == 1
            assert url.startswith("ais:") or "write ais://bucket/name" in done.stderr
    for info in list(objects.list()):
        objects.object(info.name).delete()
    (folder / "x/y").unlink()
    for url in ("ais://cli-data", "ais://cli-data/", folder / "x", "x/"):
        done = run("ls", url)
        assert (done.exit_code, done.output) == (0, "")


def test_what_is_missing_is_named_and_the_others_are_listed(run, objects):
    """As `ls` does, with the status of a failure."""
    gone = ["ais://cli-data/trian/", "ais://no-such-bucket", "ais://cli-data/*.png"]
    done = run("ls", "ais://cli-data/val", *gone, "ais://cli-data/trash")
    assert done.exit_code == 1
    assert [url.rpartition("/")[2] for url in done.stdout.splitlines()] == ["ä.jpg", "trash"]
    *each, last = done.stderr.splitlines()
    assert [url in line for url, line in zip(gone, each, strict=True)] == [True] * 3
    assert last.startswith("aisio: error: 3 of 5 URLs failed: ais://cli-data/trian/, ")


def test_an_option_that_does_not_fit_is_found_before_anything_is_listed(run, objects):
    """It is an invalid command line."""
    done = run("ls", "--no-recursion", "ais://cli-data", "ais://cli-data/*")
    assert (done.exit_code, done.stdout) == (2, "")


def test_a_name_cannot_break_a_line(run, bucket):
    """Line ends are shown as text; --json has the name as it is."""
    bucket.object("two\nlines").put(b"")
    assert run("ls", "ais://cli-data").stdout == "ais://cli-data/two\\nlines\n"
    assert rows(run("ls", "--json", "ais://cli-data"))[0]["name"] == "two\nlines"


def test_the_first_line_is_out_before_the_listing_ends(start, stub):
    """A listing of many pages streams."""
    go_on = threading.Event()

    def wait_for_reader(number):
        assert number == 0 or go_on.wait(30)

    endpoint = stub(page_server(2, before_page=wait_for_reader))
    program = start("-e", endpoint, "ls", "ais://big")
    assert program.stdout.readline() == f"ais://big/{0:0100d}\n".encode()
    assert not go_on.is_set()
    go_on.set()
    rest = program.stdout.read()  # not communicate(): it does not see what readline() has buffered
    assert (program.wait(), program.stderr.read()) == (0, b"")
    assert rest.count(b"\n") == 2 * PAGE_ENTRIES - 1


def test_a_listing_of_100_000_objects_needs_no_more_memory_than_one_page(stub, environ):
    """At 100 bytes a name alone, holding them all would take 20 MiB and more."""
    peaks = []
    for pages in (1, PAGES):
        words = ["-e", stub(page_server(pages)), "ls", "ais://big"]
        command = [sys.executable, "-c", MEASURED, *words]
        done = subprocess.run(command, capture_output=True, check=True, env=environ)
        assert done.stdout.count(b"\n") == pages * PAGE_ENTRIES
        peaks.append(int(done.stderr))
    assert peaks[1] - peaks[0] < 8 * 1024


def test_a_listing_whose_reader_has_gone_ends_quietly(start, stub):
    """`aisio ls ... | head -1`."""
    program = start("-e", stub(page_server(PAGES)), "ls", "ais://big")
    assert program.stdout.readline()
    program.stdout.close()
    assert (program.wait(), program.stderr.read()) == (0, b"")


def test_patterns_match_whole_names(run, objects):
    """Several URLs are listed one after the other."""
    assert run("ls", "ais://cli-data/t*").stdout == "ais://cli-data/trash\n"
    found = run("ls", "ais://cli-data/train/**/*.jpg", "ais://cli-data/val").stdout.splitlines()
    assert [url.rpartition("/")[2] for url in found] == ["a b.jpg", "c.jpg", "ä.jpg"]
    named = rows(run("ls", "--json", "-l", "ais://cli-data/{trash,val/ä.jpg}"))
    assert [(row["name"], row["size_bytes"]) for row in named] == [("trash", 5), ("val/ä.jpg", 10)]
    done = run("ls", "ais://cli-data/*.png")
    assert done.exit_code == 1
    assert "'**/' for any folders" in done.stderr
    assert "as text" not in done.stderr
    assert run("ls", "--no-recursion", "ais://cli-data/*").exit_code == 2


def test_sizes_are_readable(run, bucket):
    """As `ls -lh` prints them; --help explains, as -h cannot."""
    bucket.object("a").put(bytes(1536))
    assert run("ls", "-lh", "ais://cli-data").stdout.split()[0] == "1.5K"
    assert run("ls", "-rl", "ais://cli-data").stdout.split()[0] == "1,536"
    assert run("ls", "-h", "ais://cli-data").stdout == "ais://cli-data/a\n"
    assert "--human-readable" in run("ls", "--help").stdout
    assert run("ls", "-r", "--no-recursion", "ais://cli-data").exit_code == 2
