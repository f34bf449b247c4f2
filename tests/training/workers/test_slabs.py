"""Slabs: slots are lent, used and come back, and what the trainer keeps never changes."""

from __future__ import annotations

import gc
import os
import pickle
import resource
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import default_collate

from aisio.training.workers import slabs as module
from aisio.training.workers.slabs import Loan, Packed, Pinned, Slabs, TransportStats, collate_into

SLOT_BYTES = 1 << 16
TEXT = b"x" * 5000


def make(slots: int = 3, **arguments: Any) -> tuple[Slabs, TransportStats]:
    """Return slots, and what they count."""
    stats = TransportStats()
    return Slabs(slots, stats, slot_bytes=SLOT_BYTES, **arguments), stats


def send(slabs: Slabs, loan: Loan | None, batch: Any) -> Any:
    """Return what the trainer's process gets from a worker."""
    if loan is None or slabs.file is None:
        return batch
    return pickle.loads(pickle.dumps(collate_into(slabs.file, loan, batch, lambda one: one)))


def travel(slabs: Slabs, batch: Any) -> Any:
    """Return a batch that was asked for, sent and received."""
    return slabs.receive(send(slabs, slabs.lend(), batch))


def free(slabs: Slabs) -> list[int]:
    """Return the slots that can be lent."""
    return sorted(slabs._slots._free)


def test_a_slot_comes_back_when_the_batch_is_dropped() -> None:
    """By the last view, of a tensor or of an array."""
    slabs, stats = make()
    batch = travel(slabs, {"x": torch.arange(5), "y": np.arange(1000), "z": TEXT})
    assert len(free(slabs)) == 2
    row = batch["x"][1:]
    array = batch["y"].reshape(10, 100)[3]
    del batch
    assert len(free(slabs)) == 2
    del row
    assert array.tolist() == list(range(300, 400))
    assert len(free(slabs)) == 2
    del array
    assert free(slabs) == [0, 1, 2]
    assert stats.in_shared_memory == 1


@pytest.mark.parametrize("batch", [[TEXT, "x"], None, [torch.empty(0)]])
def test_a_batch_without_views_keeps_no_slot(batch: Any) -> None:
    """Bytes are copied."""
    slabs, _ = make()
    got = travel(slabs, batch)
    assert free(slabs) == [0, 1, 2]
    assert repr(got) == repr(batch)


def test_copies_keep_no_slot() -> None:
    """Where that is asked for."""
    slabs, _ = make(copy=True)
    batch = travel(slabs, [torch.arange(5), np.arange(1000)])
    assert free(slabs) == [0, 1, 2]
    travel(slabs, [torch.zeros(5), np.zeros(1000)])
    assert batch[0].tolist() == list(range(5))
    assert batch[1].tolist() == list(range(1000))


def test_the_slot_that_was_used_last_is_lent_first() -> None:
    """Others take no memory."""
    slabs, _ = make()
    for _ in range(5):
        travel(slabs, torch.ones(5000))
    assert slabs._slots._used[1:] == [0, 0]


def test_without_a_free_slot_batches_are_pickled() -> None:
    """Until the trainer drops one."""
    slabs, stats = make(2)
    kept = [travel(slabs, torch.full((5,), k)) for k in range(4)]
    assert [batch[0] for batch in kept] == [0, 1, 2, 3]
    assert (stats.in_shared_memory, stats.pickled_without_slot) == (2, 2)
    del kept[0]
    kept += [travel(slabs, torch.full((5,), k)) for k in range(4, 6)]
    assert [batch[0] for batch in kept] == [1, 2, 3, 4, 5]
    assert (stats.in_shared_memory, stats.pickled_without_slot) == (3, 3)


@pytest.mark.parametrize("batch", [torch.zeros(SLOT_BYTES), torch.ones(2).to_sparse()])
def test_a_batch_that_is_unsuited_gives_its_slot_back(batch: torch.Tensor) -> None:
    """And is counted."""
    slabs, stats = make()
    assert torch.equal(travel(slabs, [batch])[0].to_dense(), batch.to_dense())
    assert free(slabs) == [0, 1, 2]
    assert (stats.in_shared_memory, stats.pickled_unsuited) == (0, 1)


