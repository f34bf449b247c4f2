"""SampleItems: what a dataset of samples yields of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from copy import copy
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aisio.errors import ConfigError, DecodeError, ShardError, add_note
from aisio.escapes import one_line
from aisio.shards.fields import FieldPadder, SamplePadder, check_keys
from aisio.shards.samples import Sample
from aisio.stats import thread_counters
from aisio.training.decoding import Decoder, FieldDecoders, decoder_name, is_image
from aisio.training.folder_labels import FolderLabels
from aisio.training.folder_watch import FolderWatch
from aisio.training.item_options import KEY, LABEL, ItemOptions
from aisio.training.skipped_samples import SkippedSample, SkippedSamples
from aisio.training.stateful_iteration import Failed
from aisio.transforms.functions import FunctionChain, require_picklable

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FIRST_SAMPLES", "SampleItems"]

FIRST_SAMPLES = 100
"""From so many samples the fields are learned, or fewer if they have many bytes."""


class SampleItems:
    """Makes the items of a dataset: (name, fields) of a sample, or a tuple of its fields.

    Args:
        options: What they are.
        owner: Name of the dataset's class.
        whole: Of what the fields are learned, for warnings and errors.

    Attributes:
        wanted: The fields to read; None for all.

    Raises:
        ConfigError: An option has no such value, or options contradict each other.
        MissingExtraError: A decoder needs a package that is not installed.
    """

    def __init__(
        self,
        options: ItemOptions,
        *,
        owner: str,
        whole: str = "the data set",
    ) -> None:
        options.check(owner)
        self._options = options
        self._owner = owner
        self._fields = _alternatives(options.fields)
        keys = options.stored(check_keys(options.keys))
        # Without a stored field the rules need others: no sample is padded by them.
        self._rules = FieldPadder(
            keys or None,
            look_ahead_samples=FIRST_SAMPLES,
            new_fields=options.new_fields,
            reader=owner,
            whole=whole,
        )
        named = None if self._fields is None else list(chain.from_iterable(self._fields))
        self.wanted = keys if named is None else options.stored(check_keys(named, "fields"))
        self._decoders = FieldDecoders(options.decode, owner)
        self._labels = FolderLabels(options.classes, owner) if options.label_from else None
        is_skipping = options.on_error == "skip" and options.decode is not None
        self._skipped = SkippedSamples() if is_skipping else None
        self._functions = FunctionChain()
        self._padder: SamplePadder | None = None
        self._folders = self._new_folder_watch()
        if self.wanted is not None:
            self._check_decoders(self.wanted)
        if keys is not None:
            self._padder = SamplePadder(self._rules, keys)

    def __getstate__(self) -> dict[str, Any]:
        self._decoders.check_picklable()
        require_picklable(f"<{self._owner}> transform=", self._options.transform)
        self._functions.check_picklable(self._owner)
        return self.__dict__

    def with_function(self, word: str, function: Callable[[Any], Any]) -> Self:
        """Return items like these, of which each is given to one function more.

        Args:
            word: What the user called, for errors.
            function: Its result takes the item's place.
        """
        other = copy(self)
        other._functions = self._functions.followed_by(word, function)
        return other

    @property
    def needs_classes(self) -> bool:
        """Whether `set_classes` must be called before an item is made."""
        return self._labels is not None and not self._labels.are_known

    @property
    def classes(self) -> tuple[str, ...]:
        """The folders in the order of their labels; none without `label_from`."""
        return self._labels.classes if self._labels is not None else ()

    def set_classes(self, folders: Iterable[str]) -> None:
        """Label by the sorted names of these folders, which are all there are.

        Raises:
            ConfigError: One is "": samples are in no folder.
        """
        assert self._labels is not None
        names = sorted(folders)
        if "" in names:
            raise ConfigError(
                f'<{self._owner}> label_from="folder": there are samples whose keys have no folder'
            )
        self._labels.set_classes(names)

    @property
    def skipped(self) -> tuple[SkippedSample, ...]:
        """The samples that on_error="skip" left out so far, of all workers."""
        return self._skipped.entries() if self._skipped is not None else ()

    def detach_skipped(self) -> None:
        """Begin the list of `skipped` anew, unless it was begun in this process."""
        if self._skipped is not None:
            self._skipped.detach()

    def learn(self, first_samples: Callable[[], Iterable[Sample]]) -> None:
        """Learn which fields samples have, unless that is known.

        Args:
            first_samples: Returns the first samples of the data set, at least `FIRST_SAMPLES` if it
                has as many.
        """
        if self._padder is None and self._fields is None:
            names = self._rules.learned(first_samples())
            self._check_decoders(names)
            self._padder = SamplePadder(self._rules, names)

    def make(self, samples: Sequence[Sample]) -> list[Any]:
        """Return the items of samples, by the fields that were learned.

        With on_error="skip" these may be fewer, but not none.

        Raises:
            DecodeError: A field cannot be decoded.
            ShardError: A sample lacks one of `fields`, has a field that is not known, or no label.
            Exception: What `transform` raised; from Python 3.11, with a note that names the sample.
        """
        items: list[Any] = []
        failure: DecodeError | None = None
        for sample in samples:
            try:
                item = self._item(sample)
            except DecodeError as error:
                failure = self._skip(sample, error)
            else:
                items.append(self._transformed(item, sample))
        if failure is not None and not items:
            raise failure
        # No map(): it would end quietly where the user's function raises StopIteration.
        return items

    def stream(
        self,
        samples: Iterable[Sample],
        known: Sequence[str] = (),
        take: Callable[[Sample], None] = lambda _: None,
    ) -> Iterator[Any]:
        """Yield the items of a pass over shards, which learns the fields anew.

        Args:
            samples: Those of any number of shards, in order.
            known: Fields that were learned before, from other samples; empty to learn them.
            take: Called with each sample, padded, before its item is yielded, and where it is
                skipped.

        Yields:
            Items; a `Failed` where `make` would raise.
        """
        self._folders = self._new_folder_watch()
        is_checked = self.wanted is not None
        pairs: Iterator[tuple[Sample, Sample]] = ((sample, sample) for sample in samples)
        if self._fields is None:
            pairs = self._rules.pairs(samples, known)
        for sample, padded in pairs:
            if not is_checked:
                self._check_decoders(padded.fields)
                is_checked = True
            try:
                try:
                    item = self._item(sample, padded)
                except DecodeError as error:
                    self._skip(sample, error)
                    take(padded)
                    continue
                item = self._transformed(item, sample)
            except Exception as error:
                item = Failed(error)
            take(padded)  # an interrupt before loses no sample
            yield item

    def padded(self, samples: Iterable[Sample]) -> Iterable[Sample]:
        """Yield samples with the fields of `keys`; as they are without it."""
        return samples if self.wanted is None else self._rules.pad(samples)

    def _item(self, sample: Sample, padded: Sample | None = None) -> Any:
        started = perf_counter() if self._decoders else None
        item = self._tuple(sample) if self._fields is not None else self._named(sample, padded)
        if started is not None:
            thread_counters().decode_s += perf_counter() - started
        if self._skipped is not None:
            self._skipped.end_row()
        return item

    def _transformed(self, item: Any, sample: Sample) -> Any:
        transform = self._options.transform
        try:
            if transform is not None:
                item = transform(item)
        except StopIteration as error:
            # Whoever iterates over a dataset would take it for the end.
            raise RuntimeError(f"{self._about(sample)}, and raised StopIteration") from error
        except Exception as error:
            add_note(error, self._about(sample))
            raise
        return self._functions(item)

    def _about(self, sample: Sample) -> str:
        place = f"at byte {sample.offset} of {one_line(sample.url)}"
        return f"<{self._owner}> transform= was called with sample {sample.key!r} {place}"

    def _named(self, sample: Sample, padded: Sample | None) -> tuple[str, Any]:
        if padded is None:
            assert self._padder is not None, "learn() was not called"
            padded = self._padder.pad(sample)
        if self._folders is not None:
            self._folders.check(sample)
        fields: dict[str, Any] = padded.fields
        if self._decoders:
            fields = {
                name: self._decoded(sample, name, data, decoder)
                if (decoder := self._decoders.of(name)) is not None
                else data
                for name, data in fields.items()
            }
        if self._labels is not None:
            fields = {**fields, LABEL: self._labels.label(sample)}
        return sample.key if self._options.full_key else sample.basename, fields

    def _tuple(self, sample: Sample) -> tuple[Any, ...]:
        assert self._fields is not None
        made: dict[str, Any] = {KEY: sample.key}
        if self._labels is not None:
            made[LABEL] = self._labels.label(sample)
        names = [
            names[0] if len(names) == 1 else _first(names, (made, sample.fields))
            for names in self._fields
        ]
        try:
            values = [made[name] if name in made else sample.fields[name] for name in names]
        except KeyError as error:
            raise self._lacks(sample, error.args[0]) from None
        if self._decoders:
            values = [
                self._decoded(sample, name, data, decoder)
                if name not in made and (decoder := self._decoders.of(name)) is not None
                else data
                for name, data in zip(names, values, strict=True)
            ]
        return tuple(values)

    def _lacks(self, sample: Sample, field: str) -> ShardError:
        names = (*sample.fields, *sample.left_out)
        has = ", ".join(map(repr, names)) or "none"
        images = [name for name in names if is_image(name)] if is_image(field) else []
        hint = f"; '{field};{images[0]}' would take either" if images else ""
        return ShardError(
            f"<{self._owner}> {sample.place} has no field {field!r}, named by fields=; it has"
            f" {has}{hint}",
            url=sample.url,
            offset=sample.offset,
        )

    def _decoded(self, sample: Sample, name: str, data: bytes, decoder: Decoder) -> Any:
        """Return what a decoder makes of a field; None if the sample does not have the field."""
        if not data and name not in sample.fields:
            return None
        try:
            return decoder(data)
        except MemoryError:
            raise
        except Exception as error:
            raise DecodeError(
                f"<{self._owner}> {sample.place}: field {name!r} of {len(data):,} bytes cannot be"
                f" decoded by {decoder_name(decoder)}: {type(error).__name__}: {error}",
                url=sample.url,
                offset=sample.offset,
            ) from error

    def _skip(self, sample: Sample, error: DecodeError) -> DecodeError:
        if self._skipped is None:
            raise error
        self._skipped.add(sample, error)
        return error

    def _check_decoders(self, names: Iterable[str]) -> None:
        names = list(names)
        for name in names:
            self._decoders.of(name)
        if unused := self._decoders.unused(names):
            has = ", ".join(map(repr, names)) or "none"
            warnings.warn(
                f"<{self._owner}> decode= has decoders for {', '.join(map(repr, unused))}, but the"
                f" fields of the samples that are read are {has}",
                stacklevel=4,
            )

    def _new_folder_watch(self) -> FolderWatch | None:
        options = self._options
        # Tuples have no names, and a label from the folder shows it.
        shows_folder = options.fields is not None or options.label_from is not None
        if options.full_key is None and not shows_folder:
            return FolderWatch(self._owner)
        return None


def _alternatives(fields: Sequence[str] | None) -> list[tuple[str, ...]] | None:
    """Return the names of each field: jpg and png of "jpg;png", as webdataset has it."""
    checked = check_keys(fields, "fields")
    return None if checked is None else [tuple(field.split(";")) for field in checked]


def _first(names: Sequence[str], among: Iterable[Container[str]]) -> str:
    """Return the first name that is there; the whole field if none is."""
    there = (name for name in names if any(name in those for those in among))
    return next(there, ";".join(names))
