"""`aisio get`."""

from __future__ import annotations

import json
import os
import stat

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Stand in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


LAST_PAGE = {"uuid": "u", "continuation_token": "", "flags": 0}
"""What a page of a listing has beside its entries."""


def names(folder):
    """Return the paths of all files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_object_is_written_under_its_last_name(run, bucket, here):
    """As cp does."""
    bucket.object("deep/a.bin").put(bytes(range(256)))
    done = run("get", "ais://cli-data/deep/a.bin")
    assert (done.exit_code, done.output) == (0, "")
    assert (here / "a.bin").read_bytes() == bytes(range(256))


def test_a_file_or_a_folder_can_be_named(run, bucket, here):
    """A folder gets the object's own name."""
    bucket.object("a.bin").put(b"bytes")
    (here / "folder").mkdir()
    assert run("get", "ais://cli-data/a.bin", "b.bin").exit_code == 0
    assert run("get", "ais://cli-data/a.bin", "folder").exit_code == 0
    assert names(here) == ["b.bin", "folder/a.bin"]


def test_the_folders_of_a_new_file_are_made(run, bucket, here):
    """As `cp` makes them; none for an object that does not exist."""
    bucket.object("a").put(b"bytes")
    assert run("get", "ais://cli-data/none", "new/deep/x").exit_code == 1
    assert list(here.iterdir()) == []
    assert run("get", "ais://cli-data/a", "new/deep/x").exit_code == 0
    assert names(here) == ["new/deep/x"]


def test_several_urls_are_for_cp(run, here):
    """The second one is no file; the error says what takes both."""
    done = run("get", "ais://cli-data/a", "ais://cli-data/b")
    assert done.exit_code == 2
    assert "`aisio cp URL... FOLDER` takes several URLs" in done.stderr


def test_a_dash_is_stdout(run, bucket, here):
    """Bytes as they are."""
    bucket.object("a.bin").put(b"\xff\x00\n")
    assert run("get", "ais://cli-data/a.bin", "-").stdout_bytes == b"\xff\x00\n"
    assert names(here) == []


def test_a_range_is_written(run, bucket, here):
    """Bytes [start, stop), each end optional."""
    bucket.object("a").put(b"0123456789")
    for words, expected in (
        (["--start", "2", "--stop", "5"], b"234"),
        (["--start", "7"], b"789"),
        (["--stop", "3"], b"012"),
        (["--start", "8", "--stop", "99"], b"89"),
    ):
        assert run("get", "ais://cli-data/a", "-", *words).stdout_bytes == expected
    assert run("get", "ais://cli-data/a", "--start", "5", "--stop", "5").exit_code == 2
    assert run("get", "ais://cli-data/a", "--start", "99").exit_code == 1
    done = run("get", "ais://cli-data/a", "-", "--json", "-n")
    assert "--no-clobber, --json: only for whole objects that go into files" in done.stderr
    assert names(here) == []


def test_an_existing_file_is_replaced_and_a_link_is_followed(run, bucket, here):
    """The link stays a link."""
    bucket.object("a").put(b"new")
    (here / "real").write_bytes(b"old, and longer")
    (here / "a").symlink_to("real")
    assert run("get", "ais://cli-data/a").exit_code == 0
    assert (here / "real").read_bytes() == b"new"
    assert (here / "a").is_symlink()


def test_a_new_file_has_the_usual_permissions(run, bucket, here):
    """Those that the umask leaves, not the private ones of a temporary file."""
    bucket.object("a").put(b"")
    old = os.umask(0o027)
    try:
        assert run("get", "ais://cli-data/a").exit_code == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE((here / "a").stat().st_mode) == 0o640


def test_what_is_no_plain_file_is_written_to_and_not_replaced(run, bucket, here, null_device):
    """/dev/null has to survive."""
    bucket.object("a").put(b"bytes")
    assert run("get", "ais://cli-data/a", null_device).exit_code == 0
    assert null_device.is_char_device()


def test_a_destination_that_ends_in_a_slash_is_a_folder(run, bucket, here):
    """It is made where there is none; a file of its name would keep the last object alone."""
    for name in ("one", "two"):
        bucket.object(name).put(name.encode())
        assert run("get", f"ais://cli-data/{name}", "out/deep/").exit_code == 0
    assert names(here) == ["out/deep/one", "out/deep/two"]


