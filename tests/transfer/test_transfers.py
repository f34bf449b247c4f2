"""copy, move and sync."""

from __future__ import annotations

import time

import pytest

from aisio.client.client import Client
from aisio.errors import ConfigError, IntegrityError, NotFoundError
from aisio.sources import source as source_of
from aisio.testing.fault_proxy import Corrupt, FaultProxy
from aisio.transfer import Action, Outcome, TransferOptions, copy, move, sync
from aisio.transfer.local_checksums import LocalChecksums
from aisio.transfer.options import Existing
from aisio.transfer.transfers import Transfer
from aisio.urls import ObjectUrl

RECURSIVE = TransferOptions(recursive=True)
DATA = {"a.jpg": b"1", "deep/b.txt": b"22", "deep/c.jpg": b""}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    """Keep checksums in a folder of the test's own."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


def contents(bucket, prefix=""):
    """Return the objects below a prefix."""
    return {
        info.name[len(prefix) :]: bucket.object(info.name).get() for info in bucket.list(prefix)
    }


def tree(folder):
    """Return the files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def fill(bucket, data, prefix=""):
    """Store objects."""
    for name, content in data.items():
        bucket.object(f"{prefix}{name}").put(content)


@pytest.fixture
def other(client):
    """Return another empty bucket."""
    bucket = client.bucket("transfers-other").create()
    yield bucket
    bucket.delete()


def test_folders_go_up_and_down_and_between_buckets(bucket, other, client, files, tmp_path):
    """Whole trees, each file under its name."""
    folder = files(DATA)
    up = copy(f"file://{folder}", "ais://transfers/x/", RECURSIVE, client=client)
    assert contents(bucket) == {f"x/{name}": data for name, data in DATA.items()}
    across = copy("ais://transfers/x", "ais://transfers-other/y", RECURSIVE, client=client)
    assert contents(other, "y/") == DATA
    down = copy("ais://transfers-other/y/", f"file://{tmp_path}/down", RECURSIVE, client=client)
    assert tree(tmp_path / "down") == DATA
    here = copy(f"file://{folder}/", f"file://{tmp_path}/again/", RECURSIVE, client=client)
    assert tree(tmp_path / "again") == DATA
    for report in (up, across, down, here):
        assert (report.copied, report.size_bytes, report.failed) == (3, 3, 0)


def test_one_object_may_get_another_name(bucket, client, files, tmp_path):
    """Or keep its own in a folder."""
    folder = files(DATA)
    copy(f"file://{folder}/a.jpg", "ais://transfers/z.jpg", client=client)
    copy(f"file://{folder}/a.jpg", "ais://transfers", client=client)
    copy("ais://transfers/z.jpg", "ais://transfers/deep/", client=client)
    assert list(contents(bucket)) == ["a.jpg", "deep/z.jpg", "z.jpg"]
    copy("ais://transfers/z.jpg", f"file://{tmp_path}/new/y.jpg", client=client)
    copy("ais://transfers/z.jpg", f"file://{tmp_path}/new", client=client)
    assert tree(tmp_path / "new") == {"y.jpg": b"1", "z.jpg": b"1"}


def test_patterns_and_several_sources_go_into_a_folder(bucket, client, tmp_path):
    """Names begin behind the folder before the first wildcard."""
    fill(bucket, {**DATA, "t-000": b"0", "t-001": b"1"})
    copy(["ais://transfers/**/*.jpg", "ais://transfers/t-{000..001}"], f"file://{tmp_path}/out",
         client=client)  # fmt: skip
    assert sorted(tree(tmp_path / "out")) == ["a.jpg", "deep/c.jpg", "t-000", "t-001"]


def test_names_are_left_out(bucket, client, files):
    """By patterns."""
    options = TransferOptions(recursive=True, include=("*.jpg",), exclude=("deep/",))
    copy(f"file://{files(DATA)}", "ais://transfers", options, client=client)
    assert list(contents(bucket)) == ["a.jpg"]


def test_patterns_that_take_nothing_are_told(bucket, client, files, caplog):
    """One may be misspelt; it is no failure, as of a nightly copy."""
    folder = files(DATA)
    options = TransferOptions(recursive=True, include=("*.jpgg",))
    report = copy(f"file://{folder}", "ais://transfers", options, client=client)
    assert (report.copied, report.failed) == (0, 0)
    assert caplog.messages == [
        f"file://{folder}: no name is selected by include='*.jpgg', of 3 names"
    ]


