"""The algorithms of S3's checksums, by known values."""

from __future__ import annotations

import base64

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.checksums import ALGORITHMS, crc64_nvme, decode_base64

CHECK = b"123456789"
VALUES = {
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "crc64nvme": "ae8b14860a799888",
    "md5": "25f9e794323b453885f5181f1b624d0b",
    "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "sha512": "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
    "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
    "xxhash3": "72dcb18b67a17dff",
    "xxhash64": "8cb841db40e6ae83",
    "xxhash128": "33119477ede5dcd5e9716427681d5860",
}
"""Of CHECK, from the catalogue of parametrised CRC algorithms, RFC 1321, FIPS 180-4 and xxhsum."""


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("step", [1, 2, 3, 9])
def test_known_values_in_pieces(name: str, step: int) -> None:
    """Whatever the pieces are."""
    hasher = ALGORITHMS[name]()
    for start in range(0, len(CHECK), step):
        hasher.update(CHECK[start : start + step])
    assert hasher.digest().hex() == VALUES[name]


def test_all_algorithms_are_tested() -> None:
    """The table above has them all."""
    assert VALUES.keys() == ALGORITHMS.keys()


def test_crc64_nvme_of_nothing_is_zero() -> None:
    """Also behind other data it changes nothing."""
    assert crc64_nvme(b"") == 0
    assert crc64_nvme(b"", 0xAE8B14860A799888) == 0xAE8B14860A799888


@pytest.mark.parametrize("text", ["", "AA", "!!!!", "AAAAAAAA"])
def test_a_malformed_value_is_refused(text: str) -> None:
    """Here of a checksum of four bytes."""
    with pytest.raises(Refusal, match="x-amz-checksum-crc32 is not a checksum of 4 bytes"):
        decode_base64(text, 4, "x-amz-checksum-crc32")
    assert decode_base64(base64.b64encode(b"abcd").decode(), 4, "h") == b"abcd"