def test_a_missing_object_leaves_no_folder(run, bucket, here):
    """A destination folder is created once there are bytes to write into it."""
    assert run("get", "ais://cli-data/none", "out/deep/").exit_code == 1
    assert not (here / "out").exists()


def test_a_missing_object_of_many_leaves_no_folder(run, bucket, here, tmp_path, monkeypatch):
    """A catalog may name an object that is gone."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    (catalog / "team.yaml").write_text("- tag: x\n  urls: ['ais://cli-data/deep/none']\n")
    monkeypatch.setenv("AISIO_CATALOG", str(catalog))
    assert run("get", "-r", "catalog://team/x", "out").exit_code == 1
    assert not (here / "out").exists()


def test_a_file_is_no_folder_to_create(run, bucket, here):
    """The error names the file."""
    bucket.object("a").put(b"new")
    (here / "out").write_bytes(b"a file")
    done = run("get", "ais://cli-data/a", "out/")
    assert (done.exit_code, done.stderr) == (1, "aisio: error: out/a: Not a directory\n")


def test_a_destination_is_a_path(run, bucket, here):
    """A file URL is one; of another URL, there would be a folder "s3:" here."""
    bucket.object("x/o").put(b"o")
    for words in (["get", "-r", "ais://cli-data/x/"], ["get", "ais://cli-data/x/o"]):
        for where in ("s3://other/copy", "ais://cli-data/y", "s3:other", "catalog://x"):
            done = run(*words, where)
            assert done.exit_code == 2
            assert done.stderr.count("\n") == 1
    assert names(here) == []
    assert run("get", "ais://cli-data/x/o", f"file://{here}/a").exit_code == 0
    assert run("get", "-r", "ais://cli-data/x/", f"file://{here}/b/").exit_code == 0
    assert names(here) == ["a", "b/o"]


def test_a_folder_of_objects_needs_recursion(run, bucket, here):
    """The error says so, whether the URL ends in a slash or not."""
    bucket.object("train/1").put(b"1")
    for url, status in (("train", 1), ("train/", 2), ("", 2)):
        done = run("get", f"ais://cli-data/{url}")
        assert done.exit_code == status
        assert "--recursive" in done.stderr
    assert "--recursive" not in run("get", "ais://cli-data/val").stderr


def test_a_pattern_takes_what_matches(run, bucket, here):
    """Into a folder, with and without --recursive; what matches nothing is an error."""
    for name in ("a.jpg", "deep/b.jpg", "c.txt"):
        bucket.object(name).put(name.encode())
    for number, flags in enumerate(([], ["-r"])):
        assert run("get", *flags, "ais://cli-data/*.jpg", str(number)).exit_code == 0
        assert run("get", *flags, "ais://cli-data/{a.jpg,c.txt}", f"b{number}").exit_code == 0
    assert names(here) == ["0/a.jpg", "1/a.jpg", "b0/a.jpg", "b0/c.txt", "b1/a.jpg", "b1/c.txt"]
    assert run("get", "ais://cli-data/*.png").exit_code == 1


def test_an_object_with_the_name_of_a_pattern_is_that_object(run, bucket, here):
    """A shell may have made it."""
    bucket.object("x[1].jpg").put(b"1")
    assert run("get", "ais://cli-data/x[1].jpg", "y.jpg").exit_code == 0
    assert names(here) == ["y.jpg"]


def test_what_is_there_is_kept_or_compared(run, bucket, here):
    """Of one object and of many."""
    bucket.object("a").put(b"new")
    (here / "a").write_bytes(b"old")
    for words in (["ais://cli-data/a"], ["-r", "ais://cli-data"]):
        assert run("get", "--no-clobber", *words).exit_code == 0
        assert run("get", "--dry-run", *words).stdout == f"cp ais://cli-data/a file://{here}/a\n"
        assert (here / "a").read_bytes() == b"old"
        assert run("get", "--skip-unchanged", *words).exit_code == 0
        assert (here / "a").read_bytes() == b"new"
        done = run("get", "--skip-unchanged", "--json", *words)
        assert json.loads(done.stdout)["action"] == "skip"
        (here / "a").write_bytes(b"old")
    assert run("get", "--no-clobber", "--skip-unchanged", "ais://cli-data/a").exit_code == 2
    assert run("get", "--size-only", "ais://cli-data/a").exit_code == 2
    assert run("get", "--no-clobber", "ais://cli-data/a", "-").exit_code == 2


def test_damaged_bytes_leave_the_old_file_and_nothing_else(run, stub, here):
    """The name shows the old bytes or all of the new ones."""

    def answer(exchange):
        exchange.send_response(200)
        exchange.send_header("Content-Length", "5")
        exchange.send_header("Ais-Checksum-Type", "md5")
        exchange.send_header("Ais-Checksum-Value", "0" * 32)
        exchange.end_headers()
        exchange.wfile.write(b"wrong")

    (here / "a").write_bytes(b"old")
    done = run("-e", stub(answer), "get", "ais://any/a")
    assert done.exit_code == 1
    assert "checksum" in done.stderr
    assert (here / "a").read_bytes() == b"old"
    assert names(here) == ["a"]


@pytest.mark.parametrize(("cut", "status"), [(1, 0), (2, 0), (3, 1)])
def test_an_object_that_is_cut_is_read_again(run, stub, here, cut, status):
    """Three tries; a fourth would hardly be luckier."""
    paths = []

    def answer(exchange):
        paths.append(exchange.path)
        exchange.send_response(200)
        exchange.send_header("Content-Length", "5")
        exchange.end_headers()
        exchange.wfile.write(b"byt" if len(paths) <= cut else b"bytes")

    done = run("-e", stub(answer), "get", "ais://any/a")
    assert done.exit_code == status
    assert len(paths) == min(cut + 1, 3)
    assert names(here) == (["a"] if status == 0 else [])
    assert status == 0 or "cut short" in done.stderr


def test_a_large_object_arrives_by_ranges(run, bucket, here):
    """Whole or in part, it is the same file."""
    data = bytes(range(251)) * (40 * 1024 * 1024 // 251)
    bucket.object("large").put(data)
    assert run("get", "ais://cli-data/large").exit_code == 0
    assert run("get", "ais://cli-data/large", "part", "--start", "9").exit_code == 0
    assert (here / "large").read_bytes() == data
    assert (here / "part").read_bytes() == data[9:]
    assert names(here) == ["large", "part"]


@pytest.mark.parametrize(
    ("names_there", "status", "written"), [(["p/", "p/deep/"], 1, []), (["p/", "p/x"], 0, ["x"])]
)
def test_marks_of_folders_are_no_files(run, stub, here, names_there, status, written):
    """As clouds have them; where there is nothing else, there is nothing to get."""
    entries = [{"name": name, "size": 0} for name in names_there]

    def answer(exchange):
        page = (
            json.dumps(LAST_PAGE | {"entries": entries}).encode()
            if "/buckets/" in exchange.path
            else b""
        )
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(len(page)))
        exchange.end_headers()
        exchange.wfile.write(page)

    assert run("-e", stub(answer), "get", "-r", "ais://any/p/").exit_code == status
    assert names(here) == written


def test_many_objects_go_into_folders(run, bucket, here):
    """Folders are those behind the last slash of the prefix."""
    for name in ("train/a/1.jpg", "train/b/2.jpg", "trash"):
        bucket.object(name).put(name.encode())
    assert run("get", "-r", "ais://cli-data/train/").exit_code == 0
    assert run("get", "-r", "ais://cli-data/tra", "all").exit_code == 0
    assert names(here) == [
        "a/1.jpg",
        "all/train/a/1.jpg",
        "all/train/b/2.jpg",
        "all/trash",
        "b/2.jpg",
    ]
    assert (here / "a/1.jpg").read_bytes() == b"train/a/1.jpg"


def test_an_object_in_a_folder_of_links_cannot_leave_the_folder(run, bucket, here, tmp_path):
    """A link that is there already might lead anywhere."""
    bucket.object("out/x").put(b"")
    (tmp_path / "elsewhere").mkdir()
    (here / "out").symlink_to(tmp_path / "elsewhere")
    done = run("get", "-r", "ais://cli-data/")
    assert done.exit_code == 1
    assert "leads out of" in done.stderr
    assert names(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//x", "a/./x"])
def test_a_listed_name_cannot_leave_the_folder(run, stub, here, name):
    """Whatever a server makes up."""

    def answer(exchange):
        page = json.dumps(LAST_PAGE | {"entries": [{"name": f"p/{name}", "size": 0}]}).encode()
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(len(page)))
        exchange.end_headers()
        exchange.wfile.write(page)

    done = run("-e", stub(answer), "get", "-r", "ais://any/p/")
    assert done.exit_code == 1
    assert "cannot be a file inside a folder" in done.stderr
    assert names(here) == []


def test_a_prefix_of_nothing_is_an_error(run, bucket, here):
    """It may be misspelt."""
    bucket.object("train/1").put(b"1")
    for url in ("ais://cli-data/trian/", "none/x", str(here / "none")):
        done = run("get", "-r", url, "out")
        assert done.exit_code == 1
        assert done.stderr.count("\n") == 1
    assert names(here) == []


def test_an_object_with_the_name_of_a_folder_is_reported(run, bucket, here):
    """No other file is written over, and the rest arrives."""
    bucket.object("a/a").put(b"the object a/a")
    bucket.object("z/1").put(b"1")
    assert run("get", "-r", "ais://cli-data/", "out").exit_code == 0
    bucket.object("a/a").delete()
    bucket.object("z/1").delete()
    for name in ("a", "b", "z"):
        bucket.object(name).put(b"the object " + name.encode())
    done = run("get", "-r", "ais://cli-data/", "out")
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert "get ais://cli-data/a: out/a is a folder" in lines[0]
    assert lines[-1].endswith("2 of 3 objects failed: ais://cli-data/a, ais://cli-data/z")
    assert names(here) == ["out/a/a", "out/b", "out/z/1"]
    assert (here / "out/a/a").read_bytes() == b"the object a/a"


def test_an_object_below_a_file_is_reported(run, bucket, here):
    """A bucket may have both; a folder of files cannot."""
    (here / "a").write_bytes(b"a file")
    bucket.object("a/b").put(b"1")
    bucket.object("c").put(b"2")
    done = run("get", "-r", "ais://cli-data/")
    assert done.exit_code == 1
    assert "get ais://cli-data/a/b: a file is where a should be a folder" in done.stderr
    assert names(here) == ["a", "c"]


def test_a_file_is_no_place_for_many_objects(run, bucket, here):
    """That is said once, not for each of them."""
    (here / "out").write_bytes(b"a file")
    for name in "ab":
        bucket.object(name).put(b"")
    done = run("get", "-r", "ais://cli-data/", "out")
    assert (done.exit_code, done.stderr) == (1, "aisio: error: out: Not a directory\n")


def test_a_pipe_in_the_folder_is_reported(run, bucket, here):
    """It would be waited for."""
    os.mkfifo(here / "a")
    bucket.object("a").put(b"1")
    done = run("get", "-r", "ais://cli-data/")
    assert done.exit_code == 1
    assert "a is a pipe, device or socket" in done.stderr


def test_a_link_cannot_lead_an_object_out_of_the_folder(run, bucket, here, tmp_path):
    """Nor can a link of its own name; one that stays in the folder is followed."""
    for name in ("in", "out"):
        bucket.object(name).put(b"new")
    (tmp_path / "elsewhere").write_bytes(b"old")
    (here / "out").symlink_to(tmp_path / "elsewhere")
    (here / "in").symlink_to("real")
    done = run("get", "-r", "ais://cli-data/")
    assert done.exit_code == 1
    assert "1 of 2 objects failed: ais://cli-data/out" in done.stderr
    assert (tmp_path / "elsewhere").read_bytes() == b"old"
    assert (here / "real").read_bytes() == b"new"


def test_recursion_takes_no_range_and_no_stdout(run, bucket):
    """Usage errors."""
    assert run("get", "-r", "ais://cli-data/", "-").exit_code == 2
    assert run("get", "-r", "ais://cli-data/", "--start", "1").exit_code == 2


def test_a_local_file_is_an_object_too(run, files, here):
    """One command for all stores."""
    folder = files({"a.txt": b"text"})
    assert run("get", folder / "a.txt").exit_code == 0
    assert (here / "a.txt").read_bytes() == b"text"
