"""Objects over S3: the same objects as over AIStore's own protocol."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import xxhash

from tests.gateway.raw_http import connected
from tests.gateway.s3.conftest import S3Bucket, code

DATA = os.urandom(300_000)


@pytest.mark.parametrize("name", ["a", "d/é +ü&%.txt", "x=y;z", "a~b'c(d)"])
@pytest.mark.parametrize("size", [0, 5, 65536, 300_000])
def test_what_is_put_comes_back_by_both_protocols(s3: S3Bucket, name: str, size: int) -> None:
    """With AIStore's checksum, of the same bytes."""
    data = DATA[:size]
    put = s3.send("PUT", _quoted(name), data)
    assert put.status_code == 200
    got = s3.send("GET", _quoted(name))
    assert got.content == data
    assert got.headers["ETag"] == put.headers["ETag"]
    native = s3.ais.get(_quoted(name))
    assert native.content == data
    assert native.headers["Ais-Checksum-Value"] == xxhash.xxh64_hexdigest(data)
    assert (s3.folder / name).read_bytes() == data
    head = s3.send("HEAD", _quoted(name))
    assert head.headers["Content-Length"] == str(size)
    assert head.headers["X-Amz-Meta-Ais-Cksum-Val"] == xxhash.xxh64_hexdigest(data)


def _quoted(name: str) -> str:
    """Return a name as a URL has it; requests leaves "%" as it is."""
    return name.replace("%", "%25").replace("é", "%C3%A9").replace("ü", "%C3%BC")


def test_an_object_has_no_tags(s3: S3Bucket) -> None:
    """Clients that copy tags with an object ask for them; none can be stored."""
    s3.send("PUT", "o", DATA)
    response = s3.send("GET", "o", query="?tagging")
    assert (response.status_code, s3.texts(response, "TagSet")) == (200, [""])
    assert code(s3.send("GET", "no", query="?tagging")) == (404, "NoSuchKey")
    for method in ("PUT", "DELETE"):
        assert code(s3.send(method, "o", query="?tagging")) == (501, "NotImplemented")
    assert s3.send("GET", "o").content == DATA


def test_objects_of_the_other_protocol_and_of_programs_are_read(s3: S3Bucket) -> None:
    """Their ETag is made of the checksum, and stays the same."""
    s3.ais.put("native", DATA)
    (s3.folder / "found").write_bytes(DATA)
    for name in ("native", "found"):
        response = s3.send("GET", name)
        assert response.content == DATA
        assert xxhash.xxh64_hexdigest(DATA) in response.headers["ETag"]
        assert s3.send("HEAD", name).headers["ETag"] == response.headers["ETag"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=100000-", slice(100_000, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=299999-400000", slice(299_999, None)),
    ],
)
def test_ranges(s3: S3Bucket, header: str, expected: slice) -> None:
    """Small ones and large ones."""
    s3.send("PUT", "o", DATA)
    response = s3.send("GET", "o", Range=header)
    assert (response.status_code, response.content) == (206, DATA[expected])
    assert response.headers["Content-Range"].endswith("/300000")


def test_ranges_outside(s3: S3Bucket) -> None:
    """416, by S3's name."""
    s3.send("PUT", "o", b"hello")
    response = s3.send("GET", "o", Range="bytes=10-20")
    assert code(response) == (416, "InvalidRange")
    assert response.headers["Content-Range"] == "bytes */5"


def test_what_does_not_exist(s3: S3Bucket) -> None:
    """404 with a code that says what; DELETE too, as on a cluster."""
    for method in ("GET", "DELETE"):
        assert code(s3.send(method, "nope")) == (404, "NoSuchKey")
    assert s3.send("HEAD", "nope").status_code == 404
    other = S3Bucket(s3.endpoint, "no-bucket", s3.folder, s3.http, s3.ais)
    for method in ("GET", "PUT", "DELETE"):
        assert code(other.send(method, "o")) == (404, "NoSuchBucket")


def test_delete(s3: S3Bucket) -> None:
    """The object is gone, and so are folders that are empty without it."""
    s3.send("PUT", "d/o", b"x")
    assert s3.send("DELETE", "d/o").status_code == 200
    assert list(s3.folder.iterdir()) == []


