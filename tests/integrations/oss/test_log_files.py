"""Log and audit files of the OSS connector."""

from __future__ import annotations

import gc
import logging
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset

from aisio.errors import ConfigError
from aisio.integrations.oss.config_file import OssConfig
from aisio.integrations.oss.log_files import LogFiles

LOG, AUDIT = logging.getLogger("aisio.oss"), logging.getLogger("aisio.requests")


@pytest.fixture
def config(tmp_path: Path) -> OssConfig:
    """Return a configuration with both files, in a folder that does not exist."""
    return OssConfig(
        log_level=1, log_path=f"{tmp_path}/logs/oss.log", audit_path=f"{tmp_path}/logs/audit.log"
    )


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Check that loggers are as they were, and no file is open."""
    loggers = [logging.getLogger(name) for name in ("aisio", "aisio.requests")]
    before = [(one.level, list(one.handlers), one.propagate) for one in loggers]
    yield
    gc.collect()
    assert [(one.level, list(one.handlers), one.propagate) for one in loggers] == before
    opened = [
        Path(one.path).readlink().name for one in os.scandir("/proc/self/fd") if one.is_symlink()
    ]
    assert not [name for name in opened if name.endswith((".log_0", ".log_1"))]


def lines(config: OssConfig, worker: int = 0) -> tuple[list[str], list[str]]:
    """Return the last parts of the lines in the log and in the audit file of a worker."""
    paths = (Path(f"{path}_{worker}") for path in (config.log_path, config.audit_path))
    texts = (path.read_text("utf-8") for path in paths)
    log, audit = ([line.rpartition("|")[2] for line in text.splitlines(True)] for text in texts)
    return log, audit


def test_oss_34_log_and_audit_are_apart(config: OssConfig, caplog) -> None:
    """By logger and level; a line has level, time and process."""
    files = LogFiles(config)
    LOG.debug("not written")
    LOG.info("begun")
    AUDIT.info("GET oss://bucket/a 200")
    assert lines(config) == (["aisio.oss:begun\n"], ["GET oss://bucket/a 200\n"])
    line = Path(f"{config.log_path}_0").read_text("utf-8")
    assert line.split("|")[1:3] == ["INFO", str(os.getpid())]
    del files


@pytest.mark.parametrize("level", range(4))
def test_oss_33_the_log_level_counts(tmp_path: Path, level: int) -> None:
    """From 0 for all to 3 for errors alone."""
    config = OssConfig(log_level=level, log_path=f"{tmp_path}/oss.log")
    files = LogFiles(config)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        LOG.log(number, "text")
    assert len(Path(f"{config.log_path}_0").read_text("utf-8").splitlines()) == 4 - level
    del files


def test_files_are_shared_until_the_last_is_gone(config: OssConfig) -> None:
    """A line is written once, however many name the file; pickled ones count."""
    first = LogFiles(config)
    others = [pickle.loads(pickle.dumps(first)), LogFiles(config)]
    del first
    LOG.info("one")
    del others
    gc.collect()
    LOG.info("two")
    assert lines(config)[0] == ["aisio.oss:one\n"]


def test_files_may_be_dropped_while_a_line_is_written(tmp_path: Path) -> None:
    """By two threads: neither waits for the other for ever."""
    first, second = (LogFiles(OssConfig(log_path=f"{tmp_path}/{name}.log")) for name in "ab")
    handler: Any = logging.getLogger("aisio").handlers[-2]
    closing, close = threading.Event(), handler.close
    handler.close = lambda: closing.set() or close()  # type: ignore[func-returns-value]
    holders = [first]
    del first
    dropping = threading.Thread(target=holders.clear)
    handler.acquire()  # as while a line is written
    try:
        dropping.start()
        closing.wait()
        del second
    finally:
        handler.release()
    dropping.join()


def test_without_paths_nothing_is_changed() -> None:
    """No handler, no level."""
    files = LogFiles(OssConfig())
    assert not logging.getLogger("aisio.requests").handlers
    assert AUDIT.propagate
    del files


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """When it is opened, by its key; neither of the two is left open."""
    (tmp_path / "file").touch()
    config = OssConfig(log_path=f"{tmp_path}/oss.log", audit_path=f"{tmp_path}/file/audit.log")
    with pytest.raises(ConfigError, match=r"auditPath .*file/audit.log of the OSS configuration"):
        LogFiles(config)


class Logging(Dataset[int]):
    """A dataset that logs each item that is read."""

    def __init__(self, files: LogFiles) -> None:
        self.files = files

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        LOG.info("item %d", index)
        AUDIT.info("GET %d", index)
        return index


@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_oss_34_each_worker_has_its_files(config: OssConfig, context: str) -> None:
    """Forked or not."""
    dataset = Logging(LogFiles(config))
    loader: Any = DataLoader(dataset, 2, num_workers=2, multiprocessing_context=context)
    assert len(list(loader)) == 2
    for worker in (0, 1):
        numbers = (2 * worker, 2 * worker + 1)
        assert lines(config, worker) == (
            [f"aisio.oss:item {number}\n" for number in numbers],
            [f"GET {number}\n" for number in numbers],
        )
