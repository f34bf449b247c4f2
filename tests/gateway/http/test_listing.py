from __future__ import annotations

import os
import threading
from typing import Any

import msgspec
import pytest
import requests

from aisio.gateway import Gateway
from tests.gateway.conftest import Served

ALL = "name,size,version,checksum,atime,cached,status,copies,custom,location"


def entry(bucket: Served, **message: Any) -> Any:
    """Return the only entry of a listing."""
    entries = bucket.list(**message).json()["entries"]
    assert len(entries) == 1
    return entries[0]


def test_a_listing_has_names_and_sizes_as_strings(bucket: Served) -> None:
    """The default; a size of 0 is left out, as AIStore leaves out all zero values."""
    bucket.put("a", b"xyz")
    bucket.put("b", b"")
    response = bucket.list()
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.content.endswith(b"\n")
    page = response.json()
    assert page["entries"] == [{"name": "a", "size": "3", "flags": 64}, {"name": "b", "flags": 64}]
    assert page["continuation_token"] == ""
    assert page["uuid"]


def test_an_empty_bucket_has_no_entries(bucket: Served) -> None:
    """null, not []; nil in msgpack."""
    assert bucket.list().json()["entries"] is None
    packed = msgspec.msgpack.decode(bucket.list("application/msgpack").content)
    assert packed["Entries"] is None


def test_a_browser_needs_no_message(bucket: Served) -> None:
    """GET without a body lists with the defaults."""
    bucket.put("a", b"x")
    page = bucket.http.get(f"{bucket.endpoint}/v1/buckets/{bucket.name}").json()
    assert [item["name"] for item in page["entries"]] == ["a"]


def test_msgpack_has_short_keys_and_leaves_out_zeros(bucket: Served) -> None:
    """The form that the official client pages through."""
    bucket.put("a", b"xyz")
    bucket.put("b", b"")
    response = bucket.list("application/msgpack", pagesize=2)
    assert response.headers["Content-Type"] == "application/msgpack"
    page = msgspec.msgpack.decode(response.content)
    assert list(page) == ["UUID", "ContinuationToken", "Entries", "Flags"]
    assert page["Entries"] == [{"n": "a", "s": 3, "f": 64}, {"n": "b", "f": 64}]
    assert (page["ContinuationToken"], page["Flags"]) == ("b", 0)


def test_all_properties_can_be_requested(bucket: Served) -> None:
    """Each has its key; the atime is written as in RFC 822."""
    put = bucket.put("a", b"xyz")
    bucket.http.patch(bucket.url("a"), json={"value": {"k": "v"}})
    listed = entry(bucket, props=ALL)
    assert listed["checksum"] == put.headers["Ais-Checksum-Value"]
    assert (listed["version"], listed["size"], listed["copies"]) == ("1", "3", 1)
    assert listed["custom-md"] == "[k:v]"
    assert listed["location"].startswith("t[")
    assert listed["atime"].endswith(" UTC")


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        ({"flags": "16"}, set()),
        ({"flags": "16", "props": ALL}, set()),
        ({"flags": "32", "props": ALL}, {"size"}),
        ({"flags": "1"}, {"size", "checksum", "atime"}),
        ({"props": "checksum"}, {"checksum"}),
        ({"props": "name, version"}, {"version"}),
        ({"props": "nonsense"}, set()),
    ],
)
def test_flags_and_props_choose_the_keys(
    bucket: Served, message: dict[str, str], keys: set[str]
) -> None:
    """Name-only and name-size win over named properties."""
    bucket.put("a", b"xyz")
    assert set(entry(bucket, **message)) == {"name", "flags"} | keys


def test_a_found_file_is_listed_without_reading_it(bucket: Served) -> None:
    """Its checksum is unknown until a client reads the object; its version is known."""
    (bucket.folder / "a").write_bytes(b"x")
    assert set(entry(bucket, props="checksum,version")) == {"name", "version", "flags"}
    bucket.get("a")
    assert "checksum" in entry(bucket, props="checksum,version")
    (bucket.folder / "a").write_bytes(b"xy")
    assert entry(bucket, props="checksum,version")["version"] == "2"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7])
@pytest.mark.parametrize("flags", ["0", "2048"])
def test_pages_add_up_to_the_whole(bucket: Served, size: int, flags: str) -> None:
    """The token is the last name of a full page; the last page may be empty with no token."""
    for name in ("a", "b/c", "b/d", "c.x", "c/x", "d"):
        bucket.put(name, b"x")
    whole, token, uuid = bucket.names(flags=flags), "", ""
    pages: list[list[str]] = []
    while token or not pages:
        page = bucket.list(pagesize=size, continuation_token=token, uuid=uuid, flags=flags).json()
        pages.append([item["name"] for item in page["entries"] or []])
        assert page["uuid"] == uuid or not uuid
        token, uuid = page["continuation_token"], page["uuid"]
        assert token == (pages[-1][-1] if len(pages[-1]) == size else "")
    assert [name for page in pages for name in page] == whole


def test_a_token_needs_no_state_in_the_gateway(bucket: Served) -> None:
    """Any token works with any uuid, even if its name has been deleted."""
    for name in ("a", "b", "c"):
        bucket.put(name, b"x")
    bucket.http.delete(bucket.url("b"))
    assert bucket.names(continuation_token="b", uuid="unknown") == ["c"]


