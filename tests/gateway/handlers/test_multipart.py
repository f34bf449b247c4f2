from __future__ import annotations

import asyncio
import os
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from aisio.gateway import Gateway
from aisio.gateway.handlers.multipart import Multipart
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.multipart_uploads import MultipartUpload, MultipartUploads, Part
from tests.gateway.conftest import Served


def act(
    bucket: Served, method: str, name: str, action: str, query: str = "", value: object = None
) -> requests.Response:
    """Send an action message about an object."""
    body = {"action": action, "name": "", "value": value}
    return bucket.http.request(method, bucket.url(name, query), json=body)


def begin(bucket: Served, name: str = "o") -> str:
    """Begin an upload; return its id."""
    response = act(bucket, "POST", name, "mpt-upload")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    return response.text


def put_part(
    bucket: Served, upload_id: str, number: object, data: bytes, name: str = "o"
) -> requests.Response:
    """Send a part."""
    query = f"?uploadId={upload_id}&partNumber={number}"
    return bucket.http.put(bucket.url(name, query), data=data)


def complete(bucket: Served, upload_id: str, *numbers: int, name: str = "o") -> requests.Response:
    """Complete an upload with these parts."""
    listed = [{"part-number": number, "etag": ""} for number in numbers]
    return act(bucket, "POST", name, "mpt-complete", f"?uploadId={upload_id}", listed)


def abort(bucket: Served, upload_id: str) -> requests.Response:
    """Abort an upload."""
    return act(bucket, "DELETE", "o", "mpt-abort", f"?uploadId={upload_id}")


def test_parts_in_any_order_make_the_object(bucket: Served) -> None:
    """It does not exist until it is complete; then it is an object like any other."""
    parts = {2: os.urandom(1_500_000), 3: b"end", 1: os.urandom(70_000)}
    upload_id = begin(bucket)
    for number, data in parts.items():
        assert put_part(bucket, upload_id, number, data).status_code == 200
    assert bucket.get("o").status_code == 404
    assert bucket.names() == []
    assert complete(bucket, upload_id, 3, 1, 2).status_code == 200
    response = bucket.get("o")
    assert response.content == parts[1] + parts[2] + parts[3]
    assert response.headers["Ais-Version"] == "1"


def test_head_describes_the_parts_of_an_object(bucket: Served) -> None:
    """Until it is replaced or renamed; a copy has no parts."""
    upload_id = begin(bucket)
    for number in (1, 2, 3):
        put_part(bucket, upload_id, number, bytes(number * 1000))
    complete(bucket, upload_id, 1, 2, 3)
    bucket.http.put(bucket.url("o", f"?object_to=ais/@%23/{bucket.name}/copy"))
    assert [chunks(bucket, name) for name in ("o", "copy")] == [("3", "3000"), (None, None)]
    listed = bucket.list(props="name,chunked").json()["entries"]
    assert {entry["name"]: entry["flags"] for entry in listed} == {"copy": 64, "o": 8256}
    body = {"action": "rename-obj", "name": "new", "value": None}
    assert bucket.http.post(bucket.url("o"), json=body).status_code == 200
    assert chunks(bucket, "new") == (None, None)


def chunks(bucket: Served, name: str) -> tuple[str | None, str | None]:
    """Return what HEAD says of an object's parts: how many, and the size of the largest."""
    headers = bucket.http.head(bucket.url(name, "?props=chunked")).headers
    return headers.get("Ais-Chunks-Count"), headers.get("Ais-Chunks-Max-Chunk-Size")


def test_a_part_may_be_sent_again(bucket: Served) -> None:
    """The last one counts."""
    upload_id = begin(bucket)
    put_part(bucket, upload_id, 1, b"first try")
    put_part(bucket, upload_id, 1, b"second")
    complete(bucket, upload_id, 1)
    assert bucket.get("o").content == b"second"


@pytest.mark.parametrize(
    ("sent", "listed"), [((1, 2), (1,)), ((1, 3), (1, 3)), ((2,), (2,)), ((1, 2), (1, 2, 3))]
)
def test_only_all_parts_from_one_on_make_an_object(
    bucket: Served, sent: tuple[int, ...], listed: tuple[int, ...]
) -> None:
    """Gaps and subsets are 400, and the upload can still be completed."""
    upload_id = begin(bucket)
    for number in sent:
        put_part(bucket, upload_id, number, b"x")
    assert complete(bucket, upload_id, *listed).status_code == 400
    assert bucket.get("o").status_code == 404
    put_part(bucket, upload_id, 1, b"y")
    put_part(bucket, upload_id, 2, b"z")
    numbers = sorted({1, 2, *sent})
    assert complete(bucket, upload_id, *numbers).status_code == 200


def test_an_upload_without_parts_makes_nothing(bucket: Served) -> None:
    """The official client's own tests look for these words."""
    response = complete(bucket, begin(bucket))
    assert response.status_code == 400
    assert "no chunks" in response.json()["message"]


