"""Images as tensors, arrays or Pillow's images: always 8-bit RGB.

Pillow reads all formats. JPEG is read by simplejpeg where that is installed, in about 0.7 of the
time (256 x 256 pixels of 23 KB: 250 against 350 us of processor time, 2026-11, simplejpeg 1.9,
Pillow 13.0). Both use libjpeg-turbo with the same settings, and gave the same pixels. Other
versions of that library may differ by 1 in some pixels.

What simplejpeg does not read without doubt is left to Pillow: CMYK, very large images, files that
are no JPEG in spite of their names, and files with small defects. So which files are readable does
not depend on what is installed.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from aisio.extras import missing_extra

__all__ = ["IMAGE_DECODERS", "decode_numpy", "decode_pil", "decode_torch", "require_pillow"]

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
"""Pillow tries no others: a file named .jpg that is PostScript would run Ghostscript."""

_PLUGINS = ("Bmp", "Gif", "Jpeg", "Png", "Ppm", "Tiff", "WebP")
_EIGHT_BIT_MODES = frozenset(
    ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
)
_RGB_SOURCES = frozenset(("RGB", "YCbCr", "Gray"))
"""Colours of a JPEG file that libjpeg-turbo converts to RGB."""


def require_pillow() -> None:
    """Load Pillow and its formats here, so that processes that are forked have them.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        for plugin in _PLUGINS:
            import_module(f"PIL.{plugin}ImagePlugin")
    except ImportError as error:
        raise missing_extra("pillow", "images") from error
    _simplejpeg()


def decode_pil(data: bytes) -> Any:
    """Return a `PIL.Image.Image` in RGB, which is in memory as a whole.

    Raises:
        ValueError: The data is no image, or one of more than 8 bits a channel.
        OSError: It is cut or damaged.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            if image.mode not in _EIGHT_BIT_MODES:
                raise ValueError(
                    f"its pixels have mode {image.mode!r}, which 8-bit RGB would cut: decode it by"
                    " a function of your own"
                )
            if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
                return image.convert("RGBA").convert("RGB")  # without a warning of Pillow
            return image.convert("RGB")
    except UnidentifiedImageError:
        raise ValueError(f"no image of a known format: it begins with {data[:12]!r}") from None


def decode_numpy(data: bytes) -> Any:
    """Return an image as an array of uint8, of height x width x 3; errors as for `decode_pil`."""
    import numpy as np

    pixels = _read_jpeg(data) if data[:3] == b"\xff\xd8\xff" else None
    return np.array(decode_pil(data)) if pixels is None else pixels


def decode_torch(data: bytes) -> Any:
    """Return an image as a tensor of uint8, of 3 x height x width; errors as for `decode_pil`.

    As from torchvision's decoders, it is a view of memory in the order of the pixels, which torch
    calls channels_last: resizing is faster so, and what collates a batch copies it in any case.
    """
    import torch

    return torch.from_numpy(decode_numpy(data)).permute(2, 0, 1)


IMAGE_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "torch": decode_torch,
    "numpy": decode_numpy,
    "pil": decode_pil,
}
"""By what images become."""


def _read_jpeg(data: bytes) -> Any:
    """Return the pixels of a JPEG file by simplejpeg, or None if Pillow is to read it."""
    from PIL import Image

    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in _RGB_SOURCES or height * width > (Image.MAX_IMAGE_PIXELS or 1 << 62):
            return None
        return simplejpeg.decode_jpeg(data)
    except ValueError:
        return None


@cache
def _simplejpeg() -> Any:
    """Return simplejpeg, or None if it is not installed."""
    try:
        return import_module("simplejpeg")
    except ImportError:
        return None


@cache
def _formats() -> tuple[str, ...]:
    """Return those of the formats that this build of Pillow has."""
    from PIL import Image

    require_pillow()  # in a process that was spawned, nothing has loaded them
    return tuple([name for name in _FORMATS if name in Image.OPEN])
