"""BatchMaker: answers requests, and hides itself from the user's code in a worker."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch.utils.data import DataLoader, get_worker_info

from aisio import publishing
from aisio.training.workers.batch_maker import BatchMaker, BatchRequest, as_it_is
from aisio.training.workers.slabs import Packed, Slabs, TransportStats


class Many:
    """Has its own way to read several samples."""

    def __len__(self) -> int:
        return 10

    def __getitems__(self, indices: list[int]) -> list[int]:
        return [-index for index in indices]


@pytest.mark.parametrize(("dataset", "sign"), [(range(10), 1), (Many(), -1)])
def test_a_request_is_answered_with_a_batch(dataset: Any, sign: int) -> None:
    """By `__getitems__` where there is one."""
    maker = BatchMaker(dataset)
    assert len(maker) == 10
    assert maker.__getitems__(BatchRequest(0, [3, 4])).tolist() == [sign * 3, sign * 4]
    maker = BatchMaker(dataset, tuple)
    assert maker.__getitems__(BatchRequest(0, [3, 4])) == (sign * 3, sign * 4)


def test_with_a_slot_the_batch_is_in_it() -> None:
    """Without the memory, which a system may not give, it is not."""
    slabs = Slabs(1, TransportStats(), slot_bytes=1 << 16)
    maker = BatchMaker(range(10))
    request = BatchRequest(0, [3, 4], slabs.lend())
    assert isinstance(maker.__getitems__(request), torch.Tensor)
    maker.file = slabs.file
    packed = maker.__getitems__(request)
    assert isinstance(packed, Packed)
    assert slabs.receive(packed).tolist() == [3, 4]


class Info:
    """Gives what a worker tells about itself."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[str, int]:
        info = get_worker_info()
        assert info is not None
        return type(info.dataset).__name__, info.dataset.seen  # type: ignore[attr-defined]


def _begin(worker: int) -> None:
    info: Any = get_worker_info()
    info.dataset.seen = worker + 5


def test_a_worker_shows_the_users_dataset() -> None:
    """Also to its worker_init_fn."""
    maker = BatchMaker(Info(), as_it_is, _begin)
    requests: Any = [BatchRequest(0, [0])]
    loader: DataLoader[Any] = DataLoader(
        cast("Any", maker),
        batch_sampler=requests,
        num_workers=1,
        collate_fn=as_it_is,
        worker_init_fn=maker.start_worker,
    )
    assert list(loader) == [[("Info", 5)]]


class Counted:
    """Counts its own samples, as aisio's datasets do."""

    def __len__(self) -> int:
        return 10

    def __getitems__(self, indices: list[int]) -> list[int]:
        publishing.current().samples += len(indices)
        return indices


def test_samples_of_any_dataset_are_published_once() -> None:
    """Those that count for themselves and others; so is an error."""
    live = publishing.current()
    before, errors = live.samples, live.errors
    for dataset in (range(10), Counted()):
        BatchMaker(dataset).__getitems__(BatchRequest(0, [3, 4]))
        before += 2
        assert live.samples == before
    with pytest.raises(IndexError):
        BatchMaker(range(10)).__getitems__(BatchRequest(0, [30]))
    assert (live.samples, live.errors) == (before, errors + 1)