@pytest.mark.parametrize(("number", "data"), [("0", b"x"), ("x", b"x"), ("", b"x"), ("1", b"")])
def test_a_part_needs_a_number_and_bytes(bucket: Served, number: str, data: bytes) -> None:
    """Others are refused."""
    assert put_part(bucket, begin(bucket), number, data).status_code == 400


def test_an_upload_belongs_to_one_object(bucket: Served) -> None:
    """Its id is refused for another name, and so is an unknown id."""
    upload_id = begin(bucket)
    assert put_part(bucket, upload_id, 1, b"x", name="other").status_code == 404
    put_part(bucket, upload_id, 1, b"x")
    assert complete(bucket, upload_id, 1, name="other").status_code == 404
    assert put_part(bucket, "none", 1, b"x").status_code == 404
    assert complete(bucket, "none", 1).status_code == 404


def test_an_ended_upload_accepts_no_more_parts(bucket: Served) -> None:
    """Whether it was completed or aborted."""
    for end in (lambda upload_id: complete(bucket, upload_id, 1), lambda u: abort(bucket, u)):
        upload_id = begin(bucket)
        put_part(bucket, upload_id, 1, b"x")
        assert end(upload_id).status_code == 200
        assert put_part(bucket, upload_id, 2, b"x").status_code == 404
        assert abort(bucket, upload_id).status_code == 404


class SlowUploads(MultipartUploads):
    """Makes an object when it is told to."""

    def __init__(self) -> None:
        super().__init__(SimpleNamespace())  # type: ignore[arg-type]
        self.may_join = Event()
        self.joined: list[str] = []

    def join(self, upload: MultipartUpload, *_: Any, **__: Any) -> Any:
        """Wait, and note the upload."""
        self.may_join.wait()
        self.joined.append(upload.upload_id)


def test_a_client_that_asks_again_waits_for_the_same_object() -> None:
    """It did not wait for the first response: a large object takes longer than that."""
    uploads = SlowUploads()
    bucket = BucketName("b")
    part = SimpleNamespace(remove=lambda: None)
    uploads.begin(MultipartUpload("7", bucket, "o", parts={1: Part(part, 5)}))  # type: ignore[arg-type]
    folder = SimpleNamespace(require_access=lambda _: None)
    target = SimpleNamespace(bucket=bucket, name="o", query={"uploadId": "7"})
    exchange: Any = SimpleNamespace(target=target)
    message: Any = SimpleNamespace(value=b'[{"part-number": 1}]')

    async def main() -> list[int]:
        multipart = Multipart(folder, uploads)  # type: ignore[arg-type]
        waiting = [asyncio.ensure_future(multipart.complete(exchange, message)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # its client has gone
        uploads.may_join.set()
        response = await waiting[1]
        with pytest.raises(Refusal, match="upload 7 does not exist"):
            await multipart.complete(exchange, message)
        multipart.close()
        return [response.status]

    assert asyncio.run(main()) == [200]
    assert uploads.joined == ["7"]


def test_no_file_of_a_part_is_left(bucket: Served) -> None:
    """However the upload ends."""
    temporary = bucket.folder.parent / ".aisio" / "tmp"
    before = set(temporary.iterdir())
    for end in ("complete", "abort"):
        upload_id = begin(bucket)
        put_part(bucket, upload_id, 1, b"x")
        put_part(bucket, upload_id, 1, b"y")
        assert len(set(temporary.iterdir()) - before) == 1
        complete(bucket, upload_id, 1) if end == "complete" else abort(bucket, upload_id)
        assert set(temporary.iterdir()) == before


def test_an_upload_into_a_missing_bucket_is_refused(bucket: Served) -> None:
    """404 at once."""
    url = f"{bucket.endpoint}/v1/objects/missing/o"
    assert bucket.http.post(url, json={"action": "mpt-upload"}).status_code == 404


def test_a_claimed_checksum_of_a_part_is_checked(bucket: Served) -> None:
    """Like that of an object."""
    url = bucket.url("o", f"?uploadId={begin(bucket)}&partNumber=1")
    claim = {"Ais-Checksum-Type": "md5", "Ais-Checksum-Value": "0" * 32}
    assert bucket.http.put(url, data=b"x", headers=claim).json()["tcode"] == "ErrBadCksum"


def test_an_upload_ends_with_the_gateway(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The parts that a killed gateway had received are removed when it starts again."""
    folder = tmp_path_factory.mktemp("restarted")
    (folder / "b").mkdir()
    with Gateway(folder) as gateway, requests.Session() as http:
        bucket = Served(gateway.endpoint, "b", folder / "b", http)
        put_part(bucket, begin(bucket), 1, b"x" * 1000)
        assert list((folder / ".aisio" / "tmp").iterdir())
        gateway.kill()
        gateway.restart()
        assert not list((folder / ".aisio" / "tmp").iterdir())
