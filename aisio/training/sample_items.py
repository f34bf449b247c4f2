"""SampleItems: what a dataset of samples yields of each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aisio.errors import ConfigError, ShardError
from aisio.escapes import one_line
from aisio.shards.fields import FieldPadder, NewFields, SamplePadder, check_keys
from aisio.shards.samples import Sample
from aisio.training.folder_watch import FolderWatch

__all__ = ["FIRST_SAMPLES", "SampleItems"]

FIRST_SAMPLES = 100
"""From so many samples the fields are learned, or fewer if they have many bytes."""


class SampleItems:
    """Makes the items of a dataset: (name, fields) of a sample, or a tuple of its fields.

    Args:
        keys: The fields of each item, padded with b""; None learns them, see `learn`.
        fields: Yield tuples of these fields in place of (name, fields).
        full_key: The name is the whole key; None is False, with one warning if samples are in
            different folders.
        new_fields: See `FieldPadder`.
        transform: Called with each item; what it returns takes the item's place.
        owner: Name of the dataset's class.

    Attributes:
        wanted: The fields to read; None for all.

    Raises:
        ConfigError: `keys` or `fields` are no field names, or both are given, or `transform` cannot
            be called.
    """

    def __init__(
        self,
        *,
        keys: Sequence[str] | None,
        fields: Sequence[str] | None,
        full_key: bool | None,
        new_fields: NewFields,
        transform: Callable[[Any], Any] | None,
        owner: str,
    ) -> None:
        if keys is not None and fields is not None:
            raise ConfigError(
                f"<{owner}> keys= names the fields of dicts, fields= those of tuples: give one"
            )
        if transform is not None and not callable(transform):
            raise ConfigError(f"<{owner}> transform={transform!r} cannot be called")
        self._fields = check_keys(fields, "fields")
        self._rules = FieldPadder(
            keys,
            look_ahead_samples=FIRST_SAMPLES,
            new_fields=new_fields,
            reader=owner,
            whole="the data set",
        )
        self.wanted = self._fields or self._rules.keys
        self._full_key = full_key
        self._transform = transform
        self._owner = owner
        self._folders = FolderWatch(owner) if full_key is None and fields is None else None
        self._padder: SamplePadder | None = None
        if keys is not None:
            self._padder = SamplePadder(self._rules, self._rules.learned(()))

    def learn(self, first_samples: Callable[[], Iterable[Sample]]) -> None:
        """Learn which fields samples have, unless that is known.

        Args:
            first_samples: Returns the first samples of the data set, at least `FIRST_SAMPLES` if it
                has as many.
        """
        if self._padder is None and self._fields is None:
            self._padder = SamplePadder(self._rules, self._rules.learned(first_samples()))

    def make(self, samples: Iterable[Sample]) -> list[Any]:
        """Return the items of samples.

        Raises:
            ShardError: A sample lacks one of `fields`, or has a field that is not known.
            Exception: What `transform` raised; from Python 3.11, with a note that names the sample.
        """
        make = self._named if self._fields is None else self._tuple
        transform = self._transform
        if transform is None:
            return [make(sample) for sample in samples]
        # No map(): it would end quietly where the user's function raises StopIteration.
        return [self._transformed(transform, make(sample), sample) for sample in samples]

    def _transformed(self, transform: Callable[[Any], Any], item: Any, sample: Sample) -> Any:
        try:
            return transform(item)
        except Exception as error:
            if sys.version_info >= (3, 11):
                error.add_note(
                    f"<{self._owner}> transform= was called with sample {sample.key!r} at byte"
                    f" {sample.offset} of {one_line(sample.url)}"
                )
            raise

    def _named(self, sample: Sample) -> tuple[str, Any]:
        assert self._padder is not None, "learn() was not called"
        if self._folders is not None:
            self._folders.check(sample)
        padded = self._padder.pad(sample)
        return padded.key if self._full_key else padded.basename, padded.fields

    def _tuple(self, sample: Sample) -> tuple[bytes, ...]:
        fields = sample.fields
        assert self._fields is not None
        try:
            return tuple([fields[name] for name in self._fields])
        except KeyError as error:
            has = ", ".join(map(repr, (*fields, *sample.left_out)))
            raise ShardError(
                f"<{self._owner}> {one_line(sample.url)}: sample {sample.key!r} at byte"
                f" {sample.offset} has no field {error}, named by fields=; it has {has}",
                url=sample.url,
                offset=sample.offset,
            ) from None
