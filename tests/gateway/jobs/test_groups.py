from __future__ import annotations

from typing import Any

import pytest

from aisio.gateway.jobs.groups import renaming
from tests.gateway.archive_data import make_tar, read_archive
from tests.gateway.conftest import Served

NAMES = [f"t/p-{number:02}" for number in range(6)]


@pytest.fixture
def filled(bucket: Served) -> Served:
    """Return a bucket with six objects and another one."""
    for name in [*NAMES, "other"]:
        bucket.put(name, name.encode())
    return bucket


def to(bucket: Served, **value: Any) -> dict[str, Any]:
    """Return a message whose destination is this bucket."""
    return {"tobck": {"name": bucket.name, "provider": "ais"}, **value}


@pytest.mark.parametrize(
    ("value", "remaining"),
    [
        ({"objnames": ["t/p-00", "other"]}, NAMES[1:]),
        ({"template": "t/p-{01..03}"}, ["other", *NAMES[:1], *NAMES[4:]]),
        ({"template": "t/p-{00..04..2}"}, ["other", *NAMES[1::2]]),
        ({"template": "t/p-@05"}, ["other"]),
        ({"template": "t/"}, ["other"]),
        ({"template": "*"}, []),
        ({"template": ""}, []),
    ],
)
def test_objects_are_deleted(filled: Served, value: dict[str, Any], remaining: list[str]) -> None:
    """By a list, a template, or a prefix."""
    snap = filled.job("DELETE", "delete-listrange", value)
    assert (snap["kind"], snap["err"]) == ("delete-listrange", "")
    assert snap["stats"]["loc-objs"] == str(7 - len(remaining))
    assert filled.names() == sorted(remaining)


def test_a_prefix_is_a_plain_beginning_of_names(filled: Served) -> None:
    """Even if it names a folder, as on a live cluster and unlike in listings."""
    filled.put("t-x", b"x")
    filled.job("DELETE", "delete-listrange", {"template": "t"})
    assert filled.names() == ["other"]


def test_a_missing_object_is_reported_and_the_others_are_deleted(filled: Served) -> None:
    """Its name is in the error."""
    snap = filled.job("DELETE", "delete-listrange", {"objnames": ["none", "other"]})
    assert f"ais://{filled.name}/none doesn't exist" in snap["err"]
    assert snap["aborted"] is False
    assert filled.names() == NAMES


@pytest.mark.parametrize("template", ["t/p-{03..01}", "t/p-{0..x}", "t/p-%02d", "t/../p"])
@pytest.mark.parametrize(
    ("method", "action"),
    [("DELETE", "delete-listrange"), ("POST", "copy-listrange"), ("PUT", "archive")],
)
def test_an_invalid_template_starts_no_job(
    filled: Served, template: str, method: str, action: str
) -> None:
    """400 at once."""
    value = to(filled, template=template, archname="a.tar")
    assert filled.action(method, action, value).status_code == 400


def test_objects_are_copied_into_a_new_bucket(filled: Served) -> None:
    """Under their names, with a prefix and another extension if requested."""
    new = f"{filled.name}-new"
    value = {"tobck": {"name": new, "provider": "ais"}, "template": "t/p-{00..01}", "prepend": "c/"}
    snap = filled.job("POST", "copy-listrange", value)
    assert (snap["src-bck"]["name"], snap["dst-bck"]["name"]) == (filled.name, new)
    assert (snap["stats"]["loc-objs"], snap["stats"]["loc-bytes"]) == ("2", "12")
    url = f"{filled.endpoint}/v1/objects/{new}/c/t/p-01"
    assert filled.http.get(url).content == b"t/p-01"


@pytest.mark.parametrize(("goes_on", "copied"), [(True, ["other", "t/p-01"]), (False, [])])
def test_a_missing_object_ends_a_copy_unless_it_continues_on_errors(
    filled: Served, goes_on: bool, copied: list[str]
) -> None:
    """The error is reported in both cases."""
    value = to(filled, objnames=["none", "other", "t/p-01"], prepend="c/", coer=goes_on)
    snap = filled.job("POST", "copy-listrange", value)
    assert "none does not exist" in snap["err"]
    assert filled.names(prefix="c/") == [f"c/{name}" for name in copied]


