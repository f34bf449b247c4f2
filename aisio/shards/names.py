"""ShardNames: which objects of a listing are tar shards, by their names.

Tools write other files into the folder of the shards: indexes, statistics, tables, markers of
success, and the files of a desktop. A reader of that folder must not take them for shards. The log
says how many of each known kind were left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from aisio.errors import ConfigError

__all__ = ["CLASSES_NAME", "ENDINGS", "ShardNames"]

CLASSES_NAME = "classes.json"
"""The file beside shards that has the number of each class by its name; `aisio pack` writes it."""

_COMPRESSIONS = ("gz", "bz2", "xz", "lz4", "zst")
ENDINGS = (
    ".tar",
    *(f".tar.{kind}" for kind in _COMPRESSIONS),
    *(".tgz", ".tbz", ".tbz2", ".txz", ".tlz4", ".tzst"),
)
"""How tar files end, compressed or not, in any case; those that aisio cannot read are an error."""


_SIDECARS = (
    *("._*", ".DS_Store", "_SUCCESS"),
    *("*.idx", "*.idxpack", "*.index", "*.crc", "*.md5", "*.sha256"),
    *("*.json", "*.jsonl", "*.yaml", "*.parquet", "*.csv", "*.tsv", "*.txt"),
)
"""What is known to stand beside shards; "._*" are AppleDouble files of macOS."""


class ShardNames:
    """Decides by the last part of its name whether an object is a shard.

    Args:
        patterns: Shell patterns for that last part; by default it must have one of `ENDINGS`, and
            not begin with ".".
        advice: What to do about objects that have other names.

    Attributes:
        why: The reason to log for the objects that are left out.

    Raises:
        ConfigError: The patterns are empty.
    """

    def __init__(
        self,
        patterns: str | Sequence[str] | None = None,
        *,
        advice: str = "see shard_names=",
    ) -> None:
        self._patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns or ())
        if patterns is not None and not (self._patterns and all(self._patterns)):
            raise ConfigError(f'shard_names={patterns!r}: a pattern is needed, as in "*.tar"')
        self.why = f"not named as tar shards, {advice}"
        if self._patterns:
            self.why = f"not of shard_names={patterns!r}"

    def __call__(self, name: str) -> bool:
        """Return whether an object of this name is a shard."""
        last = name.rpartition("/")[2]
        if self._patterns:
            return any(fnmatchcase(last, pattern) for pattern in self._patterns)
        return last.lower().endswith(ENDINGS) and not last.startswith(".")

    def kind_of(self, name: str) -> str:
        """Return the kind of an object that is no shard, as a pattern; "" if it is not known."""
        last = name.rpartition("/")[2]
        kinds = (kind for kind in _SIDECARS if fnmatchcase(last, kind))
        return next(kinds, "")

    def is_sidecar(self, name: str) -> bool:
        """Return whether an object is one that `aisio pack` writes beside the shards."""
        return name.rpartition("/")[2] == CLASSES_NAME
