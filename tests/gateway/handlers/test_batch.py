from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from aisio.gateway import Gateway
from tests.gateway.archive_data import make_archive, make_boastful_zip, make_tar, read_archive
from tests.gateway.conftest import Served


def ask(
    bucket: Served, *entries: Any, path: str | None = None, **message: Any
) -> requests.Response:
    """Ask for a batch; an entry is an object's name, or a dict."""
    rows = [{"objname": entry} if isinstance(entry, str) else entry for entry in entries]
    body = {"mime": ".tar", "in": rows, "strm": True, **message}
    path = f"moss/{bucket.name}" if path is None else path
    return bucket.http.get(f"{bucket.endpoint}/v1/ml/{path}", json=body)


def names(reply: requests.Response) -> list[str]:
    """Return the names of the members of a streamed batch."""
    assert reply.status_code == 200, reply.text
    return [name for name, _ in read_archive(reply.content)]


def parts(reply: requests.Response) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """Return what a multipart reply tells, and what its archive holds."""
    boundary = reply.headers["Content-Type"].partition("boundary=")[2].encode()
    start, about, archive, end = reply.content.split(b"--" + boundary)
    assert (start, end) == (b"", b"--\r\n")
    told = about.partition(b"\r\n\r\n")[2]
    return json.loads(told), read_archive(archive.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))


@pytest.fixture
def filled(bucket: Served) -> Served:
    """Return a bucket with two objects and an archive."""
    bucket.put("a", b"first")
    bucket.put("d/b", b"second!")
    bucket.put("s.tar", make_tar({"x/1": b"one", "2": b"two"}))
    return bucket


def test_objects_come_in_the_order_of_the_request(filled: Served) -> None:
    """One member for each entry, repeated ones too, called bucket/object."""
    reply = ask(filled, "d/b", "a", "d/b")
    assert reply.headers["Content-Type"] == "application/x-tar"
    bucket = filled.name
    assert read_archive(reply.content) == [
        (f"{bucket}/d/b", b"second!"),
        (f"{bucket}/a", b"first"),
        (f"{bucket}/d/b", b"second!"),
    ]


def test_the_first_request_is_sent_on(filled: Served) -> None:
    """As a proxy does, to the target that assembles the batch: 307, to be repeated as it was."""
    url = f"{filled.endpoint}/v1/ml/moss/{filled.name}?provider=ais"
    body = {"in": [{"objname": "a"}], "strm": True}
    reply = filled.http.get(url, json=body, allow_redirects=False)
    assert reply.status_code == 307
    assert f"/v1/ml/moss/{filled.name}/gbt-" in reply.headers["Location"]
    assert names(filled.http.get(reply.headers["Location"], json=body)) == [f"{filled.name}/a"]


def test_members_of_archives_and_short_names(filled: Served) -> None:
    """The path follows the object's name; onob leaves the bucket out."""
    entries = [{"objname": "s.tar", "archpath": "x/1"}, {"objname": "s.tar", "archpath": "/2"}]
    assert read_archive(ask(filled, *entries, onob=True).content) == [
        ("s.tar/x/1", b"one"),
        ("s.tar/2", b"two"),
    ]


def test_ranges(filled: Served) -> None:
    """Of objects and of members; -1 goes to the end."""
    reply = ask(
        filled,
        {"objname": "a", "start": 1, "length": 3},
        {"objname": "a", "start": 2, "length": -1},
        {"objname": "s.tar", "archpath": "2", "start": 1, "length": 1},
    )
    assert [data for _, data in read_archive(reply.content)] == [b"irs", b"rst", b"w"]


def test_entries_of_several_buckets(filled: Served, gateway_bucket: str) -> None:
    """An entry may name its bucket; without one in the path it must."""
    entries = [{"objname": "a", "bucket": filled.name, "provider": "ais"}]
    entries += [{"objname": "z", "uname": f"ais/@#/{gateway_bucket}/z"}]
    reply = ask(filled, *entries, path="moss")
    assert names(reply) == [f"{filled.name}/a", f"{gateway_bucket}/z"]


@pytest.fixture
def gateway_bucket(filled: Served) -> str:
    """Return the name of another bucket, with an object in it."""
    other = f"{filled.name}-other"
    (filled.folder.parent / other).mkdir()
    (filled.folder.parent / other / "z").write_bytes(b"z")
    return other