def test_what_is_no_longer_expected_is_taken_back() -> None:
    """But for what the trainer has; a late finalizer gives no slot back twice."""
    slabs, _ = make(4)
    kept = travel(slabs, torch.arange(5))
    loans = [slabs.lend() for _ in range(3)]
    sent = [send(slabs, loan, torch.ones(5)) for loan in loans]
    pinned = sent[0].pin_memory
    assert free(slabs) == []
    slabs.reclaim()
    assert len(free(slabs)) == 3
    del pinned, sent
    assert len(free(slabs)) == 3
    assert kept.tolist() == list(range(5))
    del kept
    assert free(slabs) == [0, 1, 2, 3]


def test_a_batch_that_cannot_be_read_gives_its_slot_back() -> None:
    """The error is the batch's own."""
    slabs, _ = make()
    with pytest.raises(ZeroDivisionError):
        travel(slabs, [torch.ones(3), _Unreadable()])
    gc.collect()
    assert free(slabs) == [0, 1, 2]


class _Unreadable:
    """Fails when it is read from a pickle."""

    def __reduce__(self) -> Any:
        return _fail, ()


def _fail() -> None:
    raise ZeroDivisionError


def test_pinning_takes_a_batch_out_of_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread of torch, perhaps before older ones are received, or when all is over."""
    pins: list[Any] = []

    def pin(batch: torch.Tensor) -> torch.Tensor:
        pins.append(batch.tolist())
        return batch.clone()

    monkeypatch.setattr(module, "pin_memory", pin)  # of torch; it needs an accelerator
    slabs, stats = make()
    sent = [send(slabs, slabs.lend(), torch.full((3,), k)) for k in range(2)]
    second, first = sent[1].pin_memory(), sent[0].pin_memory()
    del sent
    assert pins == [[1] * 3, [0] * 3]
    assert free(slabs) == [0, 1, 2]
    assert [type(first), type(second)] == [Pinned, Pinned]
    assert [slabs.receive(one).tolist() for one in (first, second)] == [[0] * 3, [1] * 3]
    assert stats.in_shared_memory == 2
    assert stats.pin_s > 0
    packed = send(slabs, slabs.lend(), torch.ones(3))
    assert isinstance(packed, Packed)
    assert not isinstance(packed, tuple)  # which torch 2.4 pins item by item
    del slabs
    assert packed.pin_memory() is packed


def test_memory_of_larger_batches_is_given_back() -> None:
    """Of slots that are not used, and beyond what is used of others."""
    slabs, _ = make(3)
    assert slabs.file is not None
    kept = [travel(slabs, torch.ones(SLOT_BYTES // 4)) for _ in range(3)]
    descriptor = slabs.file._descriptor
    blocks = lambda: os.fstat(descriptor).st_blocks * 512  # noqa: E731
    assert blocks() == 3 * SLOT_BYTES
    kept.clear()
    for _ in range(2 * module.SWEEP_BATCHES):
        travel(slabs, torch.ones(1000))
    assert blocks() == 4096
    travel(slabs, [torch.ones(SLOT_BYTES // 8), torch.ones(SLOT_BYTES)])  # the second is unsuited
    collate_into(slabs.file, Loan(0, 0, 2), torch.ones(SLOT_BYTES // 8), lambda batch: batch)
    kept += [travel(slabs, torch.ones(5)), travel(slabs, torch.ones(5))]
    slabs.lend()  # a worker had written, and was abandoned
    slabs.reclaim()
    kept.clear()
    assert blocks() > SLOT_BYTES // 2
    for _ in range(2 * module.SWEEP_BATCHES):
        travel(slabs, torch.ones(1000))
    assert blocks() == 4096
    assert travel(slabs, torch.ones(SLOT_BYTES // 4)).sum() == SLOT_BYTES // 4


def test_memory_is_given_back_behind_the_last_batch() -> None:
    """A process that was forked meanwhile has the file too, and keeps nothing of it."""
    slabs, _ = make(5)
    assert slabs.file is not None
    descriptor = os.dup(slabs.file._descriptor)
    blocks = lambda: os.fstat(descriptor).st_blocks * 512  # noqa: E731
    kept = [travel(slabs, torch.ones(SLOT_BYTES // 4)) for _ in range(3)]
    sent = send(slabs, slabs.lend(), torch.ones(SLOT_BYTES // 4))
    assert blocks() == 4 * SLOT_BYTES
    del kept[0], slabs, sent
    assert blocks() == 2 * SLOT_BYTES
    ours, theirs = get_context("fork").Pipe()
    child = get_context("fork").Process(target=_send_when_asked, args=(theirs, kept[0][:2]))
    child.start()
    del kept[0]
    assert blocks() == 2 * SLOT_BYTES
    ours.send("go")
    assert ours.recv() == [1, 1]
    child.join()
    assert kept[0].sum() == SLOT_BYTES // 4
    kept.clear()
    os.close(descriptor)


def test_a_forked_child_gives_no_memory_of_its_parent_back() -> None:
    """It has the same objects, which may end there."""
    slabs, _ = make()
    kept = travel(slabs, torch.arange(5))
    sent = send(slabs, slabs.lend(), torch.arange(5))
    child = os.fork()
    if not child:
        del kept, slabs
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert kept.tolist() == slabs.receive(sent).tolist() == list(range(5))


def test_a_limit_of_the_process_is_in_the_way(caplog: pytest.LogCaptureFixture) -> None:
    """All batches are pickled then, and the log says why."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SLOT_BYTES, before[1]))
    try:
        slabs, stats = make()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert slabs.file is None
    assert travel(slabs, [TEXT]) == [TEXT]
    for _ in range(2 * module.SWEEP_BATCHES):
        travel(slabs, 1)
    assert stats.pickled_without_slot == 1 + 2 * module.SWEEP_BATCHES
    assert "batches travel as pickles: no shared memory for them" in caplog.text


