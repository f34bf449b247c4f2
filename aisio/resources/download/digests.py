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
    """What bytes must hash to.

    Attributes:
        algorithm: As hashlib names it.
        value: Hexadecimal digits in lower case; None: any.
    """

    algorithm: str = "sha256"
    value: str | None = None

    def written(self, value: str) -> str:
        """Return a value of this algorithm as a catalog has it."""
        return value if self.algorithm == "sha256" else f"{self.algorithm}:{value}"

    def fits(self, value: str) -> bool:
        """Tell whether these digits are the expected ones, or any are."""
        return self.value is None or self.value == value

    def of_file(self, path: Path, tell: Callable[[int], object] = lambda size_bytes: None) -> str:
        """Hash a file by this algorithm.

        Args:
            path: The file.
            tell: Is told of each piece, by its size, when it was hashed.

        Raises:
            OSError: It cannot be read.
        """
        hasher = hashlib.new(self.algorithm, usedforsecurity=False)
        buffer = memoryview(bytearray(READ_PIECE_BYTES))
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                hasher.update(buffer[:count])
                tell(count)
        return hasher.hexdigest()


def parse_digest(text: str | None) -> Digest:
    """Read a digest of a catalog; None means that none is known, and counts SHA256.

    Raises:
        ConfigError: No algorithm that Python's hashlib has here, or one without a fixed length.
    """
    if text is None:
        return Digest()
    algorithm, colon, value = text.rpartition(":")
    algorithm = algorithm.lower() if colon else "sha256"
    try:
        fixed = hashlib.new(algorithm, usedforsecurity=False).digest_size > 0
    except (ValueError, TypeError):
        fixed = False
    if not fixed:
        raise ConfigError(
            f"digest {text!r}: this Python's hashlib has no {algorithm!r}; take sha256, or one of "
            f"md5, sha1, sha512"
        )
    return Digest(algorithm, value.lower())
