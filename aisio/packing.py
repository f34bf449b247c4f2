"""The old path of `aisio.shards.packing`, until the next release."""

from __future__ import annotations

import warnings

from aisio.shards.packing import (
    FolderFile,
    PackedShard,
    Plan,
    PlannedShard,
    Tally,
    pack_folder,
    parse_size,
    plan_folder,
    walk_folder,
    write_shards,
)

__all__ = [
    "FolderFile",
    "PackedShard",
    "Plan",
    "PlannedShard",
    "Tally",
    "pack_folder",
    "parse_size",
    "plan_folder",
    "walk_folder",
    "write_shards",
]

warnings.warn(
    "aisio.packing has moved: import its names from aisio.shards.packing",
    DeprecationWarning,
    stacklevel=2,
)
