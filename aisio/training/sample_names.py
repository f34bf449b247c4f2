"""SampleNames: the names of samples, for datasets that have no object for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

__all__ = ["SampleNames"]


class SampleNames(Sequence[str]):
    """The names of samples, each made when it is looked at.

    Args:
        count: Number of samples.
        name_of: Returns the name of the sample at an index.
    """

    def __init__(self, count: int, name_of: Callable[[int], str]) -> None:
        self._count = count
        self._name_of = name_of

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return map(self._name_of, range(self._count))

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        numbers = range(self._count)[index]
        if isinstance(numbers, range):
            return list(map(self._name_of, numbers))
        return self._name_of(numbers)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._count:,} samples>"
