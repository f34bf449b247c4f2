"""The names of the files that tests of sources read."""

from __future__ import annotations

NAMES = ["s-0", "s-1", "s-2", "x"]
TREE = ["train/0", "train/1", "trial", "val/0"]


def last_names(infos):
    """Return the last part of each name."""
    return [info.name.rpartition("/")[2] for info in infos]


def names(infos, folder):
    """Return the names of listed objects below the folder."""
    return [info.url.removeprefix(folder) for info in infos]
