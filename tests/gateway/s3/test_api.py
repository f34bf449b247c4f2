"""The S3 API as a whole: who may use it, and what it does not have."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
import requests

from aisio.errors import ConfigError
from aisio.gateway import Gateway
from tests.gateway.s3.conftest import KEYS, S3Bucket, boto3_client, code, needs_boto3


@pytest.mark.parametrize(
    ("method", "key", "query"),
    [
        ("GET", "", "acl"),
        ("PUT", "o", "tagging"),
        ("GET", "o", "torrent"),
        ("GET", "", "attributes"),
        ("PUT", "o", "versioning"),
        ("POST", "o", "delete"),
        ("PUT", "", "cors"),
        ("PUT", "o", "annotation&annotationName=a"),
    ],
)
def test_what_is_not_there_is_501(s3: S3Bucket, method: str, key: str, query: str) -> None:
    """A PUT of tags is not taken for one of the object."""
    s3.send("PUT", "o", b"x")
    response = s3.send(method, key, b"<Tagging/>", f"?{query}")
    assert code(response) == (501, "NotImplemented")
    assert s3.send("GET", "o").content == b"x"


@pytest.mark.parametrize("query", ["uploads=1", "attributes=1", "tagging=1"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_operation_of_another_method_is_refused(s3: S3Bucket, method: str, query: str) -> None:
    """Whatever its value: it is not taken for one of the object."""
    s3.send("PUT", "o", b"x")
    assert s3.send(method, "o", b"", f"?{query}").status_code in (400, 501)
    assert s3.send("GET", "o").content == b"x"


def test_what_is_meant_for_another_owner(s3: S3Bucket) -> None:
    """Is not done."""
    response = s3.send("PUT", "o", b"x", x_amz_expected_bucket_owner="111122223333")
    assert code(response) == (403, "AccessDenied")
    assert s3.send("GET", "o").status_code == 404


def test_forms_are_refused(signed: Gateway) -> None:
    """Whose signatures are in their fields."""
    response = requests.post(f"{signed.s3_endpoint}/b", files={"file": ("n", b"data")})
    assert code(response) == (501, "NotImplemented")


def test_former_versions(s3: S3Bucket) -> None:
    """There are none; the only one is named "null", as S3 has it."""
    s3.send("PUT", "o", b"x")
    assert s3.send("GET", "o", query="?versionId=null").content == b"x"
    assert code(s3.send("GET", "o", query="?versionId=7")) == (404, "NoSuchVersion")
    assert s3.texts(s3.send("GET", query="?versions"), "VersionId") == ["null"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("HEAD", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/b"), ("POST", "/b/o")],
)
def test_what_is_no_request(s3: S3Bucket, method: str, path: str) -> None:
    """400, as on a cluster."""
    assert s3.http.request(method, f"{s3.endpoint}{path}").status_code == 400


def test_a_method_that_s3_has_not(s3: S3Bucket) -> None:
    """405 names those that it has."""
    response = s3.send("PATCH", "o")
    assert code(response) == (405, "MethodNotAllowed")
    assert response.headers["Allow"] == "DELETE, GET, HEAD, POST, PUT"


def test_a_broken_path(s3: S3Bucket) -> None:
    """The error is XML here, too."""
    assert code(s3.http.get(f"{s3.endpoint}/b/%FF")) == (400, "InvalidRequest")


def test_a_read_only_gateway_changes_nothing(tmp_path: Path) -> None:
    """It reads as ever."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "o").write_bytes(b"x")
    with Gateway(tmp_path, read_only=True) as gateway:
        url = f"{gateway.s3_endpoint}/b"
        assert requests.get(f"{url}/o").content == b"x"
        body = b"<Delete><Object><Key>o</Key></Object></Delete>"
        for response in (
            requests.put(f"{url}/new", data=b"x"),
            requests.put(f"{gateway.s3_endpoint}/new"),
            requests.put(f"{url}/d/"),
            requests.delete(f"{url}/o"),
            requests.delete(f"{url}/d/"),
            requests.delete(url),
            requests.post(f"{url}?delete", data=body),
            requests.post(f"{url}/o?uploads"),
        ):
            assert code(response) == (403, "AccessDenied")
        assert requests.get(f"{url}/o").content == b"x"


def test_a_token_is_demanded_here_too(tmp_path: Path) -> None:
    """As a bearer token, or where S3 clients have a place for it, as on a cluster."""
    with Gateway(tmp_path, token="t0ken") as gateway:
        url = gateway.s3_endpoint
        assert code(requests.get(url)) == (403, "AccessDenied")
        for headers in ({"Authorization": "Bearer t0ken"}, {"x-amz-security-token": "t0ken"}):
            assert requests.get(url, headers=headers).status_code == 200
        wrong = {"x-amz-security-token": "other"}
        assert code(requests.get(url, headers=wrong)) == (403, "AccessDenied")
        assert requests.get(f"{url}?X-Amz-Security-Token=t0ken").status_code == 200