def test_a_slot_that_a_forked_child_may_view_is_not_lent() -> None:
    """Not before the child has ended; one that was forked without it has no part in that."""
    slabs, stats = make(2)
    batch = travel(slabs, torch.arange(5))
    ours, theirs = get_context("fork").Pipe()
    child = get_context("fork").Process(target=_send_when_asked, args=(theirs, batch))
    child.start()
    del batch
    kept = [travel(slabs, torch.full((5,), 7)) for _ in range(3)]
    assert (stats.in_shared_memory, stats.pickled_without_slot) == (2, 2)
    ours.send("go")
    assert ours.recv() == list(range(5))
    child.join()
    del kept
    travel(slabs, None)
    assert free(slabs) == [0, 1]


def test_children_that_have_ended_take_no_descriptors() -> None:
    """However many come and go while the trainer keeps a batch."""
    slabs, _ = make()
    batch = travel(slabs, torch.arange(5))
    descriptors = lambda: len(list(Path("/proc/self/fd").iterdir()))  # noqa: E731
    before = descriptors()
    for _ in range(5):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
    assert descriptors() <= before + 1
    assert batch.tolist() == list(range(5))


def _send_when_asked(pipe: Any, batch: torch.Tensor) -> None:
    pipe.recv()
    pipe.send(batch.tolist())


def test_only_torchs_own_collating_is_replaced() -> None:
    """A collate_fn gets samples as they are."""
    slabs, _ = make()
    assert slabs.file is not None
    samples = [torch.arange(3), torch.arange(3)]
    for collate_fn in (default_collate, torch.stack):
        loan = slabs.lend()
        assert loan
        batch = slabs.receive(collate_into(slabs.file, loan, samples, collate_fn))
        assert batch.tolist() == [[0, 1, 2]] * 2
    with pytest.raises(ZeroDivisionError):
        collate_into(slabs.file, Loan(0, 0, 0), samples, lambda batch: 1 // 0)


@settings(max_examples=60, deadline=None)
@given(
    slots=st.integers(1, 5),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["lend", "receive", "drop", "reclaim"]),
            st.integers(0, 8),
        ),
        max_size=80,
    ),
)
def test_kept_batches_stay_intact(slots: int, steps: list[tuple[str, int]]) -> None:
    """Whatever is asked for ahead, kept and dropped, against a list of what was sent."""
    slabs, stats = make(slots)
    under_way: list[tuple[Any, int]] = []
    kept: list[tuple[torch.Tensor, int]] = []
    for number, (step, size) in enumerate(steps):
        if step == "lend":
            under_way.append((send(slabs, slabs.lend(), torch.full((size,), number)), number))
        elif step == "receive" and under_way:
            sent, value = under_way.pop(0)
            batch = slabs.receive(sent)
            kept += [(batch, value), (batch[1:], value)]
            del sent, batch
        elif step == "drop" and kept:
            del kept[size % len(kept)]
        elif step == "reclaim":
            under_way.clear()
            slabs.reclaim()
        assert all(bool((batch == value).all()) for batch, value in kept)
        assert len(set(free(slabs))) == len(free(slabs))
    kept.clear()
    slabs.reclaim()
    assert free(slabs) == list(range(slots))
    assert stats.pickled_unsuited == 0
