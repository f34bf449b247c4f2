"""StorageReader: what it reads, and what it tells."""

from __future__ import annotations

import io
import pickle
import shutil
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.planner import LoadPlan

from aisio import Client
from aisio.checkpoint import StorageReader, StorageWriter
from aisio.errors import ConfigError, IntegrityError, NotFoundError
from aisio.gateway import Gateway
from aisio.records import ByteRange, RetryPolicy
from aisio.stores import LocalStore
from aisio.testing.fault_proxy import Corrupt, Cut, FaultProxy, Status
from aisio.transport.body import Body
from aisio.urls import ObjectUrl
from tests.checkpoint.dcp.states import Parts, check, dcp, equal, load, save, state, write, zeros

FILES = "/v1/objects/b/run/__0_0*"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """Return a proxy before a gateway."""
    folder = tmp_path_factory.mktemp("served")
    with Gateway(folder) as gateway, FaultProxy(gateway.endpoint) as proxy:
        Client(gateway.endpoint).bucket("b").create()
        yield proxy


class WaitsForTheNext(LocalStore):
    """Sends the first range of a file when one behind the middle is asked for."""

    def __init__(self, middle: int) -> None:
        self._middle = middle
        self._next_is_read = threading.Event()

    def get(self, url: ObjectUrl, byte_range: ByteRange | None = None, **options: Any) -> Body:
        if byte_range is not None and byte_range.start >= self._middle:
            self._next_is_read.set()
        elif byte_range is not None and not byte_range.start:
            assert self._next_is_read.wait(30)
        return super().get(url, byte_range, **options)


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Client]:
    """Return a client that goes through the proxy, and tries briefly."""
    client = Client(proxy.endpoint)
    retry = RetryPolicy(total_s=5, attempts=4, first_wait_s=0, longest_wait_s=0)
    yield Client.from_settings(replace(client.settings, retry=retry))
    proxy.clear()


def requests(proxy: FaultProxy, before: int) -> list[Any]:
    """Return the GETs of files that came since."""
    return [
        one
        for one in proxy.requests[before:]
        if one.method == "GET" and "distcp" in one.path and one.status in (200, 206)
    ]


def tensors(count: int, size: int = 100_000) -> dict[str, torch.Tensor]:
    """Return tensors of 4 bytes an element, which differ."""
    return {f"{number:03d}": torch.full((size,), float(number)) for number in range(count)}


def test_fewer_tensors_are_fewer_bytes(client: Client, proxy: FaultProxy) -> None:
    """A tenth of the tensors; each byte once, by concurrent requests."""
    content = tensors(40)
    save(content, StorageWriter("ais://b/run", client=client))
    total = 40 * 400_000
    for names, most in ((["003", "017", "018", "039"], 0.11), (list(content), 1.02)):
        before = len(proxy.requests)
        wanted = {name: torch.zeros(100_000) for name in names}
        reader = StorageReader("ais://b/run", client=client, part_bytes=2 << 20, concurrency=4)
        load(wanted, reader)
        assert equal(wanted, {name: content[name] for name in names})
        seen = requests(proxy, before)
        assert sum(one.sent_bytes for one in seen) <= most * total
        assert len(seen) == (3 if len(names) == 4 else 8)


ROWS = {"rows": torch.arange(2_000_000).view(400, 5000)}
"""16 MB, of 40 KB a row."""


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64])
def test_rows_of_a_tensor_are_fewer_bytes(
    client: Client, proxy: FaultProxy, dtype: torch.dtype
) -> None:
    """Whole blocks of 256 KiB, verified, whether they go straight to their place or not."""
    save(ROWS, StorageWriter("ais://b/run", client=client))
    before = len(proxy.requests)
    wanted = {"rows": torch.zeros(40, 5000, dtype=dtype)}
    load(wanted, StorageReader("ais://b/run", client=client), planner=Parts({"rows": (100, 0)}))
    assert torch.equal(wanted["rows"], ROWS["rows"][100:140].to(dtype))
    (request,) = requests(proxy, before)
    assert 40 * 40_000 <= request.sent_bytes <= 40 * 40_000 + (2 << 18)


def test_other_parts_of_a_tensor_are_loaded(client: Client) -> None:
    """Columns, a block in the middle, and one element."""
    save(ROWS, StorageWriter("ais://b/run", client=client))
    reader = StorageReader("ais://b/run", client=client)
    for (row, column), (height, width) in (
        ((0, 4990), (400, 10)),
        ((7, 5), (30, 4000)),
        ((399, 4999), (1, 1)),
    ):
        wanted = {"rows": torch.zeros(height, width, dtype=torch.int64)}
        load(wanted, reader, planner=Parts({"rows": (row, column)}))
        expected = ROWS["rows"][row : row + height, column : column + width]
        assert torch.equal(wanted["rows"], expected)