@pytest.mark.parametrize(
    ("entries", "message", "path", "status"),
    [
        ((), {}, None, 400),
        (("a",), {}, "moss", 400),
        (("a",), {}, "moss/missing", 404),
        (({"objname": "a", "bucket": "missing"},), {}, None, 404),
        (({"objname": ""},), {}, None, 400),
        (({"objname": "../a"},), {}, None, 400),
        (({"objname": "s.tar", "archpath": "x/"},), {}, None, 400),
        (({"objname": "a", "start": 1},), {}, None, 400),
        (({"objname": "a", "start": -1, "length": 1},), {}, None, 400),
        (("a",), {"mime": ".rar"}, None, 400),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_as_a_whole(
    filled: Served, entries: Any, message: Any, path: str | None, status: int
) -> None:
    """Before anything is sent."""
    assert ask(filled, *entries, path=path, **message).status_code == status


@pytest.mark.parametrize(
    "entry",
    [
        "none",
        {"objname": "none.tar", "archpath": "x"},
        {"objname": "s.tar", "archpath": "none"},
        {"objname": "a", "archpath": "x"},
        {"objname": "a", "start": 5, "length": 1},
        {"objname": "a", "start": 1, "length": 5},
    ],
)
def test_a_stream_ends_early_at_what_it_cannot_send(filled: Served, entry: Any) -> None:
    """A well-formed, shorter archive, as a live cluster sends: clients have to count."""
    assert names(ask(filled, "a", entry, "d/b")) == [f"{filled.name}/a"]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("form", [".tar", ".tgz", ".zip"])
def test_a_damaged_archive_is_no_shorter_batch(filled: Served, form: str, streams: bool) -> None:
    """It is refused while nothing has been sent, and the connection is cut after that."""
    large = os.urandom(300_000)
    (filled.folder / "large").write_bytes(large)
    data = make_boastful_zip("m", b"abc", 1)
    if form != ".zip":
        data = make_tar({"m": b"x" * 300})[:700]
        data = data if form == ".tar" else gzip.compress(data)
    (filled.folder / f"cut{form}").write_bytes(data)
    entry = {"objname": f"cut{form}", "archpath": "m"}
    assert ask(filled, "a", entry, strm=streams, coer=True).status_code == 400
    if streams or form == ".zip":
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            ask(filled, "large", entry, strm=streams, coer=True)


def test_missing_entries_have_placeholders_where_that_is_asked_for(filled: Served) -> None:
    """Empty members __404__/name in their place; of a missing archive without the member's path."""
    missing = ["none", {"objname": "n.tar", "archpath": "x"}, {"objname": "s.tar", "archpath": "n"}]
    reply = ask(filled, "a", *missing, "d/b", coer=True)
    bucket = filled.name
    assert read_archive(reply.content) == [
        (f"{bucket}/a", b"first"),
        (f"__404__/{bucket}/none", b""),
        (f"__404__/{bucket}/n.tar", b""),
        (f"__404__/{bucket}/s.tar/n", b""),
        (f"{bucket}/d/b", b"second!"),
    ]


@pytest.mark.parametrize(("missing", "members"), [(8, 9), (9, 9), (12, 9)])
def test_after_eight_missing_entries_the_ninth_is_the_last(
    filled: Served, missing: int, members: int
) -> None:
    """AIStore's budget for soft errors."""
    reply = ask(filled, *(f"none{number}" for number in range(missing)), "a", coer=True)
    assert len(names(reply)) == members


def test_a_range_beyond_the_end_is_no_missing_entry(filled: Served) -> None:
    """It ends the stream even where missing ones are passed over."""
    assert names(ask(filled, "a", {"objname": "a", "start": 9, "length": 1}, coer=True)) == [
        f"{filled.name}/a"
    ]


def test_the_multipart_form_tells_of_each_entry(filled: Served) -> None:
    """Names, sizes, errors and what the client wanted to have back; then the archive."""
    opaque = base64.b64encode(b"mine").decode()
    entries = [{"objname": "a", "opaque": opaque}, "none", {"objname": "s.tar", "archpath": "2"}]
    told, members = parts(ask(filled, *entries, strm=False, coer=True))
    common = {"bucket": filled.name, "provider": "ais"}
    assert told["uuid"].startswith("gbt-")
    error = told["out"][1].pop("err_msg")
    assert error.endswith(f": ais://{filled.name}/none does not exist")
    assert told["out"] == [
        {"objname": "a", **common, "opaque": opaque, "size": 5},
        {"objname": "none", **common, "size": 0},
        {"objname": "s.tar", "archpath": "2", **common, "size": 3},
    ]
    assert [data for _, data in members] == [b"first", b"", b"two"]


@pytest.mark.parametrize(
    ("entries", "coer", "status"),
    [
        (["a", "none"], False, 404),
        (["none"] * 9, True, 404),
        ([{"objname": "a", "start": 9, "length": 1}], True, 400),
        ([{"objname": "a", "archpath": "x"}], True, 400),
    ],
)
def test_the_multipart_form_fails_as_a_whole(
    filled: Served, entries: list[Any], coer: bool, status: int
) -> None:
    """There is still time to say so: nothing has been sent."""
    assert ask(filled, *entries, strm=False, coer=coer).status_code == status


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        (".tgz", "application/gzip"),
        (".tar.gz", "application/gzip"),
        (".zip", "application/zip"),
        ("", "application/x-tar"),
    ],
)
@pytest.mark.parametrize("streams", [True, False])
def test_other_forms_of_archive(filled: Served, mime: str, kind: str, streams: bool) -> None:
    """Whatever the form, the same members."""
    reply = ask(filled, "a", "d/b", mime=mime, strm=streams)
    if streams:
        assert reply.headers["Content-Type"] == kind
    members = read_archive(reply.content) if streams else parts(reply)[1]
    assert [data for _, data in members] == [b"first", b"second!"]


