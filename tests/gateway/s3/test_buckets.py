"""Buckets over S3: as a live cluster answers, compared request by request."""

from __future__ import annotations

import pytest

from tests.gateway.s3.conftest import S3Bucket, code

VERSIONING = b"<VersioningConfiguration><Status>%b</Status></VersioningConfiguration>"


def test_buckets_are_made_found_and_removed(s3: S3Bucket) -> None:
    """Removed with what is in them, as a cluster does."""
    other = S3Bucket(s3.endpoint, f"{s3.name}-new", s3.folder, s3.http, s3.ais)
    assert other.send("HEAD").status_code == 404
    assert code(other.send("GET")) == (404, "NoSuchBucket")
    assert code(other.send("DELETE")) == (404, "NoSuchBucket")
    assert other.send("PUT").status_code == 200
    assert code(other.send("PUT")) == (409, "BucketAlreadyExists")
    head = other.send("HEAD")
    assert (head.status_code, head.headers["x-amz-bucket-region"]) == (200, "ais")
    names = s3.texts(s3.http.get(s3.endpoint), "Name")
    assert {s3.name, other.name} <= {*names}
    assert other.send("PUT", "d/o", b"x").status_code == 200
    assert other.send("DELETE").status_code == 200
    assert other.send("HEAD").status_code == 404


def test_buckets_are_listed_in_pages(s3: S3Bucket) -> None:
    """With a prefix."""
    names = [f"{s3.name}-page-{number}" for number in range(3)]
    for name in names:
        s3.http.put(f"{s3.endpoint}/{name}")
    url, found = f"{s3.endpoint}/?prefix={s3.name}-page&max-buckets=2", list[str]()
    first = s3.http.get(url)
    token = s3.texts(first, "ContinuationToken")[0]
    second = s3.http.get(f"{url}&continuation-token={token}")
    for response in (first, second):
        found += s3.texts(response, "Name")
    assert found == names
    assert s3.texts(second, "ContinuationToken") == []
    assert code(s3.http.get(f"{url}&continuation-token=?")) == (400, "InvalidArgument")


def test_what_a_bucket_cannot_have(s3: S3Bucket) -> None:
    """Is refused before it is made."""
    other = S3Bucket(s3.endpoint, f"{s3.name}-new", s3.folder, s3.http, s3.ais)
    response = other.send("PUT", x_amz_acl="public-read")
    assert code(response) == (400, "AccessControlListNotSupported")
    response = other.send("PUT", x_amz_bucket_object_lock_enabled="true")
    assert code(response) == (501, "NotImplemented")
    assert other.send("HEAD").status_code == 404
    body = VERSIONING.replace(b"<Status>", b"<MfaDelete>Enabled</MfaDelete><Status>") % b"Enabled"
    assert code(s3.send("PUT", data=body, query="?versioning")) == (501, "NotImplemented")


@pytest.mark.parametrize("count", [0, 1001])
def test_so_many_objects_are_not_deleted_at_once(s3: S3Bucket, count: int) -> None:
    """As on S3."""
    body = b"<Delete>%b</Delete>" % (b"<Object><Key>o</Key></Object>" * count)
    assert code(s3.send("POST", data=body, query="?delete")) == (400, "MalformedXML")


def test_a_name_that_no_bucket_can_have(s3: S3Bucket) -> None:
    """It cannot be made, and does not exist."""
    assert code(s3.http.put(f"{s3.endpoint}/b!d")) == (400, "InvalidBucketName")
    assert code(s3.http.get(f"{s3.endpoint}/%23ns")) == (404, "NoSuchBucket")
    assert code(s3.http.get(f"{s3.endpoint}/.aisio")) == (404, "NoSuchBucket")


def test_buckets_of_namespaces_are_not_listed(s3: S3Bucket) -> None:
    """S3 has no way to name them."""
    (s3.folder.parent / "#space" / "inner").mkdir(parents=True)
    assert "inner" not in s3.texts(s3.http.get(s3.endpoint), "Name")


def test_location_and_versioning(s3: S3Bucket) -> None:
    """What is set over S3 is the bucket's property."""
    assert s3.texts(s3.send("GET", query="?location"), "LocationConstraint") == [""]
    assert s3.texts(s3.send("GET", query="?versioning"), "Status") == ["Enabled"]
    assert s3.send("PUT", data=VERSIONING % b"Suspended", query="?versioning").status_code == 200
    assert s3.texts(s3.send("GET", query="?versioning"), "Status") == ["Suspended"]
    props = s3.http.head(f"{s3.ais.endpoint}/v1/buckets/{s3.name}").headers["Ais-Bucket-Props"]
    assert '"versioning":{"enabled":false' in props
    response = s3.send("PUT", data=VERSIONING % b"Perhaps", query="?versioning")
    assert code(response) == (400, "MalformedXML")


def delete(s3: S3Bucket, body: bytes, **headers: str) -> list[str]:
    """Delete many; return the keys in the response."""
    return s3.texts(s3.send("POST", data=body, query="?delete", **headers), "Key")


def test_many_are_deleted(s3: S3Bucket) -> None:
    """What does not exist counts as deleted; quiet names only failures."""
    for name in ("a", "d/b", "c"):
        s3.send("PUT", name, b"x")
    body = b"<Delete><Object><Key>%b</Key></Object><Object><Key>nope</Key></Object>%b</Delete>"
    assert delete(s3, body % (b"a", b"")) == ["a", "nope"]
    assert delete(s3, body % (b"d/b", b"<Quiet>true</Quiet>")) == []
    assert s3.ais.names() == ["c"]
    response = s3.send("POST", data=body % (b"../x", b""), query="?delete")
    assert s3.texts(response, "Code") == ["InvalidArgument"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"nonsense", "MalformedXML"),
        (b"<Delete><Object/></Delete>", "MalformedXML"),
        (
            b"<Delete><Object><Key>a</Key><VersionId>7</VersionId></Object></Delete>",
            "NoSuchVersion",
        ),
    ],
)
def test_what_must_not_be_deleted(s3: S3Bucket, body: bytes, expected: str) -> None:
    """A former version is not the object."""
    s3.send("PUT", "a", b"x")
    assert code(s3.send("POST", data=body, query="?delete")) == (400, expected)
    assert s3.ais.names() == ["a"]


def test_the_checksum_of_a_deletion_is_compared(s3: S3Bucket) -> None:
    """A damaged list of keys deletes nothing."""
    s3.send("PUT", "a", b"x")
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    md5 = "1B2M2Y8AsgTpgAmY7PhCfg=="
    response = s3.send("POST", data=body, query="?delete", Content_MD5=md5)
    assert code(response) == (400, "BadDigest")
    assert s3.ais.names() == ["a"]