@pytest.mark.parametrize(
    "keys", [("only", None), (None, "only"), ("", ""), ("a/b", "c"), ("a b\n", "c")]
)
def test_keys_that_no_client_can_use(tmp_path: Path, keys: tuple[str | None, str | None]) -> None:
    """The gateway does not start with half of a pair."""
    gateway = Gateway(tmp_path, s3_access_key=keys[0], s3_secret_key=keys[1])
    with pytest.raises(ConfigError, match="key"):
        gateway.start()


def test_requests_without_a_signature_are_refused(signed: Gateway) -> None:
    """All of them; AIStore's own protocol is protected by a token, as the log says."""
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        for path in ("", "/b", "/b/o"):
            assert requests.request(method, f"{signed.s3_endpoint}{path}").status_code == 403
    assert "set a token as well" in signed.read_log()


@needs_boto3
def test_signed_requests(signed: Gateway) -> None:
    """By headers; wrong keys are refused by S3's codes."""
    client = boto3_client(signed.s3_endpoint, *KEYS)
    for name in ("a", "d/é +ü&%=.txt"):
        client.put_object(Bucket="b", Key=name, Body=b"hello", Metadata={"a": "b  c"})
        assert client.get_object(Bucket="b", Key=name)["Body"].read() == b"hello"
    listed = client.list_objects_v2(Bucket="b", Prefix="d/é +")
    assert [entry["Key"] for entry in listed["Contents"]] == ["d/é +ü&%=.txt"]
    for keys, expected in (
        ((KEYS[0], "wrong"), "SignatureDoesNotMatch"),
        (("wrong", KEYS[1]), "InvalidAccessKeyId"),
    ):
        with pytest.raises(client.exceptions.ClientError, match=expected):
            boto3_client(signed.s3_endpoint, *keys).list_buckets()


def test_signatures_and_tokens_are_not_logged(tmp_path: Path) -> None:
    """A signed URL works for whoever has it, also for those who may read a log."""
    with Gateway(tmp_path, verbose=True) as gateway:
        names = ("X-Amz-Signature", "X-Amz-Security-Token", "Signature")
        query = "&".join(f"{name}=s3cret" for name in names)
        requests.get(f"{gateway.s3_endpoint}/b/o?{query}&prefix=seen")
        logged = requests.get(f"{gateway.endpoint}/v1/daemon?what=log").text + gateway.read_log()
    assert logged.count("prefix=seen") == 2
    assert "s3cret" not in logged


@needs_boto3
@pytest.mark.parametrize("region", ["us-east-1", "ais"])
def test_signed_urls(signed: Gateway, region: str) -> None:
    """Of version 2, which boto3 uses in old regions, and 4; for one method and one object each."""
    keys = dict(zip(("aws_access_key_id", "aws_secret_access_key"), KEYS, strict=True))
    endpoint = signed.s3_endpoint
    client = import_module("boto3").client("s3", endpoint_url=endpoint, region_name=region, **keys)
    about = {"Bucket": "b", "Key": f"{region}/é +.txt"}
    put = client.generate_presigned_url("put_object", Params=about)
    assert requests.put(put, data=b"hello").status_code == 200
    params = {**about, "ResponseContentType": "text/x"}
    get = client.generate_presigned_url("get_object", Params=params)
    response = requests.get(get)
    assert (response.content, response.headers["Content-Type"]) == (b"hello", "text/x")
    assert code(requests.get(put)) == (403, "SignatureDoesNotMatch")
    assert requests.get(get.replace("%C3", "%C4")).status_code == 403
    expired = client.generate_presigned_url("get_object", Params=about, ExpiresIn=-1)
    assert requests.get(expired).status_code in (400, 403)


@needs_boto3
def test_chunks_are_signed_and_verified(signed: Gateway) -> None:
    """As clients without https send them: a changed chunk is refused, and nothing is stored."""
    from tests.gateway.s3.signed_chunks import put_in_chunks

    url = f"{signed.s3_endpoint}/b/chunks"
    chunks = [b"a" * 70_000, b"b" * 10]
    assert put_in_chunks(url, KEYS, chunks).status_code == 200
    client = boto3_client(signed.s3_endpoint, *KEYS)
    assert client.get_object(Bucket="b", Key="chunks")["Body"].read() == b"".join(chunks)
    response = put_in_chunks(f"{url}-bad", KEYS, chunks, sent=[b"x" * 70_000, b"b" * 10])
    assert code(response) == (403, "SignatureDoesNotMatch")
    response = put_in_chunks(url, KEYS, chunks, skew=timedelta(minutes=-20))
    assert code(response) == (403, "RequestTimeTooSkewed")
    assert code(put_in_chunks(url, KEYS, chunks, trailer="AAAAAA==")) == (400, "BadDigest")
    names = [entry["Key"] for entry in client.list_objects_v2(Bucket="b")["Contents"]]
    assert "chunks-bad" not in names
