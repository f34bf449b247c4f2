"""Which tests run where, for all of them.

A test file that imports an optional package at its top is collected only where that package is
installed; tox makes sure that each environment has the packages it is meant to have.

Two environments share the work. `core`, without torch, runs all that it can. `torch` runs pytest
with --only-full: the files that need what only it has, and those that use what torch changes.
"""

from __future__ import annotations

import gc
import importlib.metadata
import importlib.util
import multiprocessing
import os
import re
import signal
import socket
import stat
import sys
import traceback

# pytest imports it where a finalizer fails, as torch's do in forked workers. If that happens in a
# garbage collection within another import, Python before 3.12 fails that one with a KeyError
# (python/cpython#91351), and the worker ends.
import tracemalloc  # noqa: F401
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]
_OPTIONAL = re.compile(
    r"^(?:import|from) "
    r"(torch|torchdata|aistore|webdataset|aiohttp|obstore|lz4|zstandard|opentelemetry|bionemo|ngcsdk|ngcbase"
    r"|PIL|lightning|fsspec|pandas|pyarrow|polars|zarr|dask|datasets)\b",
    re.MULTILINE,
)
# Packages that only the environment with torch has, and what of aisio is another thing with torch.
_ONLY_FULL = re.compile(
    r"^(?:import|from) "
    r"(torch|PIL|bionemo|ngcsdk|ngcbase|lightning|pandas|pyarrow|polars|zarr|dask|datasets)\b"
    r"|importorskip\(\"(?:torch|lightning|matplotlib|ray|submitit|transformers|lhotse)\b"
    r"|\baisio\.(datapipes|training)\b"
    r"|\bAIS(Map|Iter|BatchIter|ShardReader|FileL|SourceL)\w*",
    re.MULTILINE,
)

# Last on the path: an installed wheel comes first, and what a test sends to a spawned worker can be
# found there as tests.<module>.
sys.path.append(str(ROOT))


# torch computes in one thread, also in processes that tests start: its threads wait for each other
# by spinning, which takes twenty times the time where other processes have the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell makes programs in the background ignore Ctrl-C, and what they start ignores it too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No example fails because the machine is busy.
settings.register_profile("aisio", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aisio")


def pytest_report_header() -> str:
    """Say which aisio is under test, and with what."""
    spec = importlib.util.find_spec("aisio")
    versions = [f"{name} {_version(name)}" for name in ("torch", "aistore", "requests", "urllib3")]
    return f"aisio: {spec and spec.origin}, with {', '.join(versions)}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --only-full and --chains."""
    text = "run only the tests for which it matters that torch is there"
    parser.addoption("--only-full", action="store_true", help=text)
    text = "how often jobs are killed and started again, at random, instead of a few times"
    parser.addoption("--chains", type=int, help=text)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files that import an optional package which is not installed."""
    if collection_path.suffix != ".py":
        return None
    text = collection_path.read_text("utf-8")
    if config.getoption("only_full") and not _ONLY_FULL.search(text):
        return True
    imported = _OPTIONAL.findall(text)
    return True if any(importlib.util.find_spec(name) is None for name in imported) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one process more than there are cores: a test often waits for another process."""
    return len(os.sched_getaffinity(0)) + 1


def _raise_errors_of_workers_without_a_cycle() -> None:
    """Have a DataLoader end its workers at once after an error of one of them.

    torch raises the error again in a function that has it as a local variable, so its traceback
    leads to itself, and to the iterator. A garbage collection would end that one, and would close
    the queues to its workers before: torch then waits five seconds for them.
    """
    from torch._utils import ExceptionWrapper

    def reraise(wrapper: ExceptionWrapper, of_torch: Any = ExceptionWrapper.reraise) -> None:
        try:
            of_torch(wrapper)
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)
            raise

    ExceptionWrapper.reraise = reraise  # type: ignore[method-assign]


def pytest_collection_finish() -> None:
    """Make garbage collections and processes of a fork server cheap.

    What is imported by now, half a million objects beside torch, is left out of collections: each
    would look at all of them, and in a forked process copy them by that.

    The fork server imports what takes long, so that its processes need not; a spawned one does. It
    is started before any test, as it keeps the environment that it began in.
    """
    gc.collect()
    gc.freeze()
    if "torch" in sys.modules:
        _raise_errors_of_workers_without_a_cycle()
    costly = ["hypothesis", "pytest", "torch.utils.data"]
    multiprocessing.set_forkserver_preload([name for name in costly if name in sys.modules])
    forkserver.ensure_running()


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the project's folder."""
    return ROOT


@pytest.fixture
def unused_endpoint() -> Iterator[str]:
    """Return an endpoint where nothing listens, nor will while the test runs."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@pytest.fixture
def null_device(tmp_path: Path) -> Path:
    """Return a device like /dev/null, alone in a folder."""
    path = tmp_path / "devices" / "null"
    path.parent.mkdir()
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        path.write_bytes(b"")
    except PermissionError:
        pytest.skip("devices cannot be made here")
    return path
