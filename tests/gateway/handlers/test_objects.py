from __future__ import annotations

import gzip
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import xxhash

from tests.gateway.conftest import Served

NAMES = ["%", "%25", "a b", "ü", "x?y", "x#y", "a+b", "&", "a%2Fb", "track?name=lofi&v=1"]
NAMES += ["file_#@!$%^&*()_+.mp3", "d e/ü/x?y", "-", "..a", "\U0001f600", "'\"\\", "line\nbreak"]
CHECKSUMS = {
    "xxhash2": xxhash.xxh64_hexdigest(b"data", 0),
    "xxhash": xxhash.xxh64_hexdigest(b"data", 0),
    "md5": hashlib.md5(b"data").hexdigest(),
    "crc32c": "aed87dd1",
    "sha256": hashlib.sha256(b"data").hexdigest(),
    "sha512": hashlib.sha512(b"data").hexdigest(),
}


def test_an_object_is_a_file(bucket: Served) -> None:
    """Of the same name and bytes, whoever wrote it."""
    assert bucket.put("d/o", b"data").status_code == 200
    assert (bucket.folder / "d" / "o").read_bytes() == b"data"
    (bucket.folder / "found").write_bytes(b"file")
    response = bucket.get("found")
    assert (response.status_code, response.content) == (200, b"file")
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Length"] == "4"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_round_trips(bucket: Served, name: str) -> None:
    """Names are quoted on the wire and nowhere else: URL, file name, listing and HEAD agree."""
    assert bucket.put(quote(name), b"x").status_code == 200
    assert (bucket.folder / name).read_bytes() == b"x"
    assert bucket.names() == [name]
    assert bucket.get(quote(name)).content == b"x"
    head = bucket.http.head(bucket.url(quote(name)))
    assert head.headers["Ais-Name"].encode("latin-1").decode() == name.replace("\n", " ")
    assert bucket.http.delete(bucket.url(quote(name))).status_code == 200


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_000])
def test_sizes_on_both_sides_of_every_buffer(bucket: Served, size: int) -> None:
    """Small objects are sent in one write, large ones by sendfile: the client cannot tell."""
    data = os.urandom(size)
    put = bucket.put("o", data)
    assert put.headers["Ais-Checksum-Value"] == xxhash.xxh64_hexdigest(data, 0)
    response = bucket.get("o")
    assert response.content == data
    assert response.headers["Content-Length"] == str(size)
    for name in ("Ais-Checksum-Type", "Ais-Checksum-Value", "Ais-Version"):
        assert response.headers[name] == put.headers[name]


