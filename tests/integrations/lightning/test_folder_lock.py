"""folder_lock(): of two programs that replace shards of a folder, the second one waits."""

from __future__ import annotations

import logging
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from aisio.integrations.lightning.folder_lock import folder_lock


def _hold(folder: Path, log: Path, held: Any, go_on: Any) -> None:
    with folder_lock(folder):
        held.set()
        go_on.wait()
        log.write_text("first")


def test_the_second_one_waits_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever path each of them uses; the lock leaves nothing behind."""
    folder, link, log = tmp_path / "folder", tmp_path / "link", tmp_path / "log"
    folder.mkdir()
    link.symlink_to(folder)
    context = multiprocessing.get_context("fork")
    held, go_on = context.Event(), context.Event()
    first = context.Process(target=_hold, args=(link, log, held, go_on))
    first.start()
    held.wait()

    class GoOn(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            go_on.set()

    handler = GoOn()
    logger = logging.getLogger("aisio.shard_sets")
    logger.addHandler(handler)
    try:
        with caplog.at_level("INFO", logger="aisio.shard_sets"), folder_lock(folder):
            assert log.read_text() == "first"
    finally:
        logger.removeHandler(handler)
        first.join()
    assert "waiting for another program that replaces shards in" in caplog.text
    assert list(folder.iterdir()) == []


def test_a_folder_must_be_there(tmp_path: Path) -> None:
    """A lock file of its name would be no folder."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="x"), folder_lock(tmp_path / "file" / "x"):
        pass