def test_a_dry_run_counts_and_copies_nothing(filled: Served) -> None:
    """It does not create the bucket either."""
    value = {"tobck": {"name": "never-made"}, "template": "t/", "dry_run": True}
    assert filled.job("POST", "copy-listrange", value)["stats"]["loc-objs"] == "6"
    assert filled.http.head(f"{filled.endpoint}/v1/buckets/never-made").status_code == 404


@pytest.mark.parametrize("archive", ["a.tar", "a.tgz", "a.zip"])
def test_objects_are_archived_in_order(filled: Served, archive: str) -> None:
    """The archive's name says its format."""
    names = ["t/p-03", "other", "t/p-01"]
    snap = filled.job("PUT", "archive", to(filled, objnames=names, archname=archive))
    assert (snap["kind"], snap["err"], snap["stats"]["loc-objs"]) == ("archive", "", "3")
    members = read_archive(filled.get(archive).content)
    assert members == [(name, name.encode()) for name in names]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"isbn": True}, ["{}/t/p-01", "{}/other"]),
        ({"bnonly": True}, ["p-01", "other"]),
        ({"aate": True}, ["m", "t/p-01", "other"]),
        ({"aate": False}, ["t/p-01", "other"]),
    ],
)
def test_the_names_and_places_of_members(
    filled: Served, value: dict[str, Any], names: list[str]
) -> None:
    """Bucket names, short names; appended to the archive or in its place."""
    filled.put("a.tar", make_tar({"m": b"x"}))
    value = to(filled, objnames=["t/p-01", "other"], archname="a.tar", **value)
    filled.job("PUT", "archive", value)
    members = [name for name, _ in read_archive(filled.get("a.tar").content)]
    assert members == [name.format(filled.name) for name in names]


@pytest.mark.parametrize(("goes_on", "status"), [(True, 200), (False, 404)])
def test_a_missing_object_leaves_no_incomplete_archive(
    filled: Served, goes_on: bool, status: int
) -> None:
    """Either the client allows it to be missing, or no archive is made."""
    value = to(filled, objnames=["other", "none", "t/p-01"], archname="a.tar", coer=goes_on)
    snap = filled.job("PUT", "archive", value)
    assert "none does not exist" in snap["err"]
    assert snap["aborted"] is not goes_on
    assert filled.get("a.tar").status_code == status
    temporary = filled.folder.parent / ".aisio" / "tmp"
    assert not [path for path in temporary.iterdir() if path.stat().st_size > 1024]


def test_an_archive_of_nothing_is_not_made(filled: Served) -> None:
    """Neither for a prefix without objects, nor for objects that are all missing."""
    for value in ({"template": "zzz"}, {"objnames": ["none"], "coer": True}):
        filled.job("PUT", "archive", to(filled, archname="a.tar", **value))
        assert filled.get("a.tar").status_code == 404


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ({"archname": "a.tar"}, 400),
        ({"archname": "a.rar", "tobck": {"name": "{}"}}, 400),
        ({"archname": "", "tobck": {"name": "{}"}}, 400),
        ({"archname": "a.tar", "mime": ".zip", "tobck": {"name": "{}"}}, 400),
        ({"archname": "../a.tar", "tobck": {"name": "{}"}}, 400),
        ({"archname": "a.tar", "tobck": {"name": "missing"}}, 404),
    ],
)
def test_an_archive_needs_a_bucket_and_a_name(
    filled: Served, value: dict[str, Any], status: int
) -> None:
    """Refused at once."""
    if "tobck" in value:
        value = value | {"tobck": {"name": value["tobck"]["name"].format(filled.name)}}
    value = {"objnames": ["other"], **value}
    assert filled.action("PUT", "archive", value).status_code == status


@pytest.mark.parametrize(
    ("name", "new_name"), [("a.tar", "p/a.TAR"), ("a.tar.gz", "p/a.tar.gz"), ("tar", "p/tar")]
)
def test_the_names_of_copies(name: str, new_name: str) -> None:
    """The last extension is replaced, if the message has a new one for it."""
    assert renaming("p/", {".tar": "TAR"})(name) == new_name