@pytest.mark.parametrize("size", [1000, 1_000_000])
@pytest.mark.parametrize(
    ("header", "cut"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=10-99", slice(10, 100)),
        ("bytes=500-", slice(500, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=1-999999999", slice(1, None)),
    ],
)
def test_a_range_is_a_part_with_the_checksum_of_the_whole(
    bucket: Served, size: int, header: str, cut: slice
) -> None:
    """206 with Content-Range; the checksum header is the whole object's, as AIStore has it."""
    data = os.urandom(size)
    bucket.put("o", data)
    response = bucket.get("o", Range=header)
    start, stop, _ = cut.indices(size)
    assert (response.status_code, response.content) == (206, data[cut])
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
    assert response.headers["Ais-Checksum-Value"] == xxhash.xxh64_hexdigest(data, 0)


def test_a_range_beyond_the_end_is_416(bucket: Served) -> None:
    """The error is AIStore's, with the size in Content-Range."""
    bucket.put("o", b"data")
    response = bucket.get("o", Range="bytes=4-")
    assert (response.status_code, response.headers["Content-Range"]) == (416, "bytes */4")
    assert response.json()["tcode"] == "ErrRangeNotSatisfiable"


def test_nothing_but_the_object_itself_is_ever_sent(bucket: Served) -> None:
    """x.gz beside x is another object, types are not guessed, cache conditions have no effect."""
    bucket.put("page.html", b"<p>")
    bucket.put("page.html.gz", gzip.compress(b"other"))
    headers = {
        "Accept-Encoding": "gzip",
        "If-None-Match": "*",
        "If-Modified-Since": "Sat, 01 Jan 2050 00:00:00 GMT",
    }
    response = bucket.get("page.html", **headers)
    assert (response.status_code, response.content) == (200, b"<p>")
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert not {"Content-Encoding", "ETag", "Last-Modified"} & set(response.headers)


def test_a_compressed_upload_is_stored_as_it_was_sent(bucket: Served) -> None:
    """Content-Encoding describes the bytes and does not change them."""
    data = gzip.compress(b"data")
    bucket.put("o", data, **{"Content-Encoding": "gzip"})
    assert (bucket.folder / "o").read_bytes() == data


@pytest.mark.parametrize("kind", sorted(CHECKSUMS))
def test_a_claimed_checksum_is_checked(bucket: Served, kind: str) -> None:
    """The right one is accepted; a wrong one is AIStore's ErrBadCksum, and nothing is stored."""
    claim = {"Ais-Checksum-Type": kind, "Ais-Checksum-Value": CHECKSUMS[kind]}
    bad = bucket.put("o", b"other", **claim)
    assert (bad.status_code, bad.json()["tcode"]) == (500, "ErrBadCksum")
    assert bucket.get("o").status_code == 404
    assert bucket.put("o", b"data", **claim).status_code == 200
    assert bucket.get("o").content == b"data"


def test_an_unknown_checksum_type_is_refused_and_none_is_none(bucket: Served) -> None:
    """A misspelled type must not count as no claim."""
    claim = {"Ais-Checksum-Value": "00"}
    assert bucket.put("o", b"x", **claim, **{"Ais-Checksum-Type": "md4"}).status_code == 400
    assert bucket.put("o", b"x", **claim, **{"Ais-Checksum-Type": "none"}).status_code == 200


def test_bytes_that_are_stored_already_are_not_stored_again(bucket: Served) -> None:
    """A PUT whose checksum equals the stored one changes nothing, not even the version."""
    bucket.put("o", b"data")
    before = (bucket.folder / "o").stat()
    claim = {"Ais-Checksum-Type": "xxhash2", "Ais-Checksum-Value": CHECKSUMS["xxhash2"]}
    assert bucket.put("o", b"data", **claim).status_code == 200
    assert (bucket.folder / "o").stat().st_ino == before.st_ino
    assert bucket.get("o").headers["Ais-Version"] == "1"


def test_versions_count_up_and_start_again_after_delete(bucket: Served) -> None:
    """Version "1", then +1 for each overwrite, even with equal bytes."""
    versions = [bucket.put("o", b"x").headers["Ais-Version"] for _ in range(3)]
    assert versions == ["1", "2", "3"]
    bucket.http.delete(bucket.url("o"))
    assert bucket.put("o", b"x").headers["Ais-Version"] == "1"


def test_a_file_changed_by_another_program_is_a_new_version(bucket: Served) -> None:
    """Checksum and version are those of the file, not of an old record."""
    bucket.put("o", b"old")
    (bucket.folder / "o").write_bytes(b"newer")
    response = bucket.get("o")
    assert response.content == b"newer"
    assert response.headers["Ais-Version"] == "2"
    assert response.headers["Ais-Checksum-Value"] == xxhash.xxh64_hexdigest(b"newer", 0)


def test_the_checksum_of_a_large_found_file_is_computed_once_for_all(bucket: Served) -> None:
    """Many readers of a file that is not on record yet get the same, right checksum."""
    data = os.urandom(3_000_000)
    (bucket.folder / "o").write_bytes(data)
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda _: requests.get(bucket.url("o")), range(8)))
    assert {r.headers["Ais-Checksum-Value"] for r in responses} == {xxhash.xxh64_hexdigest(data, 0)}
    assert {r.headers["Ais-Version"] for r in responses} == {"1"}
    assert all(r.content == data for r in responses)


def test_a_get_sends_the_bytes_it_began_with(bucket: Served) -> None:
    """Even if the object is replaced or deleted meanwhile."""
    old = os.urandom(20_000_000)
    bucket.put("o", old)
    with bucket.http.get(bucket.url("o"), stream=True) as response:
        first = response.raw.read(1)
        requests.put(bucket.url("o"), data=b"new")
        requests.delete(bucket.url("o"))
        assert first + response.raw.read() == old


def test_of_writers_at_once_one_wins_whole(bucket: Served) -> None:
    """Concurrent PUTs of one name never mix, and each counts as a version."""
    bodies = [bytes([number]) * 2_000_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda body: requests.put(bucket.url("o"), data=body), bodies))
    assert sorted(r.headers["Ais-Version"] for r in responses) == [str(n) for n in range(1, 9)]
    assert bucket.get("o").content in bodies


def test_a_chunked_upload_of_unknown_length_is_stored(bucket: Served) -> None:
    """Content-Length is not needed; the end of the chunks is the end of the object."""
    address = bucket.http.put(bucket.url("o"), allow_redirects=False).headers["Location"]
    response = bucket.http.put(address, data=iter([b"a" * 700_000, b"b" * 700_000, b"c"]))
    assert response.status_code == 200
    assert bucket.get("o").content == b"a" * 700_000 + b"b" * 700_000 + b"c"