def test_what_is_there_is_kept_or_compared(bucket, client, files):
    """On request."""
    folder = files({"same": b"1", "changed": b"2", "new": b"3"})
    old = {"same": b"1", "changed": b"9"}
    cases: list[tuple[Existing, bytes, int]]
    cases = [("keep", b"9", 1), ("compare", b"2", 2), ("replace", b"2", 3)]
    for existing, changed, copied in cases:
        fill(bucket, old)
        bucket.object("new").delete(missing_ok=True)
        options = TransferOptions(recursive=True, existing=existing)
        report = copy(f"file://{folder}", "ais://transfers", options, client=client)
        assert contents(bucket) == {"same": b"1", "changed": changed, "new": b"3"}
        assert (report.copied, report.skipped) == (copied, 3 - copied)
    cases = [("keep", b"1", 1), ("keep", b"1", 0), ("compare", b"1", 0)]
    for existing, changed, copied in cases:
        options = TransferOptions(existing=existing)
        report = copy(f"file://{folder}/same", "ais://transfers/z", options, client=client)
        assert (report.copied, bucket.object("z").get()) == (copied, changed)


def test_a_dry_run_changes_nothing(bucket, client, files, tmp_path):
    """It tells what would be done."""
    folder = files({"new": b"3", "same": b"1"})
    fill(bucket, {"same": b"1", "old": b"9"})
    told: list[Outcome] = []
    options = TransferOptions(delete=True, dry_run=True)
    report = sync(f"file://{folder}", "ais://transfers", options, client=client,
                  on_outcome=told.append)  # fmt: skip
    assert [(one.action, one.destination) for one in told] == [
        (Action.SKIP, "ais://transfers/same"),
        (Action.COPY, "ais://transfers/new"),
        (Action.DELETE, "ais://transfers/old"),
    ]
    assert (report.copied, report.deleted) == (1, 1)
    assert contents(bucket) == {"same": b"1", "old": b"9"}
    options = TransferOptions(recursive=True, dry_run=True, create_bucket=True)
    copy(f"file://{folder}", "ais://transfers-none", options, client=client)
    assert not client.bucket("transfers-none").exists()


def test_a_missing_bucket_is_an_error_unless_it_is_created(client, files):
    """Before a file is read."""
    folder = files({"a": b"1"})
    with pytest.raises(NotFoundError, match="no such bucket"):
        copy(f"file://{folder}", "ais://transfers-new", RECURSIVE, client=client)
    options = TransferOptions(recursive=True, create_bucket=True)
    copy(f"file://{folder}", "ais://transfers-new", options, client=client)
    new = client.bucket("transfers-new")
    assert contents(new) == {"a": b"1"}
    new.delete()


@pytest.mark.parametrize("way", ["up", "down", "across", "here"])
def test_move_deletes_what_it_has_copied(bucket, other, client, files, tmp_path, way):
    """And folders that are empty then."""
    folder = files(DATA)
    here, there = f"file://{folder}", f"file://{tmp_path}/moved"
    if way in ("down", "across"):
        fill(bucket, DATA)
        here = "ais://transfers"
    if way in ("up", "across"):
        there = "ais://transfers-other"
    report = move(here, there, RECURSIVE, client=client)
    assert (report.copied, report.failed) == (3, 0)
    moved = contents(other) if way in ("up", "across") else tree(tmp_path / "moved")
    assert moved == DATA
    if way in ("down", "across"):
        assert contents(bucket) == {}
    else:
        assert not list(folder.rglob("*"))


def test_move_leaves_what_is_behind_a_link_to_a_folder(bucket, client, files):
    """It may be far away, or be moved under its other name as well."""
    folder, far = files({"real/x": b"1"}), files({"precious": b"2"}, "far")
    (folder / "out").symlink_to(far)
    (folder / "alias").symlink_to("real")
    told: list[Outcome] = []
    report = move(f"file://{folder}", "ais://transfers", RECURSIVE, client=client,
                  on_outcome=told.append)  # fmt: skip
    assert (report.copied, report.failed) == (1, 2)
    assert all("behind a link to a folder" in str(one.error) for one in told if one.error)
    assert contents(bucket) == {"real/x": b"1"}
    assert tree(far) == {"precious": b"2"}


def test_move_keeps_what_it_could_not_copy(endpoint, bucket, tmp_path):
    """The copy is damaged on its way, so there is none."""
    fill(bucket, {"a": b"1" * 1000, "b": b"2" * 1000})
    told: list[Outcome] = []
    with FaultProxy(endpoint) as proxy:
        proxy.add(Corrupt(10), path="*/transfers/a")
        client = Client(proxy.endpoint)
        report = move("ais://transfers", f"file://{tmp_path}/out", RECURSIVE, client=client,
                      on_outcome=told.append)  # fmt: skip
        client.close()
    assert (report.copied, report.failed) == (1, 1)
    assert list(contents(bucket)) == ["a"]
    assert list(tree(tmp_path / "out")) == ["b"]
    assert [type(one.error) for one in told if one.error] == [IntegrityError]