def test_start_after_skips_the_names_up_to_it(bucket: Served) -> None:
    """Exclusive; the later of it and a token counts, as on a cluster."""
    for name in ("a", "b", "c", "d"):
        bucket.put(name, b"x")
    assert bucket.names(start_after="b") == ["c", "d"]
    assert bucket.names(start_after="b", continuation_token="c") == ["d"]
    assert bucket.names(start_after="c", continuation_token="a") == ["d"]


def test_a_prefix_is_the_beginning_of_a_name(bucket: Served) -> None:
    """One trailing * is ignored."""
    for name in ("ab/c", "abc", "b"):
        bucket.put(name, b"x")
    assert bucket.names(prefix="a") == ["ab/c", "abc"]
    assert bucket.names(prefix="ab/*") == ["ab/c"]
    assert bucket.names(prefix="x") == []


def test_without_recursion_folders_are_entries(bucket: Served) -> None:
    """Flag 256 says that it is a folder; 8192 (no-dirs) has no effect here, as on a cluster."""
    bucket.put("a/b", b"x")
    bucket.put("c", b"x")
    for flags in (2048, 2048 + 8192):
        entries = bucket.list(flags=str(flags)).json()["entries"]
        assert entries == [{"name": "a/", "flags": 256}, {"name": "c", "size": "1", "flags": 64}]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"prefix": "../x"}, 400),
        ({"prefix": "~/x"}, 400),
        ({"flags": "512"}, 400),
        ({"flags": "4096"}, 400),
        ({"flags": "32768"}, 400),
        ({"flags": 0}, 400),
        ({"flags": "x"}, 400),
        ({"pagesize": -1}, 400),
        ({"pagesize": "1"}, 400),
    ],
)
def test_what_a_cluster_refuses_is_refused(bucket: Served, message: Any, status: int) -> None:
    """Flags are strings, page sizes numbers, and remote buckets are elsewhere."""
    assert bucket.list(**message).status_code == status


def test_a_null_message_is_refused(bucket: Served) -> None:
    """Listing a bucket needs a value, listing buckets does not."""
    assert bucket.action("GET", "list").status_code == 400


def test_a_page_holds_ten_thousand_at_most(bucket: Served) -> None:
    """AIStore's limit, even if a client requests more."""
    for number in range(10_001):
        (bucket.folder / f"{number:05}").touch()
    page = bucket.list(pagesize=20_000, flags="16").json()
    assert (len(page["entries"]), page["continuation_token"]) == (10_000, "09999")
    assert bucket.names(continuation_token="09999") == ["10000"]


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("train", ["train/a", "train/b/c"]),
        ("train*", ["train/a", "train/b/c"]),
        ("train/", ["train/a", "train/b/c"]),
        ("trai", ["train-b", "train/a", "train/b/c", "trainx/y"]),
        ("train-", ["train-b"]),
        ("train/b", ["train/b/c"]),
        ("trainx", ["trainx/y"]),
    ],
)
def test_a_prefix_that_names_a_folder_is_the_folder(
    bucket: Served, prefix: str, names: list[str]
) -> None:
    """As in listings of a live cluster; other prefixes are plain beginnings of names."""
    for name in ("train/a", "train/b/c", "train-b", "trainx/y"):
        bucket.put(name, b"x")
    assert bucket.names(prefix=prefix) == names


def test_what_is_left_out_is_logged(bucket: Served, gateway: Gateway) -> None:
    """How many, why, and the first names; once, although every page skips them."""
    for name in ("1", "2", "3"):
        (bucket.folder / name).symlink_to(f"/nowhere/{name}")
    (bucket.folder / "out").symlink_to("/etc")
    os.mkfifo(bucket.folder / "fifo")
    bucket.put("o", b"x")
    assert bucket.names() == ["o"]
    assert bucket.names() == ["o"]
    lines = gateway.read_log().splitlines()
    (line,) = [line for line in lines if f"{bucket.name}/fifo" in line]
    assert "5 names: " in line
    assert f"1 sockets, fifos or devices ({bucket.name}/fifo)" in line
    assert f"4 links that lead out of what is served ({bucket.name}/1, " in line


def test_links_into_hidden_folders_are_listed(bucket: Served) -> None:
    """And can be read: the files are in the served folder."""
    hidden = bucket.folder.parent / ".cache"
    hidden.mkdir(exist_ok=True)
    (hidden / "1.tar").write_bytes(b"shard")
    (bucket.folder / "1.tar").symlink_to("../.cache/1.tar")
    assert entry(bucket, props="name,size")["size"] == "5"
    assert bucket.get("1.tar").content == b"shard"


def test_objects_may_come_and_go_while_they_are_listed(bucket: Served) -> None:
    """With their folders; an object that stays is in every listing."""
    bucket.put("z/stays", b"x")
    done = threading.Event()

    def churn(number: int) -> None:
        with requests.Session() as http:
            while not done.is_set():
                http.put(bucket.url(f"d{number}/e/x"), b"1")
                http.delete(bucket.url(f"d{number}/e/x"))

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            assert bucket.names()[-1] == "z/stays"
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_names_with_very_many_parts_are_listed_and_destroyed(bucket: Served) -> None:
    """No function of the gateway is recursive in the parts."""
    name = "d/" * 1100 + "o"
    assert bucket.put(name, b"x").status_code == 200
    assert bucket.names() == [name]
    assert bucket.action("DELETE", "destroy-bck").status_code == 200
    assert not bucket.folder.exists()
    assert bucket.list().status_code == 404
