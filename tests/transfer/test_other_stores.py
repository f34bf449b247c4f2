"""Transfers from and to stores that are no cluster."""

from __future__ import annotations

import obstore  # noqa: F401 - memory:// needs it
import pytest

from aisio.stores import store_for
from aisio.transfer import TransferOptions, copy, move, sync
from aisio.urls import ObjectUrl

RECURSIVE = TransferOptions(recursive=True)
DATA = {"a": b"1", "deep/b": b"2" * 100_000, "deep/c": b""}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    """Keep checksums in a folder of the test's own."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


def contents(text, client=None):
    """Return the objects below a URL."""
    url = ObjectUrl.parse(text)
    store = store_for(url, client)
    return {
        info.name.removeprefix(url.name): store.read(url.with_name(info.name))
        for info in store.list(url)
    }


def test_trees_go_through_this_process(bucket, client, files, tmp_path):
    """From a folder into memory, from there into a cluster and back."""
    folder = files(DATA)
    up = copy(f"file://{folder}", "memory://transfers-x/tree/", RECURSIVE)
    across = copy("memory://transfers-x/tree", "ais://transfers/y", RECURSIVE, client=client)
    back = move("ais://transfers/y", "memory://transfers-x/back", RECURSIVE, client=client)
    for report in (up, across, back):
        assert (report.copied, report.failed) == (3, 0)
    assert contents("memory://transfers-x/back/") == DATA
    assert contents("ais://transfers/", client) == {}
    copy("memory://transfers-x/back/*/b", f"file://{tmp_path}/out", client=client)
    assert (tmp_path / "out/deep/b").read_bytes() == DATA["deep/b"]
    for url in ("tree", "back"):
        move(f"memory://transfers-x/{url}", f"file://{tmp_path}/gone-{url}", RECURSIVE)
    assert contents("memory://transfers-x/") == {}


def test_what_has_no_checksum_is_copied_again_and_counted(files):
    """Only equal sizes are known, which a user may take for equal bytes."""
    folder = files({"a": b"1", "b": b"2"})
    for options, copied, unverified in (
        (TransferOptions(), 2, 0),
        (TransferOptions(), 2, 2),
        (TransferOptions(size_only=True), 0, 0),
    ):
        report = sync(f"file://{folder}", "memory://transfers-z/", options)
        assert (report.copied, report.unverified) == (copied, unverified)
    move("memory://transfers-z/", f"file://{folder}/moved", RECURSIVE)
