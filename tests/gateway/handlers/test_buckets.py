from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from aisio.gateway import Gateway
from tests.gateway.conftest import Served


def test_a_bucket_is_created_once_listed_and_destroyed(bucket: Served) -> None:
    """create-bck makes a folder, destroy-bck removes it with its contents."""
    made = Served(bucket.endpoint, "made", bucket.folder.parent / "made", bucket.http)
    assert made.action("POST", "create-bck").status_code == 200
    assert made.folder.is_dir()
    again = made.action("POST", "create-bck")
    assert (again.status_code, again.json()["tcode"]) == (409, "ErrBucketAlreadyExists")
    assert again.json()["message"] == 'bucket "ais://made" already exists'
    made.put("a/b", b"x")
    assert made.action("DELETE", "destroy-bck").status_code == 200
    assert not made.folder.exists()
    gone = made.action("DELETE", "destroy-bck")
    assert (gone.status_code, gone.json()["message"]) == (404, 'bucket "ais://made" does not exist')


def test_a_bucket_that_is_created_again_starts_empty(bucket: Served) -> None:
    """Versions start at 1 again."""
    bucket.put("o", b"x")
    bucket.put("o", b"x")
    bucket.action("DELETE", "destroy-bck")
    bucket.action("POST", "create-bck")
    assert bucket.put("o", b"x").headers["Ais-Version"] == "1"


def test_folders_are_buckets_unless_hidden_or_unnameable(
    tmp_path: Path, http: requests.Session
) -> None:
    """Hidden folders, files, bad names and links that lead out are no buckets; #name holds some."""
    for name in ("b", "a.b", ".hidden", "bad name", "#ml/b", "real"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root" / "file").touch()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    (tmp_path / "root" / "in").symlink_to("real")
    with Gateway(tmp_path / "root") as gateway:
        response = http.get(
            f"{gateway.endpoint}/v1/buckets", json={"action": "list", "value": None}
        )
        rows = [(b["name"], b["namespace"]["name"], b["provider"]) for b in response.json()]
        out = http.get(f"{gateway.endpoint}/v1/buckets/out")
    names = [("a.b", ""), ("b", ""), ("b", "ml"), ("in", ""), ("real", "")]
    assert rows == [(name, namespace, "ais") for name, namespace in names]
    assert out.status_code == 404


def test_a_local_namespace_holds_buckets_of_its_own(bucket: Served) -> None:
    """ais://#ml/b and ais://b are different buckets."""
    query = "?namespace=%40%23ml"
    assert bucket.action("POST", "create-bck", query=query).status_code == 200
    bucket.http.put(bucket.url("o", query), data=b"x")
    assert bucket.get("o").status_code == 404
    assert bucket.get("o", query).content == b"x"
    listed = bucket.http.get(f"{bucket.endpoint}/v1/buckets?namespace=%23ml").json()
    assert [entry["name"] for entry in listed] == [bucket.name]
    missing = bucket.get("no", query).json()["message"]
    assert missing.endswith(f"ais://#ml/{bucket.name}/no does not exist")
    assert bucket.action("DELETE", "destroy-bck", query=query).status_code == 200
    assert not (bucket.folder.parent / "#ml").exists()


def test_head_has_the_bucket_properties(bucket: Served) -> None:
    """One header of JSON; if the bucket is missing, the error is in a header as well."""
    url = f"{bucket.endpoint}/v1/buckets/"
    props = json.loads(bucket.http.head(url + bucket.name).headers["Ais-Bucket-Props"])
    assert props["provider"] == "ais"
    assert props["checksum"]["type"] == "xxhash2"
    assert props["versioning"]["enabled"] is True
    missing = bucket.http.head(url + "missing")
    error = json.loads(missing.headers["Hdr-Error"])
    assert (missing.status_code, error["status"], error["tcode"]) == (404, 404, "ErrBckNotFound")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "", 400),
        ("POST", "/", 400),
        ("POST", "/a..b", 400),
        ("POST", "/.hidden", 400),
        ("POST", "/" + "x" * 65, 400),
        ("POST", "/a/b", 400),
        ("POST", "/a?provider=s3", 501),
        ("POST", "/a?provider=nope", 400),
    ],
)
def test_a_bucket_needs_a_name_that_aistore_accepts(
    bucket: Served, method: str, path: str, status: int
) -> None:
    """What a cluster refuses is refused, with the same status."""
    url = f"{bucket.endpoint}/v1/buckets{path}"
    assert bucket.http.request(method, url, json={"action": "create-bck"}).status_code == status


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("POST", "ec-encode"),
        ("POST", "etl-bck"),
        ("POST", "rechunk"),
    ],
)
def test_actions_of_aistore_that_it_lacks_are_501(bucket: Served, method: str, action: str) -> None:
    """So that a client can tell them from unknown actions."""
    response = bucket.action(method, action)
    assert response.status_code == 501
    assert action in response.json()["message"]


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("DELETE", "evict-remote-bck"),
        ("DELETE", "evict-listrange"),
        ("POST", "prefetch-listrange"),
    ],
)
def test_actions_for_cloud_buckets_only_are_400(bucket: Served, method: str, action: str) -> None:
    """As on a cluster for its own buckets."""
    error = bucket.action(method, action).json()
    assert (error["status"], error["tcode"]) == (400, "ErrNotRemoteBck")


def test_properties_are_the_default_ones_and_can_be_reset(bucket: Served) -> None:
    """To set them is refused, so there is nothing to reset."""
    assert bucket.action("PATCH", "reset-bprops").status_code == 200


@pytest.mark.parametrize("body", [b"", b"{bad", b"[]", b'{"action":"nonsense"}'])
def test_other_bodies_are_400(bucket: Served, body: bytes) -> None:
    """No action, broken JSON, or an unknown action."""
    url = f"{bucket.endpoint}/v1/buckets/{bucket.name}"
    assert bucket.http.post(url, data=body).status_code == 400
