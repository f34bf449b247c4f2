"""WindowReader: gives samples out in a shuffled order, and reads their neighbours together.

The order is made of windows. A batch mixes the packs of a window, so all of these are soon needed.
For what a batch gave out, as many samples are read ahead, of the window and then of the next. So
what is held is the most that a window ever holds, if its packs are read as they are needed: where
t of its v samples are yet to be given out, v (1 - (t/v)^p) were read, with p samples in a pack.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["WindowReader"]

R = TypeVar("R")
T = TypeVar("T")


class WindowReader(Generic[R, T]):
    """Gives samples out in the order of windows, and reads ahead.

    Of a window, what has its first samples is read first, whatever else it has.

    Args:
        windows: The samples of each window by their numbers, in the order in which they come.
        plan: Returns the requests that read the samples of a window, in ascending order of them.
        numbers_of: Returns the numbers of the samples that a request reads.
        fetch: Yields what the requests bring, in their order: numbers and samples.
    """

    def __init__(
        self,
        windows: Iterable[Sequence[int]],
        *,
        plan: Callable[[Sequence[int]], Iterable[R]],
        numbers_of: Callable[[R], Sequence[int]],
        fetch: Callable[[Iterable[R]], Iterator[list[tuple[int, T]]]],
    ) -> None:
        # Those whose requests were made, and that were not read to their ends.
        self._coming: deque[_Window[T]] = deque()
        # Those that were not given out, the first of them in part.
        self._waiting: deque[_Window[T]] = deque()
        requests = _requests(windows, plan, numbers_of, self._coming, self._waiting)
        self._results = fetch(requests)
        self._owed = 0  # samples to be read ahead, for those that were given out

    def take(self, count: int) -> list[T]:
        """Return the next samples; they are fewer only behind the last window's end.

        Raises:
            Exception: As `fetch` raises it; nothing more can be taken then.
        """
        while self._owed > 0 and (samples := self._read_next()):
            self._owed -= len(samples)
        taken: list[T] = []
        while len(taken) < count:
            if not self._waiting and not self._read_next():
                break
            window = self._waiting[0]
            while not window.has(count - len(taken)) and self._read_next():
                pass
            taken += window.take(count - len(taken))
            if not window.left:
                self._waiting.popleft()
        self._owed += len(taken)
        return taken

    def close(self) -> None:
        """Cut the requests in flight."""
        if isinstance(self._results, Generator):
            self._results.close()

    def _read_next(self) -> list[tuple[int, T]]:
        """Take in what the next request brings, and return it; nothing behind the last one."""
        samples = next(self._results, [])
        if samples:
            self._coming[0].add(samples)
            if self._coming[0].is_complete:
                self._coming.popleft()
        return samples


class _Window(Generic[T]):
    """The samples of a window, while they are read and given out.

    Args:
        order: Their numbers, in the order in which they are given out; some may come twice.
    """

    def __init__(self, order: Sequence[int]) -> None:
        self._order = order
        self._missing = len(set(order))
        self._is_repeating = self._missing < len(order)
        self._samples: dict[int, T] = {}
        self._given = 0
        self._ready = 0  # so many from the beginning on were read

    @property
    def is_complete(self) -> bool:
        """Whether all of its samples were read."""
        return not self._missing

    @property
    def left(self) -> int:
        """Number of samples that were not given out."""
        return len(self._order) - self._given

    def add(self, samples: Sequence[tuple[int, T]]) -> None:
        """Take in samples that were read."""
        self._samples.update(samples)
        self._missing -= len(samples)

    def has(self, count: int) -> bool:
        """Tell whether so many of the next samples, or all that are left, were read."""
        order, samples = self._order, self._samples
        ready, stop = self._ready, min(self._given + count, len(order))
        while ready < stop and order[ready] in samples:
            ready += 1
        self._ready = ready
        return ready >= stop

    def take(self, count: int) -> list[T]:
        """Return the next samples, all of which were read."""
        numbers = self._order[self._given : self._given + count]
        self._given += len(numbers)
        if self._is_repeating:
            return [self._samples[number] for number in numbers]
        return [self._samples.pop(number) for number in numbers]


def _requests(
    windows: Iterable[Sequence[int]],
    plan: Callable[[Sequence[int]], Iterable[R]],
    numbers_of: Callable[[R], Sequence[int]],
    coming: deque[_Window[T]],
    waiting: deque[_Window[T]],
) -> Iterator[R]:
    """Yield the requests of all windows, each window announced before its first one."""
    for order in filter(None, windows):
        window: _Window[T] = _Window(order)
        coming.append(window)
        waiting.append(window)
        yield from _as_needed(list(plan(order)), order, numbers_of)


def _as_needed(
    requests: Sequence[R], order: Sequence[int], numbers_of: Callable[[R], Sequence[int]]
) -> Iterator[R]:
    """Yield requests in the order in which their first samples are given out."""
    starts = [numbers_of(request)[0] for request in requests]
    left = set(range(len(starts)))
    for number in order:
        request = bisect_right(starts, number) - 1
        if request in left:
            left.remove(request)
            yield requests[request]
        if not left:
            return
