"""Decoders of the fields of samples, found by extension.

The whole extension is looked up first ("seg.png"), then its last part ("png"). The extensions of a
mapping are compared as they are, as those of `keys=` are; the known formats in either case, as a
file "1.JPEG" is a JPEG.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NoReturn, TypeAlias

import msgspec

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.training.image_decoding import IMAGE_DECODERS, require_pillow
from aisio.transforms.functions import require_picklable

__all__ = ["Decode", "Decoder", "FieldDecoders", "decoder_name", "is_image"]

Decoder: TypeAlias = Callable[[bytes], Any]

Decode: TypeAlias = Literal["torch", "numpy", "pil"] | Mapping[str, Decoder | str]
"""What images become, with all known formats decoded; or a decoder for each extension."""


class FieldDecoders:
    """Finds the decoder of a field.

    Args:
        decode: "torch", "numpy" or "pil" decode all known formats, and say what images become. A
            mapping has decoders by extension: a function of bytes, or a name of `_DECODERS`. None
            decodes nothing. A field without a decoder stays bytes.
        owner: Name of the dataset's class, for errors.

    Raises:
        ConfigError: There is no decoder of this name.
        MissingExtraError: Images are to be decoded, and Pillow is not installed.
    """

    def __init__(self, decode: Decode | None, owner: str) -> None:
        self._owner = owner
        self._decode = decode
        self._named: dict[str, Decoder] = {}
        if isinstance(decode, Mapping):
            self._named = {field: self._checked(field, how) for field, how in decode.items()}
            if not self._named:
                raise ConfigError(f"<{owner}> decode={{}} decodes nothing: leave it out")
        elif decode is not None:
            if not isinstance(decode, str) or decode not in IMAGE_DECODERS:
                raise ConfigError(
                    f"<{owner}> decode={decode!r}: {_listed(IMAGE_DECODERS)}, or a mapping of"
                    " extensions to decoders, is needed"
                )
            self._checked("", decode)

    def __bool__(self) -> bool:
        return self._decode is not None

    def check_picklable(self) -> None:
        """Refuse decoders that a process which is being started cannot import.

        Raises:
            ConfigError: There is one.
        """
        for decoder in self._named.values():
            require_picklable(f"<{self._owner}> decode=", decoder)

    def of(self, field: str) -> Decoder | None:
        """Return the decoder of a field; None if it stays bytes.

        Raises:
            ConfigError: It is a pickle, and the mapping does not have it.
        """
        last = field.rpartition(".")[2]
        if self._decode is None:
            return None
        if isinstance(self._decode, Mapping):
            decoder = self._named.get(field)
            return self._named.get(last) if decoder is None else decoder
        for extension in (field.lower(), last.lower()):
            if extension in _IMAGES:
                return IMAGE_DECODERS[self._decode]
            if extension in _PICKLES:
                self._refuse_pickle(field)
            if extension in _FORMATS:
                return _DECODERS[_FORMATS[extension]]
        return None

    def unused(self, fields: Iterable[str]) -> list[str]:
        """Return the extensions of the mapping that none of these fields has."""
        used = {name for field in fields for name in (field, field.rpartition(".")[2])}
        # "png" is used by "seg.png" only if that has no decoder of its own: to say so is not worth
        # an error.
        return [name for name in self._named if name not in used]

    def _checked(self, field: str, how: Any) -> Decoder:
        if not isinstance(field, str) or field.startswith("."):
            raise ConfigError(
                f"<{self._owner}> decode= has {field!r}: extensions have no leading dot, as 'jpg'"
            )
        if how is str:
            return _text
        decoder = _DECODERS.get(how) if isinstance(how, str) else how
        if not callable(decoder):
            raise ConfigError(
                f"<{self._owner}> decode= has {how!r} for {field!r}: a function of bytes is needed,"
                f" or one of {_listed(_DECODERS)}"
            )
        if decoder in IMAGE_DECODERS.values():
            require_pillow()
        if decoder in _NUMPY_DECODERS:
            _require_numpy()
        return decoder

    def _refuse_pickle(self, field: str) -> NoReturn:
        raise ConfigError(
            f"<{self._owner}> field {field!r} is a pickle, which can run any code when it is"
            f" loaded: if you trust the data, name all decoders, as in decode={{{field!r}:"
            " pickle.loads, ...}; otherwise leave the field out by keys= or fields="
        )


def is_image(field: str) -> bool:
    """Return whether a field is an image by its extension."""
    return field.rpartition(".")[2].lower() in _IMAGES


def decoder_name(decoder: Decoder) -> str:
    """Return what an error calls a decoder."""
    for name, known in _DECODERS.items():
        if decoder is known:
            return name
    return getattr(decoder, "__qualname__", repr(decoder))


def _text(data: bytes) -> str:
    return data.decode()


def _json_lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines() if line.strip()]


def _npy(data: bytes) -> Any:
    from numpy.lib.format import read_array

    return read_array(io.BytesIO(data), allow_pickle=False)


def _npz(data: bytes) -> dict[str, Any]:
    from numpy import load

    with load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def _pth(data: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _require_numpy() -> None:
    try:
        import numpy  # noqa: F401 - so that processes that are forked have it
    except ImportError as error:
        raise missing_extra("numpy", "torch") from error


_DECODERS: dict[str, Decoder] = {
    **IMAGE_DECODERS,
    "int": int,
    "text": _text,
    "json": json.loads,
    "jsonl": _json_lines,
    "npy": _npy,
    "npz": _npz,
    "pth": _pth,
    "msgpack": msgspec.msgpack.decode,
}
"""By the names that a mapping may have."""

_NUMPY_DECODERS = (IMAGE_DECODERS["numpy"], IMAGE_DECODERS["torch"], _npy, _npz)

_IMAGES = frozenset(
    ("bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff")
) | {"webp"}
_PICKLES = frozenset(("pickle", "pkl", "pyd"))
_FORMATS = {
    **dict.fromkeys(("cls", "cls2", "count", "index", "inx"), "int"),
    **dict.fromkeys(("text", "transcript", "txt"), "text"),
    **dict.fromkeys(("jsn", "json"), "json"),
    **dict.fromkeys(("jsonl", "ndjson"), "jsonl"),
    **dict.fromkeys(("pt", "pth"), "pth"),
    **dict.fromkeys(("mp", "msg", "msgpack"), "msgpack"),
    "npy": "npy",
    "npz": "npz",
}
"""Decoders of the known formats by extension; most of these are webdataset's."""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