def test_a_wrong_byte_in_rows_is_read_once_more(client: Client, proxy: FaultProxy) -> None:
    """By the digests of the blocks."""
    save(ROWS, StorageWriter("ais://b/run", client=client))
    reader, planner = StorageReader("ais://b/run", client=client), Parts({"rows": (100, 0)})
    proxy.add(Corrupt(at_byte=1_500_000), method="GET", path=FILES)
    wanted = {"rows": torch.zeros(40, 5000, dtype=torch.int64)}
    load(wanted, reader, planner=planner)
    assert torch.equal(wanted["rows"], ROWS["rows"][100:140])
    proxy.add(Corrupt(at_byte=1_500), method="GET", path=FILES, times=None)
    with pytest.raises(CheckpointException, match=r"__0_0.*distcp: bytes \["):
        load(wanted, reader, planner=planner)


def test_near_tensors_come_by_one_request(client: Client, proxy: FaultProxy) -> None:
    """The gap that is read in vain can be set."""
    save(tensors(9, 1000), StorageWriter("ais://b/run", client=client))
    for gap_bytes, count in ((0, 5), (100_000, 1)):
        before = len(proxy.requests)
        wanted = {f"{number:03d}": torch.zeros(1000) for number in range(0, 9, 2)}
        load(wanted, StorageReader("ais://b/run", client=client, gap_bytes=gap_bytes))
        assert equal(wanted, {name: tensors(9, 1000)[name] for name in wanted})
        assert len(requests(proxy, before)) == count


def test_a_large_tensor_comes_by_several_requests(client: Client, proxy: FaultProxy) -> None:
    """Straight into its memory."""
    content = {"a": torch.arange(1_000_000), "b": torch.arange(10)}
    save(content, StorageWriter("ais://b/run", client=client))
    before = len(proxy.requests)
    wanted = {
        "a": torch.zeros(1_000_000, dtype=torch.int64),
        "b": torch.zeros(10, dtype=torch.int64),
    }
    load(wanted, StorageReader("ais://b/run", client=client, part_bytes=1 << 20))
    assert equal(wanted, content)
    assert len(requests(proxy, before)) == 9


def test_the_next_large_tensor_begins_while_the_last_parts_of_one_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is larger than all that is held in memory beside the tensors."""
    content = tensors(2, 200_000)
    save(content, StorageWriter(tmp_path))
    store = WaitsForTheNext(850_000)
    monkeypatch.setattr("aisio.checkpoint.dcp.place.store_for", lambda *_, **__: store)
    reader = StorageReader(tmp_path, part_bytes=100_000, concurrency=2)
    into = {name: torch.zeros_like(tensor) for name, tensor in content.items()}
    assert equal(load(into, reader), content)


@pytest.mark.parametrize("fault", [Cut(70_000), Cut(70_000, reset=True), Status(503)])
def test_a_request_that_breaks_is_continued(client: Client, proxy: FaultProxy, fault: Any) -> None:
    """Nothing is lost."""
    write("ais://b/run", 1, client=client)
    proxy.add(fault, method="GET", path=FILES, times=2)
    check("ais://b/run", 1, client=client, part_bytes=300_000)


@pytest.mark.parametrize(("part_bytes", "found"), [(300_000, "bytes ["), (1 << 24, "xxhash2")])
def test_a_wrong_byte_is_read_once_more(
    client: Client, proxy: FaultProxy, part_bytes: int, found: str
) -> None:
    """By the digest, or the store's where it is a whole file; the error names the file."""
    write("ais://b/run", 1, client=client)
    proxy.add(Corrupt(at_byte=70_000), method="GET", path=FILES)
    check("ais://b/run", 1, client=client, part_bytes=part_bytes)
    proxy.add(Corrupt(at_byte=70_000), method="GET", path=FILES, times=None)
    with pytest.raises(CheckpointException, match=r"__0_0.*distcp: ") as error:
        check("ais://b/run", 1, client=client, part_bytes=part_bytes)
    assert found in str(error.value)
    assert isinstance(error.value.failures[0][0], IntegrityError)


class TextSaving(DefaultSavePlanner):
    """Stores texts as their bytes alone, of which there may be none."""

    def transform_object(self, write_item: Any, object: Any) -> io.BytesIO:
        """Return what is stored."""
        return io.BytesIO(object.encode())


class TextLoading(DefaultLoadPlanner):
    """Takes such texts."""

    def load_bytes(self, read_item: Any, value: io.BytesIO) -> None:
        """Take what was stored."""
        self.original_state_dict[read_item.dest_index.fqn] = value.getvalue().decode()


def test_values_without_bytes_are_told_from_their_neighbours(tmp_path: Path) -> None:
    """They begin where the next one does."""
    texts = {"a": "", "b": "first", "c": "", "d": "second", "e": ""}
    save(texts, StorageWriter(tmp_path), planner=TextSaving())
    found: dict[str, Any] = dict.fromkeys(texts, "none")
    load(found, StorageReader(tmp_path), planner=TextLoading())
    assert found == texts