def test_metadata_is_kept_and_copied(s3: S3Bucket) -> None:
    """Also over AIStore's protocol, as custom metadata."""
    fields: dict[str, Any] = {
        "Content_Type": "a/b",
        "Content_Encoding": "gzip",
        "x_amz_meta_who": "me",
    }
    assert s3.send("PUT", "o", b"x", **fields).status_code == 200
    for name in ("o", "copy"):
        if name == "copy":
            s3.send("PUT", "copy", x_amz_copy_source=f"/{s3.name}/o")
        head = s3.send("HEAD", name).headers
        kept = head["Content-Type"], head["Content-Encoding"], head["x-amz-meta-who"]
        assert kept == ("a/b", "gzip", "me")
        assert "X-Amz-Meta-Who=me" in s3.ais.get(name).headers["Ais-Custom-Md"]
    assert code(s3.send("PUT", "o", b"x", x_amz_meta_big="x" * 2048)) == (400, "MetadataTooLarge")


def test_a_new_object_has_no_old_metadata(s3: S3Bucket) -> None:
    """It belongs to the bytes that it came with."""
    s3.send("PUT", "o", b"x", x_amz_meta_who="me")
    s3.send("PUT", "o", b"y")
    assert "x-amz-meta-who" not in s3.send("HEAD", "o").headers


@pytest.mark.parametrize("source", ["/{}/d/%C3%A9%20%2B", "{}/d/%C3%A9%20%2B?versionId=null"])
def test_copies(s3: S3Bucket, source: str) -> None:
    """To another bucket; the checksum is that of the same bytes."""
    other = S3Bucket(s3.endpoint, f"{s3.name}-other", s3.folder, s3.http, s3.ais)
    other.send("PUT")
    s3.send("PUT", "d/%C3%A9%20%2B", DATA)
    response = other.send("PUT", "copy", x_amz_copy_source=source.format(s3.name))
    assert s3.texts(response, "ETag") == [other.send("HEAD", "copy").headers["ETag"]]
    assert other.send("GET", "copy").content == DATA
    assert s3.send("GET", "d/%C3%A9%20%2B").content == DATA
    other.send("DELETE")


def test_metadata_is_replaced_by_a_copy(s3: S3Bucket) -> None:
    """Of an object to itself, too; a copy to itself without it changes nothing."""
    s3.send("PUT", "o", b"x", x_amz_meta_who="me")
    source: dict[str, Any] = {"x_amz_copy_source": f"{s3.name}/o"}
    replaced = {**source, "x_amz_metadata_directive": "REPLACE", "x_amz_meta_who": "you"}
    before = s3.send("HEAD", "o").headers["ETag"]
    for target in ("copy", "o"):
        assert s3.send("PUT", target, **replaced).status_code == 200
        assert s3.send("HEAD", target).headers["x-amz-meta-who"] == "you"
    assert s3.send("PUT", "o", **source).status_code == 200
    assert s3.send("HEAD", "o").headers["ETag"] == before


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"x_amz_copy_source": "nothing"}, (400, "InvalidArgument")),
        ({"x_amz_copy_source": "no-bucket/o"}, (404, "NoSuchBucket")),
        ({"x_amz_copy_source": "{}/nope"}, (404, "NoSuchKey")),
        ({"x_amz_copy_source": "{}/../x"}, (400, "InvalidArgument")),
        ({"x_amz_copy_source": "{}/o?versionId=7"}, (501, "NotImplemented")),
        (
            {"x_amz_copy_source": "{}/o", "x_amz_metadata_directive": "MAYBE"},
            (400, "InvalidArgument"),
        ),
        (
            {"x_amz_copy_source": "{}/o", "x_amz_copy_source_if_match": '"x"'},
            (412, "PreconditionFailed"),
        ),
        (
            {"x_amz_copy_source": "{}/o", "x_amz_copy_source_if_none_match": "*"},
            (412, "PreconditionFailed"),
        ),
    ],
)
def test_copies_that_are_refused(
    s3: S3Bucket, fields: dict[str, Any], expected: tuple[int, str]
) -> None:
    """Nothing is stored."""
    s3.send("PUT", "o", b"x")
    sent: dict[str, Any] = {name: value.format(s3.name) for name, value in fields.items()}
    assert code(s3.send("PUT", "copy", **sent)) == expected
    assert s3.ais.names() == ["o"]


