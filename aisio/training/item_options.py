"""ItemOptions: the arguments of a dataset that say what its items are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aisio.errors import ConfigError
from aisio.shards.fields import NewFields
from aisio.training.decoding import Decode
from aisio.training.folder_labels import LabelFrom, check_label_from

__all__ = ["KEY", "LABEL", "ItemOptions"]

KEY = "__key__"
"""As a field: the whole key of the sample. webdataset calls it so, too."""

LABEL = "cls"
"""The field that `label_from` makes."""


@dataclass(frozen=True)
class ItemOptions:
    """Arguments of a dataset that say what its items are.

    Attributes:
        keys: The fields of each item, padded with b""; None learns them.
        fields: Yield tuples of these fields in place of (name, fields). Of "jpg;png" each sample
            gives the first that it has.
        full_key: The name is the whole key; None is False, with one warning if samples are in
            different folders.
        new_fields: See `FieldPadder`.
        decode: See `FieldDecoders`. A field that a sample lacks is None, if it would be decoded.
        label_from: "folder" makes a field "cls" of the last folder of the key.
        classes: The folders in the order of their labels; None for all of them, sorted.
        on_error: "skip" leaves samples out that cannot be decoded.
        transform: Called with each item; what it returns takes the item's place.
    """

    keys: Sequence[str] | None = None
    fields: Sequence[str] | None = None
    full_key: bool | None = None
    new_fields: NewFields = "raise"
    decode: Decode | None = None
    label_from: LabelFrom | None = None
    classes: Sequence[str] | None = None
    on_error: Literal["raise", "skip"] = "raise"
    transform: Callable[[Any], Any] | None = None

    def check(self, owner: str) -> None:
        """Check what no other class does.

        Raises:
            ConfigError: There is no such value, or two arguments contradict each other.
        """
        if self.on_error not in ("raise", "skip"):
            raise ConfigError(f'on_error={self.on_error!r}: "raise" or "skip" is needed')
        if self.keys is not None and self.fields is not None:
            raise ConfigError(
                f"<{owner}> keys= names the fields of dicts, fields= those of tuples: give one"
            )
        if self.keys is not None and KEY in self.keys:
            raise ConfigError(
                f"<{owner}> keys= has {KEY!r}: with full_key=True it is the name of each item; only"
                " fields= takes it"
            )
        if self.transform is not None and not callable(self.transform):
            raise ConfigError(f"<{owner}> transform={self.transform!r} cannot be called")
        check_label_from(self.label_from, self.classes, owner)
        if self.label_from and self.fields is not None and LABEL not in self.fields:
            raise ConfigError(
                f"<{owner}> label_from={self.label_from!r} makes a field {LABEL!r}, which fields="
                " does not name"
            )

    def stored(self, names: Sequence[str] | None) -> tuple[str, ...] | None:
        """Return those of some field names that are read from the shard; None stays None."""
        if names is None:
            return None
        made = (KEY, LABEL) if self.label_from else (KEY,)
        return tuple([name for name in names if name not in made])
