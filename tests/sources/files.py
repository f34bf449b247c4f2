"""The names of the files that tests of sources read."""

from __future__ import annotations

NAMES = ["s-0", "s-1", "s-2", "x"]


def last_names(infos):
    """Return the last part of each name."""
    return [info.name.rpartition("/")[2] for info in infos]