def test_a_batch_is_part_of_a_job(filled: Served) -> None:
    """One for the bucket, idle between batches; the multipart form tells its id."""
    told, _ = parts(ask(filled, "a", strm=False))
    ask(filled, "d/b")
    snap = filled.wait(told["uuid"])
    assert (snap["kind"], snap["bck"]["name"]) == ("get-batch", filled.name)
    assert (snap["stats"]["loc-objs"], snap["stats"]["loc-bytes"]) == ("2", "12")
    assert f"get-batch[{told['uuid']}]" in filled.jobs("running_all").json()


def test_large_objects_and_many_small_ones(bucket: Served) -> None:
    """Pieces are put together and taken apart, and nobody can tell."""
    objects = {f"{number:04}": os.urandom(number % 50) for number in range(1000)}
    objects["large"] = os.urandom(3_000_000)
    for name, data in objects.items():
        (bucket.folder / name).write_bytes(data)
    reply = ask(bucket, *objects, onob=True)
    assert dict(read_archive(reply.content)) == objects


def test_a_list_of_many_names_is_no_message_too_long(bucket: Served) -> None:
    """A batch of 20,000 is two megabytes of JSON."""
    (bucket.folder / "o").write_bytes(b"x")
    reply = ask(bucket, *({"objname": "o", "opaque": "x" * 60} for _ in range(20_000)))
    with tarfile.open(fileobj=io.BytesIO(reply.content)) as tar:
        assert sum(1 for _ in tar) == 20_000


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_client_that_goes_away_leaves_no_file_open(bucket: Served, gateway: Gateway) -> None:
    """Neither of a batch nor of an archive that is sent in pieces."""
    (bucket.folder / "large").write_bytes(bytes(20 << 20))
    bucket.put("s.tgz", make_archive(".tgz", {"m": os.urandom(8 << 20)}))
    body = {"in": [{"objname": "large"}] * 5, "strm": True}
    address = f"{bucket.endpoint}/v1/ml/moss/{bucket.name}"
    for _ in range(5):
        with requests.get(address, json=body, stream=True) as reply:
            assert reply.raw.read(1000)
        with requests.get(bucket.url("s.tgz", "?archpath=m"), stream=True) as reply:
            assert reply.raw.read(1000)
    opened = Path(f"/proc/{gateway.pid}/fd")
    while any(str(bucket.folder) in target for target in _targets(opened)):
        assert bucket.http.get(f"{bucket.endpoint}/v1/health").status_code == 200


def _targets(folder: Path) -> Iterator[str]:
    """Yield what the links in a folder lead to, less those that go while one looks."""
    for path in list(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):
            yield str(path.readlink())
