from __future__ import annotations

import base64
import contextlib
import gzip
import io
import itertools
import json
import os
import platform
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from aisio.gateway import Gateway
from aisio.gateway.storage.pieces import PIECE_BYTES
from tests.gateway.archive_data import (
    make_archive,
    make_tar,
    make_zip_with_wrong_size,
    read_archive,
)
from tests.gateway.conftest import Served


def get_batch(
    bucket: Served, *entries: Any, path: str | None = None, **message: Any
) -> requests.Response:
    """Request a batch; an entry is an object's name, or a dict."""
    rows = [{"objname": entry} if isinstance(entry, str) else entry for entry in entries]
    body = {"mime": ".tar", "in": rows, "strm": True, **message}
    path = f"moss/{bucket.name}" if path is None else path
    return bucket.http.get(f"{bucket.endpoint}/v1/ml/{path}", json=body)


def names(response: requests.Response) -> list[str]:
    """Return the names of the members of a streamed batch."""
    assert response.status_code == 200, response.text
    return [name for name, _ in read_archive(response.content)]


def parts(response: requests.Response) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """Return the JSON of a multipart response, and the members of its archive."""
    boundary = response.headers["Content-Type"].partition("boundary=")[2].encode()
    start, metadata, archive, end = response.content.split(b"--" + boundary)
    assert (start, end) == (b"", b"--\r\n")
    description = metadata.partition(b"\r\n\r\n")[2]
    return json.loads(description), read_archive(
        archive.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    )


@pytest.fixture
def filled(bucket: Served) -> Served:
    """Return a bucket with two objects and an archive."""
    bucket.put("a", b"first")
    bucket.put("d/b", b"second!")
    bucket.put("s.tar", make_tar({"x/1": b"one", "2": b"two"}))
    return bucket


def test_objects_come_in_the_order_of_the_request(filled: Served) -> None:
    """One member for each entry, repeated ones too, called bucket/object."""
    response = get_batch(filled, "d/b", "a", "d/b")
    assert response.headers["Content-Type"] == "application/x-tar"
    bucket = filled.name
    assert read_archive(response.content) == [
        (f"{bucket}/d/b", b"second!"),
        (f"{bucket}/a", b"first"),
        (f"{bucket}/d/b", b"second!"),
    ]


def test_the_first_request_is_redirected(filled: Served) -> None:
    """As by a proxy, to the target that makes the batch: 307, for the same request again."""
    url = f"{filled.endpoint}/v1/ml/moss/{filled.name}?provider=ais"
    body = {"in": [{"objname": "a"}], "strm": True}
    response = filled.http.get(url, json=body, allow_redirects=False)
    assert response.status_code == 307
    assert f"/v1/ml/moss/{filled.name}/gbt-" in response.headers["Location"]
    assert names(filled.http.get(response.headers["Location"], json=body)) == [f"{filled.name}/a"]


def test_members_of_archives_and_short_names(filled: Served) -> None:
    """The path follows the object's name; with onob the bucket is left out."""
    entries = [{"objname": "s.tar", "archpath": "x/1"}, {"objname": "s.tar", "archpath": "/2"}]
    assert read_archive(get_batch(filled, *entries, onob=True).content) == [
        ("s.tar/x/1", b"one"),
        ("s.tar/2", b"two"),
    ]


def test_ranges(filled: Served) -> None:
    """Of objects and of members; -1 means up to the end."""
    response = get_batch(
        filled,
        {"objname": "a", "start": 1, "length": 3},
        {"objname": "a", "start": 2, "length": -1},
        {"objname": "s.tar", "archpath": "2", "start": 1, "length": 1},
    )
    assert [data for _, data in read_archive(response.content)] == [b"irs", b"rst", b"w"]


def test_entries_of_several_buckets(filled: Served, gateway_bucket: str) -> None:
    """An entry may name its bucket, and must do so if the path names none."""
    entries = [{"objname": "a", "bucket": filled.name, "provider": "ais"}]
    entries += [{"objname": "z", "uname": f"ais/@#/{gateway_bucket}/z"}]
    response = get_batch(filled, *entries, path="moss")
    assert names(response) == [f"{filled.name}/a", f"{gateway_bucket}/z"]


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
def test_an_invalid_entry_refuses_the_whole_request(
    filled: Served, entries: Any, message: Any, path: str | None, status: int
) -> None:
    """Before anything is sent."""
    assert get_batch(filled, *entries, path=path, **message).status_code == status


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
    """The archive is well formed and shorter, as from a live cluster: clients have to count."""
    assert names(get_batch(filled, "a", entry, "d/b")) == [f"{filled.name}/a"]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("form", [".tar", ".tgz", ".zip"])
def test_a_damaged_archive_does_not_shorten_a_batch(
    filled: Served, form: str, streams: bool
) -> None:
    """It is refused before the first byte, and closes the connection after it."""
    large = os.urandom(PIECE_BYTES)  # a piece is sent before the damage is found
    (filled.folder / "large").write_bytes(large)
    data = make_zip_with_wrong_size("m", b"abc", 1)
    if form != ".zip":
        data = make_tar({"m": b"x" * 300})[:700]
        data = data if form == ".tar" else gzip.compress(data)
    (filled.folder / f"cut{form}").write_bytes(data)
    entry = {"objname": f"cut{form}", "archpath": "m"}
    assert get_batch(filled, "a", entry, strm=streams, coer=True).status_code == 400
    if streams or form == ".zip":
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            get_batch(filled, "large", entry, strm=streams, coer=True)


