"""Properties of buckets: what can be set is kept and obeyed, the rest is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from aisio.gateway import Gateway
from aisio.gateway.protocol.bucket_props import READ_WRITE, BucketProps
from aisio.gateway.protocol.refusals import Refusal
from tests.gateway.conftest import Served

READ_ONLY = str(1 | 2 | 256 | 512)


def set_props(bucket: Served, **props: Any) -> requests.Response:
    """Set properties of a bucket."""
    return bucket.action("PATCH", "set-bprops", props)


def props_of(bucket: Served) -> dict[str, Any]:
    """Return the properties in a response to HEAD."""
    reply = bucket.http.head(f"{bucket.endpoint}/v1/buckets/{bucket.name}")
    props: dict[str, Any] = json.loads(reply.headers["Ais-Bucket-Props"])
    return props


def test_versions_end_and_begin_again(bucket: Served) -> None:
    """While versioning is off, a new object has no version, and an old one keeps its own."""
    bucket.put("old", b"1")
    assert set_props(bucket, versioning={"enabled": False}).status_code == 200
    assert props_of(bucket)["versioning"]["enabled"] is False
    bucket.put("old", b"22")
    bucket.put("new", b"1")
    (bucket.folder / "found").write_bytes(b"1")
    versions = [bucket.get(name).headers.get("Ais-Version") for name in ("old", "new", "found")]
    assert versions == ["1", None, None]
    listed = bucket.list(props="name,version").json()["entries"]
    assert [entry.get("version") for entry in listed] == [None, None, "1"]
    assert bucket.action("PATCH", "reset-bprops").status_code == 200
    bucket.put("new", b"22")
    assert bucket.get("new").headers["Ais-Version"] == "1"


def test_a_read_only_bucket(bucket: Served) -> None:
    """Reading is always allowed, as on a cluster without users; the rest is refused by name."""
    bucket.put("a", b"1")
    set_props(bucket, access=READ_ONLY)
    refused = bucket.put("b", b"1")
    assert (refused.status_code, refused.json()["tcode"]) == (403, "ErrBucketAccessDenied")
    message = "PUT access denied (allowed: [GET,HEAD-OBJECT,HEAD-BUCKET,LIST-OBJECTS])"
    assert refused.json()["message"].endswith(message)
    assert refused.json()["message"].startswith(f"bucket ais://{bucket.name}(0x")
    set_props(bucket, access="0")
    assert (bucket.get("a").content, bucket.names()) == (b"1", ["a"])
    set_props(bucket, access=str((1 << 64) - 1))
    assert bucket.put("b", b"1").status_code == 200


@pytest.mark.parametrize(
    ("operation", "method", "path", "action"),
    [
        ("APPEND", "PUT", "objects/{}/a?append_type=append", None),
        ("DELETE-OBJECT", "DELETE", "objects/{}/a", None),
        ("MOVE-OBJECT", "POST", "objects/{}/a", "rename-obj"),
        ("PROMOTE", "POST", "objects/{}", "promote"),
        ("UPDATE-OBJECT", "PATCH", "objects/{}/a", "custom"),
        ("<unknown access>", "POST", "objects/{}/a", "mpt-upload"),
        ("DELETE-OBJECT", "DELETE", "buckets/{}", "delete-listrange"),
        ("<unknown access>", "POST", "buckets/{}", "copy-listrange"),
        ("<unknown access>", "POST", "buckets/{}?bck_to=ais/@%23/other/", "copy-bck"),
        ("MOVE-BUCKET", "POST", "buckets/{}?bck_to=ais/@%23/other/", "move-bck"),
        ("DESTROY-BUCKET", "DELETE", "buckets/{}", "destroy-bck"),
        ("<unknown access>", "POST", "buckets/{}", "make-n-copies"),
    ],
)
def test_what_is_not_allowed_is_not_done(
    bucket: Served, operation: str, method: str, path: str, action: str | None
) -> None:
    """Each kind of change has its own permission."""
    bucket.put("a", b"1")
    set_props(bucket, access="1")
    body = {"action": action, "name": "b", "value": None} if action else None
    url = f"{bucket.endpoint}/v1/{path.format(bucket.name)}"
    reply = bucket.http.request(method, url, json=body)
    assert reply.status_code == 403
    assert f": {operation} access denied (allowed: [GET])" in reply.json()["message"]
    assert bucket.names() == ["a"]


@pytest.mark.parametrize(
    ("props", "status", "message"),
    [
        ({"bogus": 1}, 400, "invalid set-bucket-props request (msg=actm[set-bprops])"),
        ({"mirror": {"copies": "x"}}, 400, "invalid set-bucket-props request"),
        ({"provider": "aws"}, 400, "invalid set-bucket-props request"),
        ({"access": "-1"}, 400, "invalid access"),
        ({"checksum": {"type": "bogus"}}, 400, 'invalid checksum type "bogus" (expecting ['),
        ({"checksum": {"type": "md5"}}, 501, "not supported"),
        ({"mirror": {"copies": 3}}, 400, "as 3-way mirror"),
        ({"mirror": {"enabled": True}}, 400, "as 2-way mirror"),
        ({"ec": {"enabled": True}}, 501, "not supported"),
        ({"lru": {"enabled": True}}, 501, "not supported"),
        ({"write_policy": {"data": "delayed"}}, 400, "not implemented yet"),
        ({"write_policy": {"md": "delayed"}}, 501, "not supported"),
        ({"features": "1"}, 501, "not supported"),
        ({"backend_bck": {"name": "x", "provider": "aws"}}, 501, "not supported"),
        ({"rate_limit": {"backend": {"enabled": True}}}, 501, "not supported"),
    ],
)
def test_what_a_folder_cannot_have_is_refused(
    bucket: Served, props: dict[str, Any], status: int, message: str
) -> None:
    """No other part of that message is applied either."""
    before = props_of(bucket)
    reply = set_props(bucket, versioning={"enabled": False}, **props)
    assert (reply.status_code, message in reply.json()["message"]) == (status, True)
    assert props_of(bucket) == before


def test_a_property_can_be_set_to_its_present_value(bucket: Served) -> None:
    """A client may send back what it has read."""
    before = props_of(bucket)
    same = {"checksum": {"type": "xxhash2"}, "mirror": {"copies": 1, "enabled": False}}
    assert set_props(bucket, **same, ec={"enabled": False}, features="0").status_code == 200
    assert set_props(bucket).status_code == 200
    assert bucket.action("PATCH", "set-bprops").status_code == 200
    assert props_of(bucket) == before


def test_an_object_has_one_copy(bucket: Served) -> None:
    """As on a target with one disk."""
    assert bucket.job("POST", "make-n-copies", 1)["kind"] == "make-n-copies"
    for copies, message in ((2, "exceeds the number of mountpaths (1)"), (0, "in [1, 16] range")):
        reply = bucket.action("POST", "make-n-copies", copies)
        assert (reply.status_code, message in reply.json()["message"]) == (400, True)


def test_properties_outlast_the_gateway_and_move_with_the_bucket(tmp_path: Path) -> None:
    """They are properties of the bucket, not of its name."""
    (tmp_path / "a").mkdir()
    with Gateway(tmp_path) as gateway, requests.Session() as http:
        bucket = Served(gateway.endpoint, "a", tmp_path / "a", http)
        set_props(bucket, access=str(READ_WRITE | 1 << 16), versioning={"enabled": False})
        gateway.restart()
        bucket.job("POST", "move-bck", query="?bck_to=ais/@%23/b/")
        bucket.action("POST", "create-bck")
        moved = Served(gateway.endpoint, "b", tmp_path / "b", http)
        assert props_of(moved)["versioning"]["enabled"] is False
        assert props_of(bucket)["versioning"]["enabled"] is True


def test_properties_are_values() -> None:
    """A message makes a new value; null changes nothing, and nonsense is refused."""
    props = BucketProps()
    assert props.updated(b"null", "ais://b") == props
    with pytest.raises(Refusal):
        props.updated(b"[]", "ais://b")
