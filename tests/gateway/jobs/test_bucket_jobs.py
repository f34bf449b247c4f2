from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.gateway.conftest import Served


@pytest.fixture
def filled(bucket: Served) -> Served:
    """Return a bucket with three objects, one with custom metadata."""
    for name, size in (("a", 1), ("d/b.jpg", 10), ("d/c", 100)):
        bucket.put(name, b"x" * size)
    bucket.http.patch(bucket.url("a"), json={"value": {"k": "v"}})
    return bucket


def to(name: str) -> str:
    """Return the query that names the destination of a job."""
    return "?bck_to=" + quote(f"ais/@#/{name}/", safe="")


def other(bucket: Served, name: str) -> Served:
    """Return another bucket of the same gateway."""
    return Served(bucket.endpoint, name, bucket.folder.parent / name, bucket.http)


def test_a_bucket_is_copied(filled: Served) -> None:
    """Its objects with their metadata, into a new bucket."""
    name = f"{filled.name}-copy"
    snap = filled.job("POST", "copy-bck", {"prefix": "", "prepend": ""}, to(name))
    assert (snap["err"], snap["stats"]["loc-objs"], snap["stats"]["loc-bytes"]) == ("", "3", "111")
    copied = other(filled, name)
    assert copied.names() == filled.names()
    assert copied.get("a").headers["Ais-Custom-Md"] == "k=v"


def test_it_is_copied_in_part_and_under_other_names(filled: Served) -> None:
    """A prefix, text before the names, other extensions."""
    name = f"{filled.name}-copy"
    value = {"prefix": "d/", "prepend": "p/", "ext": {"jpg": "jpeg"}, "force": True}
    filled.job("POST", "copy-bck", value, to(name))
    assert other(filled, name).names() == ["p/d/b.jpeg", "p/d/c"]


def test_a_dry_run_counts_and_copies_nothing(filled: Served) -> None:
    """It does not create the bucket either."""
    name = f"{filled.name}-copy"
    snap = filled.job("POST", "copy-bck", {"dry_run": True}, to(name))
    assert snap["stats"]["loc-objs"] == "3"
    assert not (filled.folder.parent / name).exists()


def test_a_bucket_is_renamed(filled: Served) -> None:
    """Versions and metadata are kept; the old bucket does not exist any more."""
    filled.put("a", b"new")
    name = f"{filled.name}-renamed"
    assert filled.job("POST", "move-bck", None, to(name))["kind"] == "move-bck"
    renamed = other(filled, name)
    assert renamed.get("a").headers["Ais-Version"] == "2"
    assert filled.http.head(f"{filled.endpoint}/v1/buckets/{filled.name}").status_code == 404


@pytest.mark.parametrize(
    ("action", "source", "query", "status"),
    [
        ("copy-bck", "{}", to("{}"), 400),
        ("copy-bck", "{}", "", 400),
        ("copy-bck", "missing", to("x"), 404),
        ("copy-bck", "{}", to("a..b"), 400),
        ("move-bck", "{}", to("{}"), 400),
        ("move-bck", "{}", to("bucket-1"), 400),
        ("move-bck", "missing", to("x"), 404),
    ],
)
def test_what_cannot_be_copied_or_renamed(
    filled: Served, action: str, source: str, query: str, status: int
) -> None:
    """As a cluster refuses it; the text of an existing bucket is the one that clients know."""
    (filled.folder.parent / "bucket-1").mkdir(exist_ok=True)
    query = query.replace(quote("{}"), filled.name)
    bucket = other(filled, source.format(filled.name))
    assert bucket.action("POST", action, {}, query).status_code == status


def summary(bucket: Served, uuid: str = "", prefix: str = "") -> requests.Response:
    """Request a summary."""
    return bucket.action("GET", "summary-bck", {"uuid": uuid, "prefix": prefix})


@pytest.mark.parametrize(
    ("prefix", "count", "sizes", "total"),
    [("", "3", (1, 37, 100), "111"), ("d/", "2", (10, 55, 100), "110"), ("z", "0", (0, 0, 0), "0")],
)
def test_a_summary_comes_at_the_second_request(
    filled: Served, prefix: str, count: str, sizes: tuple[int, ...], total: str
) -> None:
    """202 and an id first, always: the official client insists on it."""
    first = summary(filled, prefix=prefix)
    assert first.status_code == 202
    filled.wait(first.text)
    response = summary(filled, first.text, prefix)
    assert response.status_code == 200
    (row,) = response.json()
    assert (row["name"], row["ObjCount"]["obj_count_present"]) == (filled.name, count)
    assert tuple(row["ObjSize"].values()) == sizes
    assert row["TotalSize"]["size_all_present_objs"] == total


def test_an_id_belongs_to_one_bucket(filled: Served) -> None:
    """The id of another bucket's job is refused, and so is an unknown one."""
    uuid = summary(filled).text
    filled.wait(uuid)
    new = other(filled, f"{filled.name}-2")
    new.folder.mkdir()
    assert summary(new, uuid).status_code == 400
    assert summary(filled, "none").status_code == 400
    assert summary(other(filled, "missing")).status_code == 404


def info(bucket: Served, query: str = "", prefix: str = "") -> requests.Response:
    """Request properties and summary at once."""
    url = f"{bucket.endpoint}/v1/buckets/{bucket.name}{prefix}?bsumm_remote=false{query}"
    return bucket.http.head(url)


@pytest.mark.parametrize(("prefix", "count"), [("", "3"), ("/d/", "2")])
def test_info_is_a_head_in_two_steps(filled: Served, prefix: str, count: str) -> None:
    """202 with an id, then 200 with the summary; both have the properties."""
    first = info(filled, prefix=prefix)
    uuid = first.headers["Ais-Xaction-Id"]
    filled.wait(uuid)
    second = info(filled, f"&uuid={uuid}")
    assert (first.status_code, second.status_code) == (202, 200)
    summary: dict[str, Any] = json.loads(second.headers["Ais-Bucket-Summ"])
    assert summary["ObjCount"]["obj_count_present"] == count
    assert first.headers["Ais-Bucket-Props"] == second.headers["Ais-Bucket-Props"]


def test_info_of_nothing(filled: Served) -> None:
    """The error is in a header, as with every HEAD."""
    missing = info(other(filled, "missing"))
    assert json.loads(missing.headers["Hdr-Error"])["tcode"] == "ErrBckNotFound"
    assert info(filled, "&uuid=none").status_code == 500