def test_sync_copies_what_changed_and_deletes_on_request(bucket, client, files, tmp_path):
    """In both directions; a file may stand where a folder must be."""
    folder = files({"a": b"1", "b": b"22", "c/d": b"3"})
    fill(bucket, {"a": b"1", "b": b"99", "old": b"", "x/old": b""})
    report = sync(f"file://{folder}", "ais://transfers", client=client)
    assert (report.copied, report.skipped, report.deleted) == (2, 1, 0)
    assert contents(bucket)["old"] == b""
    report = sync(f"file://{folder}", "ais://transfers", TransferOptions(delete=True),
                  client=client)  # fmt: skip
    assert (report.copied, report.skipped, report.deleted) == (0, 3, 2)
    assert contents(bucket) == tree(folder)
    out = files({"a/was/a/folder": b"", "c": b"a file", "e/f": b""}, "out")
    report = sync("ais://transfers", f"file://{out}", TransferOptions(delete=True), client=client)
    assert tree(out) == tree(folder)
    assert report.deleted == 3
    assert not (out / "e").exists()


def test_sync_deletes_nothing_where_the_source_is_empty_or_fails(bucket, client, files, tmp_path):
    """Unless it is said."""
    fill(bucket, {"old": b"1"})
    (tmp_path / "empty").mkdir()
    options = TransferOptions(delete=True)
    for source in (f"file://{tmp_path}/empty", f"file://{tmp_path}/none", "ais://transfers/none/"):
        with pytest.raises((NotFoundError, ConfigError)):
            sync(source, "ais://transfers", options, client=client)
    folder = files({"a": b"1"})
    (folder / "broken").symlink_to("nowhere")
    told: list[Outcome] = []
    report = sync(f"file://{folder}", "ais://transfers", options, client=client,
                  on_outcome=told.append)  # fmt: skip
    assert (report.copied, report.failed, report.deleted) == (1, 1, 0)
    assert list(contents(bucket)) == ["a", "old"]
    with pytest.raises(ConfigError, match="is no folder"):
        sync("ais://transfers/o*", f"file://{folder}", options, client=client)
    options = TransferOptions(delete=True, allow_empty=True)
    sync(f"file://{tmp_path}/empty", "ais://transfers", options, client=client)
    assert contents(bucket) == {}


@pytest.mark.parametrize("leads", ["out", "inside"])
def test_sync_deletes_nothing_through_links(files, leads):
    """What is behind a link to a folder is no part of the destination, or in it by another name."""
    folder, out = files({"real/a": b"1"}), files({"real/a": b"1", "old": b""}, "out")
    target = files({"a": b"precious"}, "elsewhere") if leads == "out" else out / "real"
    (out / "link").symlink_to(target)
    told: list[Outcome] = []
    for dry_run in (True, False):
        report = sync(f"file://{folder}", f"file://{out}",
                      TransferOptions(delete=True, dry_run=dry_run),
                      on_outcome=told.append)  # fmt: skip
        assert (report.skipped, report.deleted, report.failed) == (1, 0, 1)
    assert "link/a is behind a link to a folder" in str(
        next(one for one in told if one.error).error
    )
    assert (target / "a").exists()
    assert (out / "old").exists()
    sync(f"file://{folder}", f"file://{out}", TransferOptions(delete=True, exclude=("link/",)))
    assert sorted(one.name for one in out.iterdir()) == ["link", "real"]


def test_what_is_left_out_is_not_deleted(bucket, client, files):
    """Names that are excluded are not looked at, here or there."""
    fill(bucket, {"old.log": b"", "old.jpg": b""})
    options = TransferOptions(delete=True, exclude=("*.log",))
    sync(f"file://{files({'a': b'1'})}", "ais://transfers", options, client=client)
    assert list(contents(bucket)) == ["a", "old.log"]


def test_many_unchanged_files_make_no_request_for_data(endpoint, bucket, files, tmp_path):
    """One listing, and one HEAD of the bucket."""
    data = {f"{number // 10}/{number:03d}": bytes([number % 256]) for number in range(300)}
    folder = files(data)
    fill(bucket, data)
    later = lambda: time.time_ns() + 60 * 10**9  # noqa: E731
    options = TransferOptions(recursive=True, existing="compare", delete=True)
    for here, there in (
        (f"file://{folder}/", "ais://transfers/"),
        ("ais://transfers/", f"file://{folder}/"),
    ):
        with FaultProxy(endpoint) as proxy:
            client = Client(proxy.endpoint)
            checksums = LocalChecksums(tmp_path / "cache", now_ns=later)
            transfer = Transfer(options, client=client, checksums=checksums)
            transfer.add_source(ObjectUrl.parse(here))
            report = transfer.run(ObjectUrl.parse(there))
            assert (report.skipped, report.copied) == (300, 0)
            assert not [one for one in proxy.requests if "/objects/" in one.path]
            assert len([one for one in proxy.requests if "/buckets/" in one.path]) <= 3
            client.close()


