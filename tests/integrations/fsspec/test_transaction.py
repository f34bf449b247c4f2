"""StoringTransaction: what fails stores no part of a file, and ends the transaction."""

from __future__ import annotations

from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Bucket
from aisio.errors import ConfigError
from aisio.integrations.fsspec import AisFileSystem


@pytest.mark.parametrize("opened", [("w",), ("wb",), ("wb", None, None, "gzip")])
def test_a_file_that_is_not_closed_is_an_error(
    fs: AisFileSystem, bucket: Bucket, opened: Any
) -> None:
    """Its last bytes may not be written yet; the other files are not stored either."""
    bucket.object("b").put(b"old")
    fs.start_transaction()
    fs.open("data/a", "wb").close()
    file = fs.open("data/b", *opened)
    file.write("new" if opened == ("w",) else b"new")
    with pytest.raises(ConfigError, match="data/b was not closed"):
        fs.end_transaction()
    assert fs.cat("data/*") == {"data/b": b"old"}


def test_one_that_fails_ends(fs: AisFileSystem, bucket: Bucket) -> None:
    """What follows is not stored by it, and what is written later is written at once."""
    with pytest.raises(FileNotFoundError):
        _write_all(fs, "data/a", "nobucket/b", "data/c")
    fs.open("data/d", "wb").close()
    assert fs.find("data") == ["data/a", "data/d"]


def _write_all(fs: AisFileSystem, *paths: str) -> None:
    """Write a byte to each path, in one transaction."""
    with fs.transaction:
        for path in paths:
            with fs.open(path, "wb") as file:
                file.write(b"1")


@pytest.mark.parametrize(
    ("mode", "options"), [("w", {"encoding": "x-none"}), ("wb", {"compression": "x-none"})]
)
def test_a_file_that_cannot_be_opened_is_not_written(
    fs: AisFileSystem, bucket: Bucket, mode: str, options: Any
) -> None:
    """The error may be handled within the transaction; the old object stays."""
    bucket.object("a").put(b"old")
    with fs.transaction, pytest.raises((LookupError, ValueError), match="x-none"):
        fs.open("data/a", mode, **options)
    assert fs.cat_file("data/a") == b"old"


def _write_in_two_transactions(fs: AisFileSystem) -> None:
    with fs.transaction:
        fs.open("data/a", "wb").close()
        _write_all(fs, "data/b")


def test_one_within_another_is_refused(fs: AisFileSystem, bucket: Bucket) -> None:
    """It would take the files of the other one. Nothing of either is stored."""
    with pytest.raises(ConfigError, match="transaction: one is under way"):
        _write_in_two_transactions(fs)
    assert fs.find("data") == []
