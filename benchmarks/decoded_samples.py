"""A dataset that decodes a field in the worker; a module of its own, as it needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch.utils.data import IterableDataset

__all__ = ["DecodedSamples"]

Samples = Iterable[tuple[str, Mapping[str, bytes]]]


class DecodedSamples(IterableDataset[Any]):
    """What a decoder makes of one field of each sample.

    Args:
        reader: Reads the samples.
        extension: The field.
        decode: The decoder.
    """

    def __init__(self, reader: Samples, extension: str, decode: Callable[[bytes], Any]) -> None:
        self._reader = reader
        self._extension = extension
        self._decode = decode

    def __iter__(self) -> Iterator[Any]:
        return (self._decode(fields[self._extension]) for _, fields in iter(self._reader))