def test_head_has_the_headers_of_get_and_the_location(bucket: Served) -> None:
    """The first form of HEAD: GET's headers and the object's names; no length if that is 0."""
    bucket.put("d/o", b"data")
    bucket.put("empty", b"")
    head = bucket.http.head(bucket.url("d/o")).headers
    assert head["Content-Length"] == "4"
    assert (head["Ais-Name"], head["Ais-Bucket-Name"]) == ("d/o", bucket.name)
    assert (head["Ais-Bucket-Provider"], head["Ais-Present"]) == ("ais", "true")
    assert (head["Ais-Mirror-Copies"], head["Ais-Version"]) == ("1", "1")
    assert head["Ais-Location"].startswith("t[")
    assert "Content-Length" not in bucket.http.head(bucket.url("empty")).headers


def test_head_with_props_has_only_these(bucket: Served) -> None:
    """The second form of HEAD: length and presence always, the rest on demand."""
    bucket.put("o", b"")
    head = bucket.http.head(bucket.url("o", "?props=version,etag,last-modified,ec,chunked")).headers
    assert (head["Content-Length"], head["Ais-Present"], head["Ais-Version"]) == ("0", "true", "1")
    assert head["ETag"].startswith('"v1-')
    assert head["Last-Modified"].endswith("GMT")
    assert not {"Ais-Checksum-Value", "Ais-Atime", "Ais-Name"} & set(head)
    bad = bucket.http.head(bucket.url("o", "?props=nope"))
    assert bad.status_code == 400
    assert 'invalid property \\"nope\\"' in bad.headers["Hdr-Error"]


def test_custom_metadata_is_added_replaced_and_dropped_with_the_object(bucket: Served) -> None:
    """PATCH adds keys, set-new-custom replaces all, a new PUT has none."""
    bucket.put("o", b"x")
    for value, query in (({"a": "1", "b": "2"}, ""), ({"b": "3"}, "")):
        assert bucket.http.patch(bucket.url("o", query), json={"value": value}).status_code == 200
    assert bucket.get("o").headers["Ais-Custom-Md"] == "a=1, b=3"
    bucket.http.patch(bucket.url("o", "?set-new-custom=true"), json={"value": {"c": "4 b"}})
    assert bucket.get("o").headers["Ais-Custom-Md"] == "c=4 b"
    assert "Ais-Custom-Md" not in bucket.put("o", b"y").headers


@pytest.mark.parametrize(
    "value",
    [
        {"": "v"},
        {"k\x01": "v"},
        {"k": "\x01"},
        {"k": "v" * 2048},
    ],
)
def test_custom_metadata_that_a_cluster_refuses_is_refused(bucket: Served, value: Any) -> None:
    """The former metadata stays."""
    bucket.put("o", b"x")
    assert bucket.http.patch(bucket.url("o"), json={"value": {"a": "\tü"}}).status_code == 200
    response = bucket.http.patch(bucket.url("o"), json={"value": value})
    assert response.status_code == 400
    assert "custom metadata" in response.json()["message"]
    sent = bucket.get("o").headers["Ais-Custom-Md"]
    assert sent.encode("latin-1").decode() == "a=\tü"


@pytest.mark.parametrize("value", ["v\x1b", "a\nb", "\x7f", "a\rb"])
def test_custom_metadata_with_a_control_character_can_be_read(bucket: Served, value: str) -> None:
    """The header has a space there, as a cluster's has in place of a line break."""
    bucket.put("o", b"x")
    assert bucket.http.patch(bucket.url("o"), json={"value": {"k": value}}).status_code == 200
    for response in (bucket.get("o"), bucket.http.head(bucket.url("o"))):
        assert response.status_code == 200
        assert response.headers["Ais-Custom-Md"].split(" ")[0].startswith("k=")


def test_custom_metadata_grows_to_a_limit(bucket: Served) -> None:
    """The sum counts, not what one request adds."""
    bucket.put("o", b"x")
    values = ({"a": "v" * 1500}, {"b": "v" * 1000})
    responses = [bucket.http.patch(bucket.url("o"), json={"value": value}) for value in values]
    assert [response.status_code for response in responses] == [200, 400]
    assert "total size 2502 exceeds max 2048 bytes" in responses[1].json()["message"]


@pytest.mark.parametrize("name", ["a%01b", "a%0Ab", "a%7Fb", "a%1B%5B2Jb", "a%C2%85b"])
def test_a_name_with_a_control_character_is_served(bucket: Served, name: str) -> None:
    """The header that repeats it has a space there: a header can hold no such character."""
    assert bucket.put(name, b"x").status_code == 200
    for response in (bucket.get(name), bucket.http.head(bucket.url(name))):
        assert (response.status_code, response.headers["Content-Length"]) == (200, "1")