def test_missing_entries_have_placeholders_if_requested(filled: Served) -> None:
    """Empty members __404__/name; for a missing archive without the member's path."""
    missing = ["none", {"objname": "n.tar", "archpath": "x"}, {"objname": "s.tar", "archpath": "n"}]
    response = get_batch(filled, "a", *missing, "d/b", coer=True)
    bucket = filled.name
    assert read_archive(response.content) == [
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
    response = get_batch(filled, *(f"none{number}" for number in range(missing)), "a", coer=True)
    assert len(names(response)) == members


def test_a_range_beyond_the_end_is_not_a_missing_entry(filled: Served) -> None:
    """It ends the stream even if entries may be missing."""
    assert names(get_batch(filled, "a", {"objname": "a", "start": 9, "length": 1}, coer=True)) == [
        f"{filled.name}/a"
    ]


def test_the_multipart_form_describes_each_entry(filled: Served) -> None:
    """Names, sizes, errors and the client's opaque data; then the archive."""
    opaque = base64.b64encode(b"mine").decode()
    entries = [{"objname": "a", "opaque": opaque}, "none", {"objname": "s.tar", "archpath": "2"}]
    description, members = parts(get_batch(filled, *entries, strm=False, coer=True))
    common = {"bucket": filled.name, "provider": "ais"}
    assert description["uuid"].startswith("gbt-")
    error = description["out"][1].pop("err_msg")
    assert error.endswith(f": ais://{filled.name}/none does not exist")
    assert description["out"] == [
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
    """Nothing has been sent yet, so an error response is possible."""
    assert get_batch(filled, *entries, strm=False, coer=coer).status_code == status


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
    response = get_batch(filled, "a", "d/b", mime=mime, strm=streams)
    if streams:
        assert response.headers["Content-Type"] == kind
    members = read_archive(response.content) if streams else parts(response)[1]
    assert [data for _, data in members] == [b"first", b"second!"]


def test_a_batch_is_part_of_a_job(filled: Served) -> None:
    """One for each bucket, idle between batches; the multipart form has its id."""
    description, _ = parts(get_batch(filled, "a", strm=False))
    get_batch(filled, "d/b")
    snap = filled.wait(description["uuid"])
    assert (snap["kind"], snap["bck"]["name"]) == ("get-batch", filled.name)
    assert (snap["stats"]["loc-objs"], snap["stats"]["loc-bytes"]) == ("2", "12")
    assert f"get-batch[{description['uuid']}]" in filled.jobs("running_all").json()


def test_large_objects_and_many_small_ones(bucket: Served) -> None:
    """However the pieces are joined or split."""
    objects = {f"{number:04}": os.urandom(number % 50) for number in range(1000)}
    objects["large"] = os.urandom(3_000_000)
    for name, data in objects.items():
        (bucket.folder / name).write_bytes(data)
    response = get_batch(bucket, *objects, onob=True)
    assert dict(read_archive(response.content)) == objects


def test_a_list_of_many_names_is_not_too_long(bucket: Served) -> None:
    """A batch of 20,000 is two megabytes of JSON."""
    (bucket.folder / "o").write_bytes(b"x")
    response = get_batch(bucket, *({"objname": "o", "opaque": "x" * 60} for _ in range(20_000)))
    with tarfile.open(fileobj=io.BytesIO(response.content)) as tar:
        assert sum(1 for _ in tar) == 20_000


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_client_that_closes_the_connection_leaves_no_file_open(
    bucket: Served, gateway: Gateway
) -> None:
    """Neither of a batch nor of an archive that is sent in pieces."""
    (bucket.folder / "large").write_bytes(bytes(20 << 20))
    bucket.put("s.tgz", make_archive(".tgz", {"m": os.urandom(8 << 20)}))
    body = {"in": [{"objname": "large"}] * 5, "strm": True}
    address = f"{bucket.endpoint}/v1/ml/moss/{bucket.name}"
    for _ in range(5):
        with requests.get(address, json=body, stream=True) as response:
            assert response.raw.read(1000)
        with requests.get(bucket.url("s.tgz", "?archpath=m"), stream=True) as response:
            assert response.raw.read(1000)
    opened = Path(f"/proc/{gateway.pid}/fd")
    while any(str(bucket.folder) in target for target in _targets(opened)):
        assert bucket.http.get(f"{bucket.endpoint}/v1/health").status_code == 200


def _targets(folder: Path) -> Iterator[str]:
    """Yield the targets of the links in a folder; links that are removed meanwhile are skipped."""
    for path in list(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):
            yield str(path.readlink())


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="bytes do not come from glibc",
)
def test_archives_are_made_in_memory_that_was_used_before(tmp_path: Path) -> None:
    """Otherwise each of these takes hundreds of new pages, which the system has to clear."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "o").write_bytes(bytes(100_000))
    with Gateway(tmp_path) as gateway, requests.Session() as http:
        served = Served(gateway.endpoint, "b", tmp_path / "b", http)
        faults = [page_faults(gateway.pid)]
        for _ in range(5):
            assert len(get_batch(served, *["o"] * 150).content) > 15_000_000
            faults.append(page_faults(gateway.pid))
    # A thread that makes its first archive needs pages.
    assert min(after - before for before, after in itertools.pairwise(faults)) < 50


def page_faults(pid: int | None) -> int:
    """Return how many new pages a process was given; see proc_pid_stat(5)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


@pytest.mark.parametrize("mime", [".tar", ".tgz", ".zip"])
@pytest.mark.parametrize("path", ["a\0b", "x" * 70_000])
def test_a_member_whose_placeholder_has_no_valid_name_is_refused(
    filled: Served, path: str, mime: str
) -> None:
    """It has a NUL or is too long for the format."""
    response = get_batch(filled, {"objname": "s.tar", "archpath": path}, mime=mime, coer=True)
    assert response.status_code == 400, response.text
