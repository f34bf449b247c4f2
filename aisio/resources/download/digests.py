"""Digests as catalogs write them: 64 hexadecimal digits of SHA256, or `algorithm:digits`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aisio.errors import ConfigError
from aisio.transport.body import READ_PIECE_BYTES


@dataclass(frozen=True)
class Digest:
    """The digest that bytes must have.

    Attributes:
        algorithm: Name of the algorithm in hashlib.
        value: Hexadecimal digits in lower case; None allows any.
    """

    algorithm: str = "sha256"
    value: str | None = None

    def as_text(self, value: str) -> str:
        """Return digits of this algorithm as a catalog writes them."""
        return value if self.algorithm == "sha256" else f"{self.algorithm}:{value}"

    def matches(self, value: str) -> bool:
        """Return whether these digits are the right ones."""
        return self.value is None or self.value == value

    def hash_file(
        self, path: Path, on_hashed: Callable[[int], object] = lambda size_bytes: None
    ) -> str:
        """Return the hexadecimal digits of a file by this algorithm.

        Args:
            path: The file.
            on_hashed: Called with the size of each piece after it was hashed.

        Raises:
            OSError: It cannot be read.
        """
        hasher = hashlib.new(self.algorithm, usedforsecurity=False)
        buffer = memoryview(bytearray(READ_PIECE_BYTES))
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                hasher.update(buffer[:count])
                on_hashed(count)
        return hasher.hexdigest()


def parse_digest(text: str | None) -> Digest:
    """Parse a digest of a catalog; None gives a SHA256 digest that allows any value.

    Raises:
        ConfigError: This Python's hashlib lacks the algorithm, or its length is not fixed.
    """
    if text is None:
        return Digest()
    algorithm, colon, value = text.rpartition(":")
    algorithm = algorithm.lower() if colon else "sha256"
    try:
        is_usable = hashlib.new(algorithm, usedforsecurity=False).digest_size > 0
    except (ValueError, TypeError):
        is_usable = False
    if not is_usable:
        raise ConfigError(
            f"digest {text!r}: this Python's hashlib has no {algorithm!r}; take sha256, or one of "
            f"md5, sha1, sha512"
        )
    return Digest(algorithm, value.lower())
