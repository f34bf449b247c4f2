"""Encoding the fields of samples as the content of files, by their extension.

webdataset's conventions, with these differences: a value that an extension does not say how to
write is an error, and pickle is not used unless `encoders` says so (torch.save is, for .pth).

    bytes          as they are, under any extension
    str            UTF-8, under any extension that is not a picture's or an array's; under .json and
                   .cls it must be JSON or a whole number
    cls cls2 class index inx id count    a whole number -> digits
    json           what json.dumps takes
    npy, npz       a NumPy array or tensor; a mapping of arrays
    pth pt         torch.save
    jpg jpeg png webp bmp tif tiff ppm pgm
                   a Pillow image, an array H x W (x C) or a tensor (C x) H x W, of uint8; PNG and
                   TIFF also of uint16, H x W. JPEG and WebP have quality 95
"""

from __future__ import annotations

import io
import json
import operator
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aisio.errors import AisioError, ShardError
from aisio.extras import missing_extra

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["JPEG_QUALITY", "Encoder", "encode_field"]

Encoder: TypeAlias = Callable[[Any], bytes]
"""Returns the content of the file of a value."""

JPEG_QUALITY: Final = 95
"""As high as Pillow advises: above it, files grow and pictures hardly get better."""

_IMAGE_FORMATS: Final = {
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "bmp": "BMP",
    "tif": "TIFF",
    "tiff": "TIFF",
    "ppm": "PPM",
    "pgm": "PPM",
}
_UINT16_FORMATS: Final = ("PNG", "TIFF")
_MOST_CHANNELS: Final = 4
_JPEG_MODES: Final = ("L", "RGB", "CMYK")
_NUMBERS: Final = ("cls", "cls2", "class", "index", "inx", "id", "count")
_ARRAYS: Final = ("npy", "npz", "pth", "pt")
_PICKLES: Final = ("pkl", "pickle", "pyd")


def encode_field(value: Any, extension: str, encoders: Mapping[str, Encoder]) -> bytes:
    """Return the content of the file of a field.

    Args:
        value: The field.
        extension: Its extension, such as "jpg" or "left.png". Its last part says how to encode.
        encoders: What encodes values that are not bytes, by whole extension or last part; before
            those of this module.

    Raises:
        ShardError: The value cannot be encoded so; the text says why.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    last = extension.rpartition(".")[2].lower()
    own = encoders.get(extension, encoders.get(last))
    try:
        encoded = own(value) if own is not None else _encode(value, last)
    except AisioError:
        raise
    except Exception as error:  # an encoder may raise anything
        raise ShardError(f"{type(error).__name__}: {error}") from error
    if not isinstance(encoded, (bytes, bytearray, memoryview)):
        raise ShardError(f"its encoder returned a {type(encoded).__name__}, not bytes")
    return bytes(encoded)


def _encode(value: Any, last: str) -> bytes:
    if isinstance(value, str) and last not in (*_IMAGE_FORMATS, *_ARRAYS, *_PICKLES):
        return _checked_text(value, last)
    if last in _NUMBERS:
        return _number(value)
    if last in ("json", "jsn"):
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    if last in _IMAGE_FORMATS:
        return _encode_image(value, _IMAGE_FORMATS[last])
    if last in _ARRAYS:
        return {"npy": _npy, "npz": _npz}.get(last, _pth)(value)
    if last in _PICKLES:
        raise ShardError('pickle is not used by default: pass encoders={"pkl": pickle.dumps}')
    raise ShardError(
        f"no encoder for a value of type {type(value).__name__}: pass bytes, or"
        f' encoders={{"{last}": a function that returns bytes}}'
    )


def _checked_text(text: str, last: str) -> bytes:
    if last in _NUMBERS:
        int(text)
    if last in ("json", "jsn"):
        json.loads(text)
    return text.encode("utf-8")


def _number(value: Any) -> bytes:
    if isinstance(value, bool):
        raise ShardError("a whole number is needed, not a bool")
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # of NumPy and torch
        value = value.item()
    return b"%d" % operator.index(value)


def _npy(value: Any) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, _as_array(value), allow_pickle=False)
    return buffer.getvalue()


def _npz(value: Any) -> bytes:
    import numpy as np

    if not isinstance(value, Mapping):
        raise ShardError(f"a mapping of arrays is needed, not a {type(value).__name__}")
    arrays = {name: _as_array(array) for name, array in value.items()}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ShardError(f"array {name!r} has objects, which only pickle could write")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _pth(value: Any) -> bytes:
    try:
        import torch
    except ImportError as error:
        raise missing_extra("torch", "torch") from error
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _as_array(value: Any) -> Any:
    """Return an array or tensor as a NumPy array.

    Raises:
        ShardError: It is neither.
    """
    if _is_tensor(value):
        return value.detach().cpu().numpy()
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray):
        raise ShardError(f"an array or tensor is needed, not a {type(value).__name__}")
    return value


def _is_tensor(value: Any) -> bool:
    # A module that nobody imported has no instances.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _encode_image(value: Any, kind: str) -> bytes:
    image = _as_image(value, kind)
    if kind == "JPEG" and image.mode not in _JPEG_MODES:
        raise ShardError(f"JPEG cannot hold mode {image.mode!r}: convert it first, as to 'RGB'")
    options = {"quality": JPEG_QUALITY} if kind in ("JPEG", "WEBP") else {}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _as_image(value: Any, kind: str) -> Image:
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("pillow", "images") from error
    if isinstance(value, Image.Image):
        return value
    if isinstance(value, str):
        raise ShardError("a text is no image: pass the bytes of a file, or an image")
    array = _as_array(value)
    if _is_tensor(value) and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    is_deep = array.dtype == "uint16" and array.ndim == 2 and kind in _UINT16_FORMATS
    channels = array.shape[2] if array.ndim == 3 else 1
    is_image = array.dtype == "uint8" and array.ndim in (2, 3) and channels <= _MOST_CHANNELS
    if not is_deep and not is_image:
        raise ShardError(
            f"an image of {array.dtype} and shape {tuple(value.shape)}: uint8 is needed, as an"
            " array H x W x C or a tensor C x H x W"
        )
    return Image.fromarray(array.copy(order="C"))
