"""Digests as catalogs write them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.resources.download.digests import Digest, parse_digest
from aisio.transport.body import READ_PIECE_BYTES


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (None, Digest("sha256", None)),
        ("AB12", Digest("sha256", "ab12")),
        ("MD5:AB12", Digest("md5", "ab12")),
        ("sha512:ab12", Digest("sha512", "ab12")),
    ],
)
def test_a_digest_has_an_algorithm(text: str | None, digest: Digest) -> None:
    """SHA256 without one; letters in any case."""
    assert parse_digest(text) == digest


@pytest.mark.parametrize("text", ["crc99:00", "shake_128:00", ":00"])
def test_an_algorithm_that_hashlib_lacks_is_refused(text: str) -> None:
    """And one whose digests have no fixed length."""
    with pytest.raises(ConfigError, match=f"digest '{text}': this Python's hashlib has no"):
        parse_digest(text)


def test_digits_are_compared_and_written() -> None:
    """A digest without digits allows any."""
    assert Digest(value="ab").matches("ab")
    assert not Digest(value="ab").matches("ac")
    assert Digest().matches("ab")
    assert Digest().as_text("ab") == "ab"
    assert Digest("md5").as_text("ab") == "md5:ab"


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_file_is_hashed_in_pieces(tmp_path: Path, algorithm: str) -> None:
    """The size of each is reported."""
    data = bytes(range(256)) * (2 * READ_PIECE_BYTES // 256) + b"x"
    (tmp_path / "file").write_bytes(data)
    sizes: list[int] = []
    actual = Digest(algorithm).hash_file(tmp_path / "file", sizes.append)
    assert actual == hashlib.new(algorithm, data).hexdigest()
    assert sizes == [READ_PIECE_BYTES, READ_PIECE_BYTES, 1]