def test_a_missing_object_is_404_in_aistores_words(bucket: Served) -> None:
    """The message names the object; DELETE has another wording; HEAD has it in a header."""
    url = f"ais://{bucket.name}/no"
    assert bucket.get("no").json()["message"].endswith(f"]: {url} does not exist")
    assert bucket.http.delete(bucket.url("no")).json()["message"] == f"{url} doesn't exist"
    head = bucket.http.head(bucket.url("no"))
    assert head.status_code == 404
    assert f"{url} does not exist" in head.headers["Hdr-Error"]


def test_a_missing_bucket_is_404_before_any_byte_is_sent(bucket: Served) -> None:
    """PUT, too, gets it at the first address."""
    url = bucket.url("o").replace(bucket.name, "missing")
    for method in ("GET", "PUT", "DELETE"):
        response = bucket.http.request(method, url, allow_redirects=False)
        assert response.status_code == 404
        assert response.json()["message"] == 'bucket "ais://missing" does not exist'


def test_delete_prunes_empty_folders_up_to_the_bucket(bucket: Served) -> None:
    """Folders exist only with objects in them; the bucket stays."""
    bucket.put("a/b/c/o", b"x")
    bucket.put("a/p", b"x")
    assert bucket.http.delete(bucket.url("a/b/c/o")).status_code == 200
    assert [path.name for path in (bucket.folder / "a").iterdir()] == ["p"]
    bucket.http.delete(bucket.url("a/p"))
    assert list(bucket.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("there", "name"), [("a", "a/b"), ("a", "a/b/c"), ("a/b", "a"), ("a/b/c", "a/b")]
)
def test_a_name_cannot_be_file_and_folder_at_once(bucket: Served, there: str, name: str) -> None:
    """What a file system cannot hold is a conflict, and what was there stays."""
    bucket.put(there, b"old")
    response = bucket.put(name, b"new")
    assert response.status_code == 400
    assert name in response.json()["message"]
    assert bucket.get(there).content == b"old"
    assert bucket.get(name).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "%2e%2e/x", "..%2Fx", "a%2F..%2F..%2Fx", "~/x", "a%00b", "a/", "x" * 256],
)
def test_names_that_lead_out_of_the_bucket_are_refused(bucket: Served, path: str) -> None:
    """400 for every method, encoded or not, and nothing is created or deleted."""
    (bucket.folder.parent / "x").write_bytes(b"precious")
    url = bucket.url("") + path
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        request = requests.Request(method, url, data=b"!" if method == "PUT" else None).prepare()
        request.url = url
        assert bucket.http.send(request, allow_redirects=False).status_code == 400
    assert (bucket.folder.parent / "x").read_bytes() == b"precious"


def test_links_that_lead_out_are_refused(bucket: Served, tmp_path: Path) -> None:
    """403 for reading and writing through them; a link that stays inside works."""
    (tmp_path / "secret").write_bytes(b"secret")
    (bucket.folder / "file").symlink_to(tmp_path / "secret")
    (bucket.folder / "folder").symlink_to(tmp_path)
    for name in ("file", "folder/secret"):
        assert bucket.get(name).status_code == 403
    assert bucket.put("folder/new", b"x").status_code == 403
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret"]
    bucket.put("real", b"data")
    (bucket.folder / "inside").symlink_to("real")
    assert bucket.get("inside").content == b"data"


def test_deleting_a_link_leaves_what_it_points_to(bucket: Served) -> None:
    """Only the link itself is deleted."""
    bucket.put("real", b"data")
    (bucket.folder / "link").symlink_to("real")
    assert bucket.http.delete(bucket.url("link")).status_code == 200
    assert bucket.names() == ["real"]


def test_a_fifo_is_not_an_object_and_blocks_nobody(bucket: Served) -> None:
    """Opening one for reading would wait for a writer for ever."""
    os.mkfifo(bucket.folder / "fifo")
    assert bucket.get("fifo").status_code == 404
    assert bucket.http.delete(bucket.url("fifo")).status_code == 404


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "?etl_name=e"),
        ("GET", "?etl_pipeline=e,f"),
        ("PUT", "?etl_name=e"),
    ],
)
def test_unsupported_parameters_are_501(bucket: Served, method: str, query: str) -> None:
    """AIStore supports them; the error says that the gateway does not."""
    bucket.put("o", b"x")
    response = bucket.http.request(method, bucket.url("o", query))
    assert response.status_code == 501
    assert "not supported by the embedded gateway" in response.json()["message"]


def test_empty_parameters_are_ignored(bucket: Served) -> None:
    """The official client sends archpath= and archregx= with plain reads."""
    bucket.put("o", b"data")
    assert bucket.get("o", "?archpath=&archregx=&provider=ais&unknown=1").content == b"data"
