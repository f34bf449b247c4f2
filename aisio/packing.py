"""The old path of `aisio.shards.packing`, until the next release."""

from __future__ import annotations

import warnings

from aisio.shards.pack_files import FolderFile, NameCount, walk_folder
from aisio.shards.packing import PackedShard, pack_folder, write_shards
from aisio.shards.plan import Plan, PlannedShard, plan_folder

__all__ = [
    "FolderFile",
    "NameCount",
    "PackedShard",
    "Plan",
    "PlannedShard",
    "Tally",
    "pack_folder",
    "plan_folder",
    "walk_folder",
    "write_shards",
]

Tally = NameCount
"""The old name of NameCount."""

warnings.warn(
    "aisio.packing has moved: import its names from aisio.shards.packing",
    DeprecationWarning,
    stacklevel=2,
)
