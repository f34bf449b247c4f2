"""FieldPadder: the same fields in every sample, by `keys=` or learned from the first samples.

What is certainly wrong is an error: `keys=` that names no field, and a field that torch's default
collate would drop. What may be intended is one warning that names what the samples have: a field of
`keys=` that none of the first samples has, and a field in another case ("JPG").
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aisio.errors import ConfigError, ShardError
from aisio.escapes import first_few, one_line
from aisio.shards.samples import Sample, ZeroDict

__all__ = ["FieldPadder", "NewFields", "SamplePadder", "check_keys"]

NewFields: TypeAlias = Literal["raise", "add"]
"""What to do with a field that first appears after the look-ahead."""

_MAX_SHOWN = 10


def check_keys(keys: Sequence[str] | None, argument: str = "keys") -> tuple[str, ...] | None:
    """Return the field names as a tuple; None stays None.

    Args:
        keys: The names.
        argument: Name of the argument that they come from, for errors.

    Raises:
        ConfigError: It is one text instead of a sequence, is empty, or has a name that no field can
            have.
    """
    if keys is None:
        return None
    if isinstance(keys, (str, bytes)):
        raise ConfigError(
            f"{argument}={keys!r}: a sequence of field names is needed, as in [{keys!r}]"
        )
    names = tuple(keys)
    if not names:
        raise ConfigError(
            f"{argument}={keys!r}: no field is named; without {argument}= samples have all"
        )
    for name in names:
        if not isinstance(name, str) or not name or "/" in name:
            raise ConfigError(f"{argument}={names!r}: {name!r} is no field name, as in 'jpg'")
        if ";" in name and argument == "keys":
            raise ConfigError(
                f"{argument}={names!r}: {name!r} names alternatives, which only fields= takes"
            )
        if name.startswith("."):
            raise ConfigError(
                f"{argument}={names!r}: field names have no leading dot: {name.lstrip('.')!r}"
            )
    if len(set(names)) < len(names):
        raise ConfigError(f"{argument}={names!r}: a field is named twice")
    return names


@dataclass(frozen=True, slots=True)
class FieldPadder:
    """Gives all samples the same fields in the same order: b"" stands for what a sample lacks.

    Attributes:
        keys: The fields of each sample, in this order; others are dropped. None learns them from
            the first samples, before any is yielded, and sorts them.
        look_ahead_samples: Maximum number of samples to learn from.
        look_ahead_bytes: Learning also stops at the sample that fills so many bytes.
        new_fields: What to do with a field that first appears after the look-ahead: "raise" a
            ShardError, or "add" it from that sample on, with a warning. torch's default collate
            takes the fields of the first sample of a batch, so it drops a field that is added
            within a batch.
        reader: Name of the class that reads, to begin warnings and errors with.
        whole: Of what the first samples are, for warnings and errors.
    """

    keys: Sequence[str] | None = None
    look_ahead_samples: int = 100
    look_ahead_bytes: int = 16 * 1024 * 1024
    new_fields: NewFields = "raise"
    reader: str = ""
    whole: str = "this share"

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", check_keys(self.keys))
        if self.look_ahead_samples < 1 or self.look_ahead_bytes < 1:
            raise ConfigError(f"{self}: the look-ahead must be at least one sample and one byte")
        if self.new_fields not in ("raise", "add"):
            raise ConfigError(f'new_fields={self.new_fields!r}: "raise" or "add" is needed')

    def pad(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Pad samples. Each call learns the fields anew, and keeps them for all its shards.

        Args:
            samples: Those of any number of shards, in order.

        Yields:
            The same samples in the same order, their fields in a ZeroDict. If an error ends the
            look-ahead, the samples before it are yielded first.

        Raises:
            ShardError: A sample has a field that the look-ahead did not meet (unless "add").
        """
        return (padded for _, padded in self.pairs(samples))

    def pairs(
        self, samples: Iterable[Sample], known: Sequence[str] = ()
    ) -> Iterator[tuple[Sample, Sample]]:
        """Yield each sample as it was and padded, otherwise as `pad` does.

        Args:
            samples: As for `pad`.
            known: Fields that were learned before, from other samples; empty to learn them.
        """
        if self.keys is not None:
            return self._select(samples, self.keys)
        if not known:
            return self._learn(iter(samples))
        padder = SamplePadder(self, known)
        return ((sample, padder.pad(sample)) for sample in samples)

    def learned(self, samples: Iterable[Sample]) -> tuple[str, ...]:
        """Return the fields to pad with: `keys`, or those of the first samples, sorted.

        Args:
            samples: Those to learn from, of which no more are taken than needed; none for `keys`.
        """
        if self.keys is not None:
            return tuple(self.keys)
        ahead: deque[Sample] = deque()
        self._look_ahead(ahead, iter(samples))
        return self._names_of(ahead)

    def _select(
        self, samples: Iterable[Sample], keys: Sequence[str]
    ) -> Iterator[tuple[Sample, Sample]]:
        padder = SamplePadder(self, keys)
        for sample in samples:
            yield sample, padder.pad(sample)
        padder.end()

    def _learn(self, samples: Iterator[Sample]) -> Iterator[tuple[Sample, Sample]]:
        ahead: deque[Sample] = deque()
        failure: Exception | None = None
        try:
            self._look_ahead(ahead, samples)
        except Exception as error:  # raised again below, after the samples before it
            failure = error
        padder = SamplePadder(self, self._names_of(ahead))
        while ahead:
            sample = ahead.popleft()
            yield sample, padder.pad(sample)
        if failure is not None:
            raise failure
        for sample in samples:
            yield sample, padder.pad(sample)

    def _names_of(self, samples: Iterable[Sample]) -> tuple[str, ...]:
        names = tuple(sorted({name for sample in samples for name in sample.fields}))
        self._warn_of_cases(names)
        return names

    def _look_ahead(self, ahead: deque[Sample], samples: Iterator[Sample]) -> None:
        size_bytes = 0
        while len(ahead) < self.look_ahead_samples and size_bytes < self.look_ahead_bytes:
            sample = next(samples, None)
            if sample is None:
                return
            ahead.append(sample)
            size_bytes += sum(map(len, sample.fields.values()))

    def meet_new(self, sample: Sample, names: list[str]) -> None:
        """Warn of fields of a sample that the first samples did not have.

        Raises:
            ShardError: `new_fields` is "raise".
        """
        text = (
            f"{self.prefix}{sample.place} has {_listed(names)}, which none of the first"
            f" samples of {self.whole} had, from which its fields were learned: "
        )
        if self.new_fields == "raise":
            raise ShardError(
                f"{text}pass keys= with all fields that are wanted, or new_fields='add'",
                url=sample.url,
                offset=sample.offset,
            )
        text += "it is added from here on, and torch's default collate drops it from this batch"
        warnings.warn(f"{text}; pass keys= with all fields that are wanted", stacklevel=4)

    def _warn_of_cases(self, keys: Sequence[str]) -> None:
        by_name: dict[str, list[str]] = {}
        for key in keys:
            by_name.setdefault(key.lower(), []).append(key)
        for names in by_name.values():
            if len(names) > 1:
                warnings.warn(
                    f"{self.prefix}the fields {_listed(names)} differ in case alone: a sample that"
                    ' has one of them has b"" for the others',
                    stacklevel=3,
                )

    @property
    def prefix(self) -> str:
        """What warnings and errors begin with."""
        return f"<{self.reader}> " if self.reader else ""


