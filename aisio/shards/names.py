"""ShardNames: which objects of a listing are tar shards, by their names.

Tools leave other files beside shards: indexes, statistics, tables, markers of success, and those of
a desktop. Whoever lists a folder does not mean them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from aisio.errors import ConfigError

__all__ = ["ENDINGS", "ShardNames"]

_PACKED = ("gz", "bz2", "xz", "lz4", "zst")
ENDINGS = (
    ".tar",
    *(f".tar.{packed}" for packed in _PACKED),
    *(".tgz", ".tbz", ".tbz2", ".txz", ".tlz4", ".tzst"),
)
"""Of tar files, packed or not, in any case; aisio refuses some of them, with an error each."""


class ShardNames:
    """Tells by the last part of its name whether an object is a shard.

    Args:
        patterns: As a shell has them, for that last part; without them it must have one of
            `ENDINGS`, and not begin with ".".

    Attributes:
        why: What is said of the others.

    Raises:
        ConfigError: No pattern.
    """

    def __init__(self, patterns: str | Sequence[str] | None = None) -> None:
        self._patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns or ())
        if patterns is not None and not (self._patterns and all(self._patterns)):
            raise ConfigError(f'shard_names={patterns!r}: a pattern is needed, as in "*.tar"')
        self.why = "not named as tar shards, see shard_names="
        if self._patterns:
            self.why = f"not of shard_names={patterns!r}"

    def __call__(self, name: str) -> bool:
        """Tell whether an object of this name is a shard."""
        last = name.rpartition("/")[2]
        if self._patterns:
            return any(fnmatchcase(last, pattern) for pattern in self._patterns)
        return last.lower().endswith(ENDINGS) and not last.startswith(".")
