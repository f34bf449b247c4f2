"""ModelLoader: what the store sends is verified; what does not fit is told before it is read."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import (
    CheckpointError,
    Client,
    ConfigError,
    IntegrityError,
    NotFoundError,
    ObjectUrl,
)
from aisio.gateway import Gateway
from aisio.models import MemoryOptions
from aisio.models.files import ModelFile, Patterns, list_model, model_url
from aisio.models.folder import ModelFolder
from aisio.models.loading import LoadStoppedError, ModelLoader, check_limit, write_small_files
from aisio.models.memory_folder import MemoryFolder
from aisio.stores import LocalStore, Store, store_for
from aisio.testing import FaultProxy
from aisio.testing.fault_proxy import Cut
from aisio.transport.body import Body
from tests.models.models import Case, files_in

ALL = Patterns.of(None, None)


@pytest.fixture
def memory(case: Case) -> Iterator[MemoryFolder]:
    """Return a memory folder that is removed."""
    folder = MemoryFolder(str(case.memory), "k")
    yield folder
    folder.leave()
    assert list(case.memory.iterdir()) == []


def local_files(case: Case) -> list[ModelFile]:
    """Return the large files of a model in a folder."""
    url = model_url(f"file://{case.source}")
    return [one for one in list_model(LocalStore(), url, ALL, case.options) if one.memory_name]


def loader(
    case: Case,
    memory: MemoryFolder,
    on_complete: Callable[[ModelFile], None] = lambda _: None,
    store: Store | None = None,
) -> ModelLoader:
    """Return a loader of the large files."""
    store = store or LocalStore()
    return ModelLoader("file://m", store, local_files(case), memory, case.options, on_complete)


def test_large_files_come_to_memory_once(case: Case, memory: MemoryFolder) -> None:
    """What is there is not read again, even if the source is gone."""
    complete: list[str] = []
    loads = loader(case, memory, lambda file: complete.append(file.name))
    loads.load(threading.Event())
    assert sorted(complete) == ["a.safetensors", "sub/b.bin"]
    assert memory.path_of("0002.bin").read_bytes() == (case.source / "sub/b.bin").read_bytes()
    (case.source / "sub/b.bin").unlink()
    loads.load(threading.Event())
    assert sorted(complete) == ["a.safetensors", "a.safetensors", "sub/b.bin", "sub/b.bin"]


def test_who_waits_takes_what_the_other_has_read(case: Case, memory: MemoryFolder) -> None:
    """And reads what the other has not; a stop ends the wait."""
    other = MemoryFolder(str(case.memory), "k")
    lock = other.try_lock()
    assert lock is not None
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(LoadStoppedError):
        loader(case, memory).load(stopped)
    arrived = threading.Event()
    complete: list[str] = []

    def note(file: ModelFile) -> None:
        complete.append(file.name)
        arrived.set()

    thread = threading.Thread(target=loader(case, memory, note).load, args=[threading.Event()])
    thread.start()
    with (case.source / "a.safetensors").open("rb") as file:
        other.write("0000.safetensors", lambda to: to_descriptor(file.read(), to))
    arrived.wait()
    assert set(complete) == {"a.safetensors"}
    other.unlock(lock)
    thread.join()
    assert set(complete) == {"a.safetensors", "sub/b.bin"}
    other.leave()


def to_descriptor(data: bytes, descriptor: int) -> None:
    """Write to a descriptor."""
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)


class Broken(LocalStore):
    """Breaks off each read, after it was told to stop.

    Args:
        stop: Is set.

    Attributes:
        reads: Number of reads.
    """

    def __init__(self, stop: threading.Event) -> None:
        self.reads = 0
        self._stop = stop

    def get(self, url: ObjectUrl, *args: Any, **kwargs: Any) -> Any:
        self.reads += 1
        self._stop.set()
        body = super().get(url, *args, **kwargs)
        info, size = body.info, body.info.size_bytes
        body.close()
        return Body(io.BytesIO(), info, size)


def test_nothing_is_tried_again_after_a_stop(case: Case, memory: MemoryFolder) -> None:
    """Whoever closes a folder does not wait for a store that does not answer."""
    stop = threading.Event()
    store = Broken(stop)
    with pytest.raises(LoadStoppedError):
        loader(case, memory, store=store).load(stop)
    assert store.reads <= 2  # one of each file


class NoReads(LocalStore):
    """Fails when anything is read."""

    def get(self, url: ObjectUrl, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"{url} was read")


def test_what_does_not_fit_is_told_before_it_is_read(
    case: Case, memory: MemoryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the caller's limit, or by what is free."""
    large = local_files(case)
    check_limit("file://m", large, MemoryOptions(max_bytes=10_000))
    with pytest.raises(ConfigError, match="file://m: its large files have .* max_bytes=5,000"):
        check_limit("file://m", large, MemoryOptions(max_bytes=5_000))
    huge = case.source / "sub/b.bin"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match=r"1,099,\S+ bytes, but .* ignore_patterns="):
        loader(case, memory, store=NoReads()).load(threading.Event())
    assert [path.name for path in memory.path.iterdir()] == ["lock"]