def test_a_copy_onto_itself_or_into_itself_is_refused(bucket, client, files):
    """Before anything is read."""
    fill(bucket, {"a/b": b"1"})
    folder = files({"a": b"1"})
    for source, destination in (
        ("ais://transfers/a/", "ais://transfers/a/deep/"),
        ("ais://transfers", "ais://transfers/x/"),
        ("ais://transfers/a/b", "ais://transfers/a/b"),
        (f"file://{folder}", f"file://{folder}/deep"),
        (f"file://{folder}/a", f"file://{folder}"),
    ):
        options = TransferOptions(recursive=not source.endswith(("b", "/a")))
        with pytest.raises(ConfigError, match=r"inside of it|are the same"):
            copy(source, destination, options, client=client)


@pytest.mark.parametrize("where", ["bucket", "folder", "link"])
@pytest.mark.parametrize("transfer", [copy, move])
def test_a_source_that_would_be_replaced_before_it_is_copied_is_refused(
    bucket, client, files, tmp_path, where, transfer
):
    """Else a/x might become a copy of a/a/x first."""
    data = {"a/x": b"outer", "a/a/x": b"inner"}
    fill(bucket, data)
    folder = files(data)
    (tmp_path / "link").symlink_to(folder)
    roots = {
        "bucket": ("ais://transfers", "ais://transfers"),
        "folder": (f"file://{folder}", f"file://{folder}"),
        "link": (f"file://{folder}", f"file://{tmp_path}/link"),
    }
    here, there = roots[where]
    with pytest.raises(ConfigError, match=r"a/a/x would be copied to .*/a/x, which is a source"):
        transfer(f"{here}/a/", f"{there}/", RECURSIVE, client=client)
    assert contents(bucket) == tree(folder) == data
    transfer(f"{here}/a/a/", f"{there}/b/", RECURSIVE, client=client)


def test_a_copy_onto_itself_through_a_link_is_refused(files, tmp_path):
    """Source and destination are one file."""
    folder = files({"x": b"1"})
    (tmp_path / "link").symlink_to(folder)
    for source in (f"file://{folder}/x", f"file://{folder}/*"):
        with pytest.raises(ConfigError, match="are the same"):
            move(source, f"file://{tmp_path}/link/")
    assert tree(folder) == {"x": b"1"}


def test_a_folder_whose_name_is_not_utf_8_is_compared(files, tmp_path):
    """Nothing is remembered of it."""
    folder = files({"a": b"1"}, "caf\udce9")
    for copied in (1, 0):
        report = sync(f"file://{folder}", f"file://{tmp_path}/out")
        assert (report.copied, report.failed) == (copied, 0)


def test_names_that_cannot_be_files_are_refused_before_anything_is_written(client, tmp_path):
    """All of them are named."""
    names = ("fine", "x" * 256, "a", "a/b", "y.aisio-partial")
    transfer = Transfer(RECURSIVE, client=client)
    urls = source_of([f"ais://transfers/{name}" for name in names], client=client)
    transfer.add_named_source(urls, "some names")
    with pytest.raises(ConfigError) as caught:
        transfer.run(ObjectUrl.parse(f"file://{tmp_path}/out"))
    assert "255 bytes" in str(caught.value)
    assert "y.aisio-partial" in str(caught.value)
    assert "out/a would be a folder" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_two_sources_with_one_name_are_refused(bucket, client, files):
    """Before anything is stored."""
    one, two = files({"a": b"1"}, "one"), files({"a": b"2"}, "two")
    with pytest.raises(ConfigError, match="would both be copied"):
        copy([f"file://{one}", f"file://{two}"], "ais://transfers", RECURSIVE, client=client)
    assert contents(bucket) == {}


def test_without_a_callback_the_first_failure_is_raised(bucket, client, files):
    """With one, the others are copied."""
    folder = files({"a": b"1", "z": b"2"})
    (folder / "b").symlink_to("nowhere")
    with pytest.raises(Exception, match="leads to no file"):
        copy(f"file://{folder}", "ais://transfers", RECURSIVE, client=client)
    told: list[Outcome] = []
    report = copy(f"file://{folder}", "ais://transfers", RECURSIVE, client=client,
                  on_outcome=told.append)  # fmt: skip
    assert (report.copied, report.failed) == (2, 1)
