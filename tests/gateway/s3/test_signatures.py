"""Signatures: the examples of Amazon's documentation, and what must be refused."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from hashlib import sha256

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.signatures import ChunkSignatures, Keys, SignedRequest, verify

KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=timezone.utc)
SCOPE = "20130524/us-east-1/s3/aws4_request"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
GET_SIGNATURE = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
URL_SIGNATURE = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


def get_request(signature: str = GET_SIGNATURE, **changes: str) -> SignedRequest:
    """Return "GET Object" of Amazon's examples."""
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": EMPTY,
        "x-amz-date": "20130524T000000Z",
        "authorization": f"AWS4-HMAC-SHA256 Credential={KEYS.access_key}/{SCOPE},SignedHeaders="
        f"host;range;x-amz-content-sha256;x-amz-date,Signature={signature}",
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    return SignedRequest("GET", "/test.txt", "", headers)


def url_request(signature: str = URL_SIGNATURE, expires: str = "86400") -> SignedRequest:
    """Return the signed URL of Amazon's examples."""
    credential = f"{KEYS.access_key}/{SCOPE}".replace("/", "%2F")
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}"
        f"&X-Amz-Date=20130524T000000Z&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={signature}"
    )
    return SignedRequest("GET", "/test.txt", query, {"host": "examplebucket.s3.amazonaws.com"})


def refused(request: SignedRequest, now: datetime = NOW, keys: Keys = KEYS) -> str:
    """Return the code of the refusal."""
    with pytest.raises(Refusal) as caught:
        verify(request, keys, now)
    assert keys.secret_key not in caught.value.message
    return caught.value.tcode


def test_the_examples_of_the_documentation_are_accepted() -> None:
    """By a header, and by a URL."""
    assert verify(get_request(), KEYS, NOW) is not None
    assert verify(url_request(), KEYS, NOW) is not None


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (get_request("0" * 64), "SignatureDoesNotMatch"),
        (get_request(range="bytes=0-8"), "SignatureDoesNotMatch"),
        (get_request()._replace(method="DELETE"), "SignatureDoesNotMatch"),
        (get_request()._replace(path="/other.txt"), "SignatureDoesNotMatch"),
        (get_request()._replace(query="acl"), "SignatureDoesNotMatch"),
        (get_request(x_amz_acl="public-read"), "AccessDenied"),
        (get_request(x_amz_content_sha256=""), "InvalidRequest"),
        (get_request(authorization="AWS4-HMAC-SHA256 nonsense"), "AuthorizationHeaderMalformed"),
        (get_request(authorization="AWS key:signature"), "InvalidRequest"),
        (get_request(authorization=""), "AccessDenied"),
        (get_request(x_amz_date="yesterday"), "AuthorizationHeaderMalformed"),
        (url_request("0" * 64), "SignatureDoesNotMatch"),
        (url_request(expires="86401"), "SignatureDoesNotMatch"),
        (url_request(expires="604801"), "AuthorizationQueryParametersError"),
        (url_request(expires="-1"), "AuthorizationQueryParametersError"),
    ],
)
def test_what_was_not_signed_so_is_refused(request_: SignedRequest, code: str) -> None:
    """Method, path, query, headers and dates are all part of what is signed."""
    assert refused(request_) == code


def test_other_keys_are_refused() -> None:
    """An unknown access key by its name, a wrong secret by the signature."""
    assert refused(get_request(), keys=Keys("OTHER", KEYS.secret_key)) == "InvalidAccessKeyId"
    assert refused(get_request(), keys=Keys(KEYS.access_key, "0ther")) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_wrong_by_more_than_15_minutes_is_refused(minutes: int) -> None:
    """In both directions; 14 minutes are accepted."""
    assert refused(get_request(), NOW + timedelta(minutes=minutes)) == "RequestTimeTooSkewed"
    assert verify(get_request(), KEYS, NOW + timedelta(minutes=14)) is not None


def test_a_url_is_valid_for_as_long_as_it_says() -> None:
    """Not a second longer, and not long before its date."""
    assert verify(url_request(), KEYS, NOW + timedelta(seconds=86400)) is not None
    assert refused(url_request(), NOW + timedelta(seconds=86401)) == "AccessDenied"
    assert refused(url_request(), NOW - timedelta(minutes=16)) == "AccessDenied"


def test_the_keys_hide_the_secret() -> None:
    """Options are shown in tracebacks."""
    assert KEYS.secret_key not in repr(KEYS)


@pytest.fixture
def chunks() -> ChunkSignatures:
    """Return what verifies the chunks of the documentation's example."""
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    headers = {
        "content-encoding": "aws-chunked",
        "content-length": "66824",
        "host": "s3.amazonaws.com",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-date": "20130524T000000Z",
        "x-amz-decoded-content-length": "66560",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    names = ";".join(headers)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEYS.access_key}/{SCOPE},SignedHeaders={names},"
        f"Signature={seed}"
    )
    path = "/examplebucket/chunkObject.txt"
    found = verify(SignedRequest("PUT", path, "", headers), KEYS, NOW)
    assert found is not None
    return found


CHUNKS = (
    (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
)
"""The chunks of the documentation's example, with their signatures."""


def test_each_chunk_signs_the_one_before(chunks: ChunkSignatures) -> None:
    """The example's chunks are accepted in their order."""
    for data, signature in CHUNKS:
        chunks.check_chunk(sha256(data).hexdigest(), signature)
    with pytest.raises(Refusal, match="signature"):
        chunks.check_chunk(sha256(b"").hexdigest(), CHUNKS[2][1])


def test_chunks_behind_a_signed_url_are_verified() -> None:
    """The first one signs the signature of the URL."""
    chunks = verify(url_request(), KEYS, NOW)
    assert chunks is not None
    with pytest.raises(Refusal, match="signature"):
        chunks.check_chunk(sha256(b"").hexdigest(), CHUNKS[2][1])


def test_a_chunk_out_of_order_is_refused(chunks: ChunkSignatures) -> None:
    """Its signature is right for another place."""
    with pytest.raises(Refusal, match="signature"):
        chunks.check_chunk(sha256(CHUNKS[1][0]).hexdigest(), CHUNKS[1][1])