def test_an_object_that_was_replaced_is_an_error(case: Case, memory: MemoryFolder) -> None:
    """The other files stay for the next try; nothing is taken for a file that is none."""
    loads = loader(case, memory)
    (case.source / "sub/b.bin").write_bytes(b"x" * 2000)
    with pytest.raises(IntegrityError, match=r"sub/b.bin: the object was replaced"):
        loads.load(threading.Event())
    assert not memory.path_of("0002.bin").exists()


def test_an_object_that_is_gone_is_an_error(case: Case, memory: MemoryFolder) -> None:
    """With its URL."""
    loads = loader(case, memory)
    (case.source / "a.safetensors").unlink()
    with pytest.raises(NotFoundError, match=r"source/a\.safetensors"):
        loads.load(threading.Event())


def test_a_file_that_was_stored_short_is_an_error(case: Case, memory: MemoryFolder) -> None:
    """Of safetensors, which says how long it is."""
    path = case.source / "a.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"a\.safetensors is .*: its tensors end at byte 4"):
        loader(case, memory).load(threading.Event())


@pytest.fixture
def proxy(case: Case, tmp_path: Path) -> Iterator[FaultProxy]:
    """Return a proxy before a gateway that has the model in ais://m."""
    (tmp_path / "served").mkdir()
    with Gateway(tmp_path / "served") as gateway:
        bucket = Client(gateway.endpoint).bucket("m").create()
        for name, data in files_in(case.source).items():
            bucket.object(name).put(data)
        with FaultProxy(gateway.endpoint) as proxy:
            yield proxy


def test_faults_of_the_network_are_mended(
    case: Case, memory: MemoryFolder, proxy: FaultProxy
) -> None:
    """A body that is cut goes on behind its last good byte."""
    store = store_for(ObjectUrl.parse("ais://m"), Client(proxy.endpoint))
    files = list_model(store, model_url("ais://m"), ALL, case.options)
    proxy.add(Cut(1500), path="*b.bin")
    proxy.add(Cut(1), path="*config.json")
    large = [one for one in files if one.memory_name]
    ModelLoader("ais://m", store, large, memory, case.options, lambda _: None).load(
        threading.Event()
    )
    small = [one for one in files if not one.memory_name]
    folder = ModelFolder(
        case.path,
        url="ais://m",
        key="k",
        files=files,
        fill=lambda folder: write_small_files(store, small, folder),
    )
    assert files_in(case.path) == {"config.json": b"{}", "sub/empty.txt": b""}
    assert memory.path_of("0002.bin").read_bytes() == bytes(range(250)) * 8
    folder.leave()
