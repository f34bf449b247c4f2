"""FolderWatch: one warning where basenames do not tell samples apart."""

from __future__ import annotations

import warnings

import pytest
import torch  # noqa: F401 - the package needs it

from aisio.shards.samples import Sample
from aisio.training.folder_watch import FolderWatch


def sample(key: str) -> Sample:
    """Return a sample."""
    return Sample("ais://b/a.tar", key, key.rpartition("/")[2], {}, 0)


def test_one_folder() -> None:
    """Nothing is said."""
    watch = FolderWatch("Reader")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for key in ("a/1", "a/2"):
            watch.check(sample(key))


def test_two_folders() -> None:
    """It is said once, with what to do."""
    watch = FolderWatch("Reader")
    watch.check(sample("a/1"))
    with pytest.warns(UserWarning, match="<Reader> ais://b/a.tar: .* as 'a/' and 'b/'.*full_key="):
        watch.check(sample("b/1"))
    watch.check(sample("c/1"))
