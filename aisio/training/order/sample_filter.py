"""Leaves named samples of a dataset out: those that stay have numbers without gaps."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any

from aisio.errors import ConfigError
from aisio.training.whole_number import whole_number

__all__ = ["SampleFilter"]

_MAX_NAMED = 5


class SampleFilter:
    """Numbers the samples that stay, in their order, from 0.

    It takes 8 bytes for each sample that is left out.

    Args:
        dataset: A map-style dataset; one with an attribute `names` for samples that are named.
        skip: Which samples to leave out: indices from 0, or names. A name that several samples have
            leaves all of them out.

    Attributes:
        samples: Number of samples that stay.
        skipped: Number of samples that are left out.

    Raises:
        ConfigError: There is no such sample, none would stay, or names are not known.
    """

    def __init__(self, dataset: Any, skip: Iterable[int | str] = ()) -> None:
        indices = _indices(dataset, skip)
        self.skipped = len(indices)
        self.samples = len(dataset) - self.skipped
        if indices and not self.samples:
            raise ConfigError(f"skip leaves none of {self.skipped:,} samples")
        # How many samples stay before each of those that do not.
        self._staying_before = array("q", (index - k for k, index in enumerate(indices)))

    @cached_property
    def digest(self) -> str:
        """What identifies the samples that are left out; empty if there are none."""
        if not self.skipped:
            return ""
        text = ",".join(str(before + k) for k, before in enumerate(self._staying_before))
        return f"{self.skipped} samples {blake2b(text.encode(), digest_size=8).hexdigest()}"

    def indices(self, numbers: Sequence[int]) -> list[int]:
        """Return the indices in the dataset of samples that stay."""
        before = self._staying_before
        if not before:
            return list(numbers)
        return [number + bisect_right(before, number) for number in numbers]


def _indices(dataset: Any, skip: Iterable[int | str]) -> list[int]:
    """Return the indices that are left out, in order."""
    if isinstance(skip, (str, bytes)):
        raise ConfigError(f"skip={skip!r} is not a list of indices or names")
    skip = list(skip)
    names = {one for one in skip if isinstance(one, str)}
    indices = {whole_number("skip", one, 0) for one in skip if not isinstance(one, str)}
    beyond = [index for index in indices if index >= len(dataset)]
    if beyond:
        raise ConfigError(f"skip={max(beyond)}: the dataset has {len(dataset):,} samples")
    if names:
        indices |= _named(dataset, names)
    return sorted(indices)


def _named(dataset: Any, names: set[str]) -> set[int]:
    known = getattr(dataset, "names", None)
    if known is None:
        raise ConfigError(
            f"skip has names, and {type(dataset).__name__} has no attribute `names`: use indices"
        )
    indices, missing = set(), set(names)
    for index, name in enumerate(known):
        if name in names:
            indices.add(index)
            missing.discard(name)
    if missing:
        some = ", ".join(map(repr, sorted(missing)[:_MAX_NAMED]))
        raise ConfigError(
            f"skip: no sample has the name{'s' * (len(missing) > 1)} {some}"
            f"{' ...' * (len(missing) > _MAX_NAMED)}; names are as in {next(iter(known))!r}"
        )
    return indices
