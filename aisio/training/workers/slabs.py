"""Sends batches from workers to the trainer in memory that is used again and again.

The process of the trainer lends a slot of the memory with each batch that it asks a worker for. The
worker writes the batch into the slot, and sends a small pickle of the rest. The trainer's tensors
are views of the slot, which is lent again when the last of them is gone. So there is no lock and no
queue that a killed worker could leave in disorder: a slot is written by the one worker that was
asked, before the trainer has it, and by nobody else until the trainer has dropped it, and with it
all children that it forked meanwhile.
"""

from __future__ import annotations

import itertools
import logging
import weakref
from collections import deque
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

from aisio.extras import missing_extra
from aisio.forks import this_process
from aisio.training.workers.forked_children import ForkedChildren, notice_forks
from aisio.training.workers.slab_file import SlabFile
from aisio.training.workers.slab_packing import Content, SlotReader, SlotWriter, Unsuited

try:
    from torch.utils.data import default_collate
    from torch.utils.data._utils.pin_memory import pin_memory
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["Loan", "Packed", "Slabs", "TransportStats", "collate_into"]

_log = logging.getLogger("aisio.loader")

SLOT_BYTES = 1 << 30
"""Address space of a slot: the largest batch that it carries."""

SWEEP_BATCHES = 64
"""After so many batches, memory of slots that none of them has used is given back."""

_numbers = itertools.count()
_slabs: weakref.WeakValueDictionary[int, Slabs] = weakref.WeakValueDictionary()
"""By number: how a batch finds the memory that it is in, in the thread of torch that pins it."""


class Loan(NamedTuple):
    """A slot that is lent for one batch.

    Attributes:
        slabs: Number of the `Slabs` that lends it.
        number: Number of the loan.
        slot: Which slot.
    """

    slabs: int
    number: int
    slot: int


@dataclass(frozen=True)
class Packed:
    """A batch in a slot, as a worker sends it.

    It is no tuple: torch 2.4 would pin what is in that, in place of calling `pin_memory`.

    Attributes:
        loan: The slot.
        content: What is in it, and the rest of the batch.
        read_s: How long the worker took to read its samples, in seconds.
        collate_s: How long it took to make the batch of them.
    """

    loan: Loan
    content: Content
    read_s: float
    collate_s: float

    def pin_memory(self) -> Pinned | Packed:
        """Return the batch in pinned memory; torch's DataLoader calls this in a thread."""
        slabs = _slabs.get(self.loan.slabs)
        return self if slabs is None else slabs.pin(self)


class Pinned(NamedTuple):
    """A batch that was pinned, which has left its slot.

    Attributes:
        batch: The batch.
    """

    batch: Any


@dataclass
class TransportStats:
    """How batches came from the workers; times are in seconds.

    Attributes:
        in_shared_memory: How many came in shared memory.
        pickled_without_slot: How many came as pickles, as the trainer kept the batches of all
            slots.
        pickled_unsuited: How many came as pickles, as shared memory cannot carry them.
        wait_for_workers_s: How long no batch was ready, pinned where it is to be.
        unpack_s: How long the trainer took to read batches in shared memory.
        workers_read_s: How long workers took to read samples, in sum, of batches in shared memory.
        workers_collate_s: How long they took to make batches of them.
        pin_s: How long the thread that pins took to read batches and to pin them; the trainer does
            not wait for it while it is ahead.
    """

    in_shared_memory: int = 0
    pickled_without_slot: int = 0
    pickled_unsuited: int = 0
    wait_for_workers_s: float = 0.0
    unpack_s: float = 0.0
    workers_read_s: float = 0.0
    workers_collate_s: float = 0.0
    pin_s: float = 0.0


class Slabs:
    """The memory that one set of workers sends its batches in.

    Only one thread lends and receives. Another one may pin, and any may drop batches.

    Args:
        slots: Number of slots: how many batches can be under way, or kept by the trainer.
        stats: Counts batches.
        copy: Copy what is received, so that the trainer keeps no slot.
        slot_bytes: Size of a slot.

    Attributes:
        file: The memory; None where this system gives none, and all batches come as pickles.
    """

    def __init__(
        self,
        slots: int,
        stats: TransportStats,
        *,
        copy: bool = False,
        slot_bytes: int = SLOT_BYTES,
    ) -> None:
        self.file = _open_file(slots, slot_bytes)
        self._stats = stats
        self._copy = copy
        self._number = next(_numbers)
        self._loans = itertools.count()
        self._slots = _FreeSlots(self.file)
        weakref.finalize(self, self._slots.close).atexit = False
        notice_forks(self._slots)
        self._expected: deque[Loan | None] = deque()
        self._under_way: dict[int, int] = {}  # slots by loan
        _slabs[self._number] = self

    def lend(self) -> Loan | None:
        """Lend a slot for the next batch, if one is free."""
        slot = self._slots.take()
        loan = None if slot is None else Loan(self._number, next(self._loans), slot)
        self._expected.append(loan)
        if loan:
            self._under_way[loan.number] = loan.slot
        return loan

    def receive(self, received: Any) -> Any:
        """Return the batch for the oldest loan, from what a worker sent for it."""
        loan = self._expected.popleft()
        kind = type(received)
        if kind is Pinned:
            self._stats.in_shared_memory += 1
            return received.batch
        if kind is Packed:
            started = perf_counter()
            batch = self._read(received)
            self._stats.unpack_s += perf_counter() - started
            self._stats.in_shared_memory += 1
            return batch
        if loan is None:
            self._stats.pickled_without_slot += 1
        else:
            self._stats.pickled_unsuited += 1
            self._slots.give_back_unread(self._under_way.pop(loan.number))
        return received

    def pin(self, packed: Packed) -> Pinned:
        """Return a batch in pinned memory."""
        started = perf_counter()
        pinned = Pinned(pin_memory(self._read(packed)))  # type: ignore[no-untyped-call]
        self._stats.pin_s += perf_counter() - started
        return pinned

    def reclaim(self) -> None:
        """Take back the slots of batches that are no longer expected.

        The workers must be done with them.
        """
        self._expected.clear()
        while self._under_way:
            self._slots.give_back_unread(self._under_way.popitem()[1])

    def _read(self, packed: Packed) -> Any:
        self._stats.workers_read_s += packed.read_s
        self._stats.workers_collate_s += packed.collate_s
        slot = self._under_way.pop(packed.loan.number)
        self._slots.view(slot, packed.content.used_bytes)
        assert self.file is not None
        memory = self.file.slot(slot)
        weakref.finalize(memory, self._slots.give_back, slot).atexit = False
        start = slot * self.file.slot_bytes
        return SlotReader(packed.content, self.file.memory, start, memory, copy=self._copy).load()