def test_conditional_reads(s3: S3Bucket) -> None:
    """What a client has is not sent again."""
    etag = s3.send("PUT", "o", b"hello").headers["ETag"]
    modified = s3.send("HEAD", "o").headers["Last-Modified"]
    for method in ("GET", "HEAD"):
        assert s3.send(method, "o", If_Match=etag).status_code == 200
        assert s3.send(method, "o", If_Match='"x"').status_code == 412
        conditions: list[dict[str, Any]] = [
            {"If_None_Match": etag},
            {"If_Modified_Since": modified},
        ]
        for field in conditions:
            response = s3.send(method, "o", **field)
            assert (response.status_code, response.content) == (304, b"")
            assert response.headers["ETag"] == etag
    assert s3.send("GET", "o", Range="bytes=1-2", If_Range=etag).content == b"el"
    assert s3.send("GET", "o", Range="bytes=1-2", If_Range='"x"').content == b"hello"


def test_conditional_writes(s3: S3Bucket) -> None:
    """Create only, and replace only what is known."""
    etag = s3.send("PUT", "o", b"1", If_None_Match="*").headers["ETag"]
    assert code(s3.send("PUT", "o", b"2", If_None_Match="*")) == (412, "PreconditionFailed")
    assert code(s3.send("PUT", "nope", b"2", If_Match=etag)) == (404, "NoSuchKey")
    assert s3.send("PUT", "o", b"3", If_Match=etag).status_code == 200
    assert code(s3.send("PUT", "o", b"4", If_Match=etag)) == (412, "PreconditionFailed")
    assert s3.send("GET", "o").content == b"3"


def test_conditional_copies(s3: S3Bucket) -> None:
    """A copy is a write as well."""
    s3.send("PUT", "o", b"x")
    etag = s3.send("PUT", "copy", b"there").headers["ETag"]
    source: dict[str, Any] = {"x_amz_copy_source": f"{s3.name}/o"}
    response = s3.send("PUT", "copy", If_None_Match="*", **source)
    assert code(response) == (412, "PreconditionFailed")
    assert s3.send("GET", "copy").content == b"there"
    assert s3.send("PUT", "copy", If_Match=etag, **source).status_code == 200
    assert s3.send("PUT", "new", If_None_Match="*", **source).status_code == 200
    assert s3.send("GET", "copy").content == s3.send("GET", "new").content == b"x"


def test_conditional_deletions(s3: S3Bucket) -> None:
    """One by one and many at a time, the object stays that is not the one to delete."""
    etag = s3.send("PUT", "o", b"x").headers["ETag"]
    assert code(s3.send("DELETE", "o", If_Match='"x"')) == (412, "PreconditionFailed")
    assert code(s3.send("DELETE", "nope", If_Match=etag)) == (404, "NoSuchKey")
    assert code(s3.send("DELETE", "o", x_amz_if_match_size="7")) == (501, "NotImplemented")
    body = "<Delete><Object><Key>o</Key><ETag>{}</ETag></Object></Delete>"
    response = s3.send("POST", "", body.format('"x"').encode(), "?delete")
    assert s3.texts(response, "Code") == ["PreconditionFailed"]
    response = s3.send("POST", "", body.replace("ETag", "Size").format(7).encode(), "?delete")
    assert code(response) == (501, "NotImplemented")
    assert s3.send("GET", "o").content == b"x"
    response = s3.send("POST", "", body.format(etag).encode(), "?delete")
    assert s3.texts(response, "Key") == ["o"]
    response = s3.send("POST", "", body.format(etag).encode(), "?delete")
    assert s3.texts(response, "Code") == ["NoSuchKey"]
    etag = s3.send("PUT", "o", b"y").headers["ETag"]
    assert s3.send("DELETE", "o", If_Match=etag).status_code == 200
    assert s3.ais.names() == []


