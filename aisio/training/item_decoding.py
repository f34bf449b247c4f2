"""DecodeItem: decodes the fields of a sample, or the bytes of an object, in a pipeline."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from aisio.errors import ConfigError, DecodeError
from aisio.escapes import one_line
from aisio.training.decoding import Decode, FieldDecoders, decoder_name
from aisio.transforms.fields import KEY, split_sample, with_fields

__all__ = ["DecodeItem"]


class DecodeItem:
    """Decodes what has a decoder, by its extension; all else stays as it is.

    An item is a sample, (name, {field: bytes}) or a dict, or an object, (name, bytes). A field that
    is b"" becomes None.

    Args:
        decode: See `FieldDecoders`.
        owner: What is named in errors.

    Raises:
        ConfigError: There is no such decoder, or none at all.
        MissingExtraError: A decoder needs a package that is not installed.
    """

    def __init__(self, decode: Decode, owner: str) -> None:
        self._owner = owner
        self._is_checked = False  # the fields of a sample against the decoders
        self._decoders = FieldDecoders(decode, owner)
        if not self._decoders:
            raise ConfigError(f"<{owner}> .decode(None) decodes nothing: leave it out")

    def __getstate__(self) -> dict[str, Any]:
        self._decoders.check_picklable()
        return self.__dict__

    def __call__(self, item: Any) -> Any:
        """Return the item with what was decoded.

        Raises:
            DecodeError: A field cannot be decoded.
        """
        if _is_object(item):
            name, data = item
            extension = name.rpartition("/")[2].partition(".")[2]
            return name, self._value(name, extension, data)
        name, fields = split_sample(item, "decode()")
        if not self._is_checked:
            self._check_decoders(fields)
        decoded = {field: self._value(name, field, data) for field, data in fields.items()}
        return with_fields(item, decoded)

    def _check_decoders(self, fields: Mapping[str, Any]) -> None:
        """Warn of decoders that no field of a sample has; all samples have the same fields."""
        self._is_checked = True
        if unused := self._decoders.unused(fields):
            has = ", ".join(repr(field) for field in fields if field != KEY) or "none"
            warnings.warn(
                f"<{self._owner}> .decode() has decoders for {', '.join(map(repr, unused))}, but"
                f" the fields of the samples are {has}",
                stacklevel=2,
            )

    def _value(self, name: str, field: str, data: Any) -> Any:
        if not isinstance(data, (bytes, bytearray)):
            return data
        decoder = self._decoders.of(field)
        if decoder is None:
            return data
        if not data:
            return None
        try:
            return decoder(bytes(data))
        except MemoryError:
            raise
        except Exception as error:
            raise DecodeError(
                f".decode(): field {field!r} of {len(data):,} bytes of {one_line(name)!r} cannot be"
                f" decoded by {decoder_name(decoder)}: {type(error).__name__}: {error}"
            ) from error


def _is_object(item: Any) -> bool:
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], (bytes, bytearray))
    )
