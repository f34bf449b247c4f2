"""SampleNames, SampleInfos: what is known of samples, without an object for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, overload

from aisio.records import ObjectInfo

__all__ = ["SampleInfos", "SampleNames"]

T = TypeVar("T")


class _Lookups(Sequence[T]):
    """Something of each sample, made when it is looked at.

    Args:
        count: Number of samples.
        look_up: Returns that of the sample at an index.
    """

    def __init__(self, count: int, look_up: Callable[[int], T]) -> None:
        self._count = count
        self._look_up = look_up

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return map(self._look_up, range(self._count))

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        numbers = range(self._count)[index]
        if isinstance(numbers, range):
            return list(map(self._look_up, numbers))
        return self._look_up(numbers)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._count:,} samples>"


class SampleNames(_Lookups[str]):
    """The names of samples, each made when it is looked at."""


class SampleInfos(_Lookups[ObjectInfo]):
    """What is known of samples without reading them, each made when it is looked at."""