def test_slashes_that_have_no_meaning(s3: S3Bucket) -> None:
    """A source and a key to delete are read as the key of a PUT is."""
    s3.send("PUT", "d//o", b"x", x_amz_meta_who="me")
    response = s3.send("PUT", "copy", x_amz_copy_source=f"{s3.name}//d//o")
    assert response.status_code == 200
    assert s3.send("HEAD", "copy").headers["x-amz-meta-who"] == "me"
    body = b"<Delete><Object><Key>/d//o</Key></Object></Delete>"
    assert s3.texts(s3.send("POST", "", body, "?delete"), "Key") == ["/d//o"]
    assert s3.ais.names() == ["copy"]


def test_a_part_without_an_upload_is_no_object(s3: S3Bucket) -> None:
    """The client has lost the id."""
    assert code(s3.send("PUT", "o", b"x", "?partNumber=1")) == (400, "InvalidRequest")
    assert s3.ais.names() == []


def test_what_a_response_adds_is_not_kept(s3: S3Bucket) -> None:
    """Clients send the metadata of a HEAD back: an old checksum would stand beside the new one."""
    old = s3.send("PUT", "o", b"x").headers and s3.send("HEAD", "o").headers
    fields: dict[str, Any] = {
        name: value for name, value in old.items() if name.lower().startswith("x-amz-meta-")
    }
    s3.send("PUT", "o", b"y", **fields)
    checksum = s3.send("HEAD", "o").headers["X-Amz-Meta-Ais-Cksum-Val"]
    assert checksum == xxhash.xxh64_hexdigest(b"y")


def test_an_object_in_the_path(s3: S3Bucket) -> None:
    """A code that S3 has."""
    s3.send("PUT", "o", b"x")
    assert code(s3.send("PUT", "o/x", b"y")) == (400, "InvalidRequest")
    s3.send("PUT", "d/x", b"x")
    assert code(s3.send("PUT", "d", b"y")) == (400, "InvalidRequest")


def test_of_creators_at_once_one_wins(s3: S3Bucket) -> None:
    """The others get 412, and its bytes stay whole."""
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(
            lambda number: s3.send("PUT", "o", b"%d" % number * 100_000, If_None_Match="*"),
            range(8),
        )
        statuses = [response.status_code for response in found]
    assert sorted(statuses) == [200] + [412] * 7
    assert s3.send("GET", "o").content == b"%d" % statuses.index(200) * 100_000


@pytest.mark.parametrize(
    "fields",
    [
        {"Content_MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="},
        {"x_amz_checksum_crc32": "AAAAAA=="},
        {"x_amz_content_sha256": "0" * 64},
        {"x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
        {"x_amz_server_side_encryption": "aws:kms"},
    ],
)
def test_an_upload_that_is_refused_leaves_nothing(s3: S3Bucket, fields: dict[str, Any]) -> None:
    """What was there stays."""
    s3.send("PUT", "o", b"before")
    response = s3.send("PUT", "o", DATA, **fields)
    assert response.status_code in (400, 501)
    assert s3.send("GET", "o").content == b"before"
    assert s3.temporary_files() == set()


def test_an_upload_that_is_cut_leaves_nothing(s3: S3Bucket) -> None:
    """The connection breaks within the body."""
    with connected(s3.ais) as connection:
        head = f"PUT /s3/{s3.name}/o HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n"
        connection.sendall(head.encode() + bytes(2_000_000))
    while s3.temporary_files():
        assert s3.send("HEAD", "o").status_code == 404
    assert s3.send("GET", "o").status_code == 404


def test_a_part_of_an_object_without_parts(s3: S3Bucket) -> None:
    """The first is the whole."""
    s3.send("PUT", "o", b"hello")
    got = s3.send("GET", "o", query="?partNumber=1")
    assert (got.status_code, got.content) == (206, b"hello")
    assert got.headers["Content-Range"] == "bytes 0-4/5"
    assert code(s3.send("GET", "o", query="?partNumber=2")) == (416, "InvalidPartNumber")


def test_a_head_may_have_a_range(s3: S3Bucket) -> None:
    """As on S3: the length is that of the range."""
    s3.send("PUT", "o", b"hello")
    head = s3.send("HEAD", "o", Range="bytes=1-2")
    assert (head.status_code, head.headers["Content-Length"]) == (206, "2")
    assert s3.send("HEAD", "o", Range="bytes=9-").status_code == 416