@pytest.mark.parametrize("path", [FILES, "/v1/objects/b/run/.metadata"])
def test_a_save_through_a_broken_line_leaves_the_former(
    client: Client, proxy: FaultProxy, path: str
) -> None:
    """Whether it breaks in a file, or before the last request."""
    write("ais://b/run", 1, client=client)
    proxy.add(Status(503, retry_after_s=0), method="PUT", path=path, times=None)
    with pytest.raises(CheckpointException, match="gave up after 4 tries"):
        write("ais://b/run", 2, client=client)
    proxy.clear()
    check("ais://b/run", 1, client=client)


def test_each_damaged_byte_of_a_file_is_told(tmp_path: Path) -> None:
    """Wherever it is; a file that is cut, lengthened or missing as well."""
    write(tmp_path, 1)
    (path,) = tmp_path.glob("*.distcp")
    data = path.read_bytes()
    places = [0, 1, 700, *range(2000, len(data), len(data) // 29), len(data) - 1]
    wrong = [data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :] for at in places]
    for damaged in [*wrong, data[:-1], data[:1000], b"", data + b"x"]:
        path.write_bytes(damaged)
        with pytest.raises(CheckpointException, match=path.name) as error:
            check(tmp_path, 1)
        assert isinstance(error.value.failures[0][0], IntegrityError)
    path.unlink()
    with pytest.raises(CheckpointException, match=path.name) as error:
        check(tmp_path, 1)
    assert isinstance(error.value.failures[0][0], NotFoundError)


def test_an_unfinished_checkpoint_is_none(tmp_path: Path) -> None:
    """The error says so."""
    write(tmp_path, 1)
    (tmp_path / ".metadata").unlink()
    with pytest.raises(CheckpointException, match=r"is no checkpoint: it has no \.metadata"):
        check(tmp_path, 1)


def test_ranks_that_saw_different_checkpoints_are_told(tmp_path: Path) -> None:
    """One may be replaced while a job begins to load it."""
    readers = [StorageReader(tmp_path) for _ in range(2)]
    plans = []
    for number, reader in enumerate(readers):
        write(tmp_path, number)
        reader.read_metadata()
        plans.append(reader.prepare_local_plan(LoadPlan([])))
    assert readers[0].prepare_global_plan([plans[0], plans[0]]) == [plans[0], plans[0]]
    with pytest.raises(IntegrityError, match="the ranks have read different checkpoints"):
        readers[0].prepare_global_plan(plans)


def test_checkpoints_of_torch_are_read(tmp_path: Path) -> None:
    """Of one file, of several, and of one for each tensor; their lengths are checked."""
    kinds: list[dict[str, Any]] = [{}, {"thread_count": 3}, {"single_file_per_rank": False}]
    for number, options in enumerate(kinds):
        folder = tmp_path / str(number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save(state(number), dcp.FileSystemWriter(folder, **options))
        check(folder, number)
    path = next((tmp_path / "0").glob("*.distcp"))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(CheckpointException, match="not the file that the checkpoint consists of"):
        check(tmp_path / "0", 0)


def test_files_may_lie_in_folders_below(tmp_path: Path) -> None:
    """Those of Amazon's S3StorageWriter do, if it has a prefix strategy; see its names here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(state(1), dcp.FileSystemWriter(tmp_path, thread_count=2))
    metadata = dcp.FileSystemReader(tmp_path).read_metadata()
    (tmp_path / "0000000000" / "epoch_3").mkdir(parents=True)
    for path in tmp_path.glob("*.distcp"):
        path.rename(tmp_path / "0000000000" / "epoch_3" / path.name)
    for index, info in metadata.storage_data.items():
        name = f"0000000000/epoch_3/{info.relative_path}"
        metadata.storage_data[index] = replace(info, relative_path=name)
    (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata))
    check(tmp_path, 1)
    write(tmp_path, 2)
    check(tmp_path, 2)
    assert not [*tmp_path.glob("*/*/*.distcp")]


def test_a_checkpoint_may_be_moved(tmp_path: Path) -> None:
    """It holds no URL of itself that counts."""
    write(tmp_path / "a", 1)
    shutil.move(tmp_path / "a", tmp_path / "b")
    check(tmp_path / "b", 1)


def test_what_is_missing_in_the_checkpoint_is_told(tmp_path: Path) -> None:
    """By torch's planner."""
    write(tmp_path, 1)
    with pytest.raises(CheckpointException, match="Missing key in checkpoint state_dict: other"):
        load({"other": torch.zeros(3)}, StorageReader(tmp_path))


def test_settings_are_checked() -> None:
    """When they are given."""
    for wrong in ({"part_bytes": 0}, {"concurrency": 0}, {"gap_bytes": -1}):
        with pytest.raises(ConfigError, match="expected a whole number"):
            StorageReader("ais://b/a", endpoint="http://host", **wrong)  # type: ignore[arg-type]
    assert equal(zeros(state(1)), zeros(state(2)))
