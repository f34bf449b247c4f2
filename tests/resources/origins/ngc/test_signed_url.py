"""The bytes behind a presigned URL: counted, of the listed file, and without showing the URL."""

from __future__ import annotations

import traceback

import pytest

from aisio.errors import IntegrityError, NotFoundError, StorageError, TruncatedError
from aisio.resources.origins.ngc.signed_url import ListedFile, open_signed
from tests.resources.ngc_origin import TARGET, origin, read
from tests.resources.ngc_server import Fault, NgcServer

DATA = bytes(range(256)) * 400


def test_ngc_27_a_storage_that_lost_the_file(registry: NgcServer) -> None:
    """The registry lists it all the same."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("X-Amz", status=404)]
    with pytest.raises(NotFoundError, match="its storage does not have it"):
        origin().open()


@pytest.mark.parametrize("start", [0, 1, len(DATA) - 1])
def test_a_response_starts_at_the_requested_byte(registry: NgcServer, start: int) -> None:
    """Its size is that of the whole file."""
    registry.add(TARGET, {"a.bin": DATA})
    reply = origin().open(start)
    assert (reply.start, reply.size_bytes) == (start, len(DATA))
    reply.close()
    assert read(origin(), start) == DATA[start:]


@pytest.mark.parametrize("start", [0, 7])
def test_a_size_that_is_not_listed_is_the_storages(registry: NgcServer, start: int) -> None:
    """A cut is seen all the same."""
    registry.add(TARGET, {"a.bin": DATA}).sizes = False
    assert read(origin(), start) == DATA[start:]
    registry.faults = [Fault("X-Amz", cut_at=1000)]
    with pytest.raises(TruncatedError, match=f"cut at byte {start + 1000} of {len(DATA)}"):
        read(origin(), start)


def test_an_empty_file_is_read(registry: NgcServer) -> None:
    """The request has no range."""
    registry.add(TARGET, {"a.bin": b""})
    assert read(origin()) == b""


def test_a_storage_without_ranges_starts_at_zero(registry: NgcServer) -> None:
    """The reply says so."""
    registry.add(TARGET, {"a.bin": b"12345"})
    registry.faults = [Fault("X-Amz", status=200, body=b"12345")]
    reply = origin().open(2)
    assert reply.start == 0
    reply.close()


def test_the_version_is_the_same_as_long_as_the_bytes_are(registry: NgcServer) -> None:
    """It changes with the registry's version, with the digest, and with the ETag."""
    item = registry.add(TARGET, {"a.bin": DATA})
    versions = [origin().open().version for _ in range(2)]
    item.versions["2.0"].files["a.bin"] = DATA + b"x"
    versions.append(origin().open().version)
    registry.add("nvidia/clara/esm:3.0", {"a.bin": DATA})
    versions.append(origin(target="nvidia/clara/esm").open().version)
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


@pytest.mark.parametrize("etag", [{}, {"ETag": 'W/"weak"'}])
def test_without_digest_and_strong_etag_there_is_no_version(
    registry: NgcServer, etag: dict[str, str]
) -> None:
    """A file that may have changed is not resumed."""
    registry.add(TARGET, {"a.bin": b"12345"}).digests = False
    registry.faults = [Fault("X-Amz", status=200, body=b"12345", headers=etag)]
    assert origin().open().version is None
    assert origin().open().version is not None


def test_a_cut_body_is_an_error(registry: NgcServer) -> None:
    """With the byte that it was cut at."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("X-Amz", cut_at=1000)]
    with pytest.raises(
        TruncatedError, match=f"a.bin from localhost:.*: cut at byte 1000 of {len(DATA)}"
    ):
        read(origin())


@pytest.mark.parametrize(
    "fault",
    [
        Fault("X-Amz", shift=1),
        Fault("X-Amz", status=206, body=b"2345", headers={"Content-Range": "bytes 2-5/6"}),
        Fault("X-Amz", status=206, body=b"345"),
        Fault("X-Amz", status=206, body=b"345", headers={"Content-Range": "bytes 1-4/5"}),
        Fault("X-Amz", status=200, body=b"123456"),
    ],
)
def test_other_bytes_than_requested_are_refused(registry: NgcServer, fault: Fault) -> None:
    """A wrong range, one of a file of another size, none at all, a wrong one, and another size."""
    registry.add(TARGET, {"a.bin": b"12345"})
    registry.faults = [fault]
    with pytest.raises(IntegrityError, match="a.bin from localhost"):
        origin().open(2)


def test_a_url_that_cannot_be_parsed_is_an_error_of_the_storage() -> None:
    """Not a ValueError of Python; and the URL is not shown."""
    file = ListedFile("ngc://model/a/b", "b", None, "a:1", None)
    url = "https://[::1/b?X-Amz-Signature=secret"
    with pytest.raises(StorageError, match="invalid address") as caught:
        open_signed(url, file)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