class SamplePadder:
    """Pads samples one by one, in any order, by fields that are known beforehand.

    Args:
        padder: The rules.
        names: The fields of each sample, in this order, as `FieldPadder.learned` returns them.
    """

    def __init__(self, padder: FieldPadder, names: Sequence[str]) -> None:
        self._padder = padder
        self._padding = dict.fromkeys(names, b"")
        self._watch: _KeyWatch | None = None
        if padder.keys is not None:
            self._watch = _KeyWatch(names, padder.look_ahead_samples, padder.prefix, padder.whole)

    def pad(self, sample: Sample) -> Sample:
        """Return the sample with its fields in a ZeroDict.

        Raises:
            ShardError: It has a field that is not known (unless "add").
        """
        fields = sample.fields
        if self._watch is not None:
            self._watch.check(sample)
        if not self._padding.keys() >= fields.keys():
            if self._watch is not None:
                fields = {key: fields[key] for key in self._padding if key in fields}
            else:
                self._padder.meet_new(sample, sorted(fields.keys() - self._padding.keys()))
                names = sorted(self._padding.keys() | fields.keys())
                self._padding = dict.fromkeys(names, b"")
        return _padded(sample, self._padding, fields)

    def end(self) -> None:
        """Warn of fields of `keys` that no sample had."""
        if self._watch is not None:
            self._watch.end()


class _KeyWatch:
    """Warns of fields that `keys=` names and samples do not have.

    Args:
        keys: The fields that are wanted.
        max_samples: Number of samples after which to warn.
        prefix: What warnings begin with.
        whole: Of what the samples are.
    """

    def __init__(self, keys: Sequence[str], max_samples: int, prefix: str, whole: str) -> None:
        self._max_samples = max_samples
        self._prefix = prefix
        self._whole = whole
        self._by_lower_case = {key.lower(): key for key in keys}
        self._warned_cases: set[str] = set()
        self._missing = set(keys)
        self._others: dict[str, None] = {}  # in the order in which they were met
        self._seen = 0
        self._last_url = ""

    def check(self, sample: Sample) -> None:
        """Check the next sample."""
        for name in sample.left_out:
            if name.lower() in self._by_lower_case and name not in self._warned_cases:
                self._warn_of_case(name, sample)
        if self._missing:
            self._seen += 1
            self._last_url = sample.url
            self._missing.difference_update(sample.fields)
            self._others.update(dict.fromkeys(sample.left_out))
            if self._seen == self._max_samples:
                self.end()

    def end(self) -> None:
        """Warn once of the fields that no sample had."""
        if not self._missing or not self._seen:
            return
        names, self._missing = sorted(self._missing), set()
        others = _listed(list(self._others)) if self._others else "nothing"
        warnings.warn(
            f"{self._prefix}none of the first {self._seen} samples of {self._whole} (the last one"
            f" in {one_line(self._last_url)}) has {_listed(names)}, named by keys=:"
            f' it is b"" in each; what they have besides is {others}',
            stacklevel=4,
        )

    def _warn_of_case(self, name: str, sample: Sample) -> None:
        self._warned_cases.add(name)
        key = self._by_lower_case[name.lower()]
        warnings.warn(
            f"{self._prefix}{sample.place} has the field {name!r}, which is left out: keys= has"
            f" {key!r}, in another case; name both, or rename the files",
            stacklevel=4,
        )


def _listed(names: list[str]) -> str:
    return first_few([*map(repr, names)], _MAX_SHOWN)


def _padded(sample: Sample, padding: dict[str, bytes], fields: dict[str, bytes]) -> Sample:
    # Without ZeroDict's constructor, which takes twice the time: 0.3 us more for each sample.
    padded = ZeroDict.__new__(ZeroDict)
    padded.update(padding)
    padded.update(fields)
    return Sample(sample.url, sample.key, sample.basename, padded, sample.offset, sample.left_out)