class _FreeSlots:
    """The slots that can be lent: those that were used last come first, as their memory is warm.

    One thread takes slots; any thread gives them back, also in the midst of a garbage collection:
    there is no lock.
    """

    def __init__(self, file: SlabFile | None) -> None:
        slots = file.slots if file else 0
        self._file = file
        self._free = deque(reversed(range(slots)))
        self._viewed: set[int] = set()
        self._seen_by: dict[int, list[ForkedChildren]] = {}  # by slot; while it is viewed
        self._waiting: deque[tuple[int, list[ForkedChildren]]] = deque()
        self._written = [0] * slots  # bytes of each slot that may take memory
        self._used = [0] * slots  # bytes of each slot that were used since the last sweep
        self._taken = 0
        self._process = this_process()
        self._is_closed = False

    def take(self) -> int | None:
        """Return a slot, or None if all are taken."""
        if self._file is None:
            return None
        self._taken += 1
        if self._taken % max(SWEEP_BATCHES, 4 * len(self._used)) == 0:
            self._sweep(self._file)
        if self._waiting:
            self._free_waiting()
        try:
            return self._free.pop()
        except IndexError:
            return None

    def give_back(self, slot: int) -> None:
        """Have a slot lent again, when no forked child is left that may have a view of it."""
        self._viewed.discard(slot)
        seen_by = self._seen_by.pop(slot, None)
        if seen_by:
            self._waiting.append((slot, seen_by))
        elif self._is_closed:
            self._discard(slot)
        else:
            self._free.append(slot)

    def give_back_unread(self, slot: int) -> None:
        """Have a slot lent again that a worker has perhaps written to, nobody knows how much."""
        assert self._file is not None
        self._written[slot] = self._file.slot_bytes
        self.give_back(slot)

    def view(self, slot: int, used_bytes: int) -> None:
        """Remember that the trainer has views of a slot, and how much of it was written."""
        self._viewed.add(slot)
        self._used[slot] = max(self._used[slot], used_bytes)

    def close(self) -> None:
        """Give all memory back that nobody has views of, now and when views are dropped.

        Processes that were forked meanwhile, such as the workers of the next epoch, have the file
        too, and would keep its memory.
        """
        self._is_closed = True
        kept = self._viewed.union(slot for slot, _ in self._waiting)
        for slot in range(len(self._used)):
            if slot not in kept:
                self._discard(slot)

    def is_shared(self) -> bool:
        """Return whether a child that is forked now would have views of a slot."""
        return bool(self._viewed)

    def forked(self, children: ForkedChildren) -> None:
        """Remember which slots children may have views of."""
        for slot in list(self._viewed):
            seen_by = [one for one in self._seen_by.get(slot, ()) if not one.have_ended()]
            self._seen_by[slot] = [*seen_by, children]

    def _free_waiting(self) -> None:
        for _ in range(len(self._waiting)):
            slot, seen_by = self._waiting.popleft()
            if all(children.have_ended() for children in seen_by):
                self._free.append(slot)
            else:
                self._waiting.append((slot, seen_by))

    def _discard(self, slot: int) -> None:
        # A forked child, where these objects may end as well, must leave its parent's memory alone.
        if self._file is not None and self._process.is_current:
            self._file.discard(slot, 0, self._file.slot_bytes)

    def _sweep(self, file: SlabFile) -> None:
        """Give back memory that no batch has used since the last time."""
        for slot in list(self._free):
            file.discard(slot, self._used[slot], self._written[slot])
            self._written[slot], self._used[slot] = self._used[slot], 0


def collate_into(
    file: SlabFile, loan: Loan, samples: Any, collate_fn: Any, read_s: float = 0.0
) -> Any:
    """Return the batch of some samples in a slot, or as it is if a slot cannot carry it."""
    started = perf_counter()
    writer = SlotWriter(file, loan.slot)
    batch = writer.collate(samples) if collate_fn is default_collate else collate_fn(samples)
    try:
        content = writer.write(batch)
    except Unsuited:
        return batch
    return Packed(loan, content, read_s, perf_counter() - started)


def _open_file(slots: int, slot_bytes: int) -> SlabFile | None:
    try:
        return SlabFile(slots, slot_bytes)
    except (OSError, ValueError) as error:
        _log.warning("batches travel as pickles: no shared memory for them: %s", error)
        return None
