"""Images: 8-bit RGB in three forms, the same whichever decoder is installed."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aisio.errors import MissingExtraError
from aisio.training import image_decoding
from aisio.training.image_decoding import (
    decode_numpy,
    decode_pil,
    decode_torch,
    require_pillow,
)

SIZE = (7, 5)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF")


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    """Return an image as the content of a file."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def colours(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Return an image in which no two pixels are the same."""
    red = Image.linear_gradient("L").resize(size)
    image = Image.merge("RGB", [red, Image.radial_gradient("L").resize(size), red.rotate(90)])
    return image.convert(mode)


@pytest.fixture(autouse=True)
def formats() -> Iterator[None]:
    """Load Pillow's formats, and forget afterwards which decoders there are."""
    require_pillow()
    yield
    image_decoding._simplejpeg.cache_clear()


@pytest.fixture(params=["simplejpeg", "Pillow"])
def jpeg_decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have JPEG decoded by each of the two."""
    image_decoding._simplejpeg.cache_clear()
    if request.param == "Pillow":
        monkeypatch.setitem(sys.modules, "simplejpeg", None)
    else:
        pytest.importorskip("simplejpeg")
    return str(request.param)


@pytest.mark.parametrize("image_format", FORMATS)
def test_one_image_in_three_forms(image_format: str, jpeg_decoder: str) -> None:
    """PIL in RGB; uint8 arrays of height x width x 3; tensors of 3 x height x width."""
    data = encoded(colours(), image_format)
    image = decode_pil(data)
    assert (type(image), image.mode, image.size) == (Image.Image, "RGB", SIZE)
    array = decode_numpy(data)
    assert (array.dtype, array.shape, array.flags.writeable) == (np.uint8, (5, 7, 3), True)
    assert array.tolist() == np.array(image).tolist()
    tensor = decode_torch(data)
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.uint8, (3, 5, 7))
    assert tensor.permute(1, 2, 0).tolist() == array.tolist()
    if image_format in ("PNG", "BMP", "PPM", "TIFF"):
        assert image.tobytes() == colours().tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_colours_become_rgb(mode: str) -> None:
    """Grey is repeated, palettes are looked up, and transparency is dropped, not mixed."""
    image = colours().convert(mode)
    assert decode_pil(encoded(image)).tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr"])
def test_colours_of_jpeg(mode: str, jpeg_decoder: str) -> None:
    """Grey and CMYK files are in real data sets."""
    image = colours(mode, (32, 32))
    data = encoded(image, "JPEG", quality=95)
    array = decode_numpy(data).astype(int)
    assert array.tolist() == np.array(decode_pil(data)).tolist()
    assert np.abs(array - np.array(image.convert("RGB"))).mean() < 6


def test_a_palette_with_transparency() -> None:
    """Pillow would warn."""
    image = colours().convert("P")
    data = encoded(image, transparency=bytes(range(200)))
    assert decode_pil(data).tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_8_bits_are_refused(mode: str) -> None:
    """Pillow would cut all values above 255, as of a depth map."""
    image = Image.new(mode, SIZE, 1000)
    with pytest.raises(ValueError, match="pixels have mode '.*', which 8-bit RGB would cut"):
        decode_numpy(encoded(image, "TIFF"))


def test_the_orientation_of_a_camera_is_not_applied() -> None:
    """As by torchvision's ImageFolder and webdataset: boxes and masks fit the stored pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_torch(encoded(colours(), "JPEG", exif=exif)).shape == (3, 5, 7)


def test_the_first_image_of_an_animation() -> None:
    """Of the others nothing is said."""
    other = Image.new("RGB", SIZE, "red")
    data = encoded(colours(), "GIF", save_all=True, append_images=[other])
    assert decode_pil(data).tobytes() == decode_pil(encoded(colours(), "GIF")).tobytes()


def test_small_defects_are_no_matter(jpeg_decoder: str) -> None:
    """Pillow decides what can be read: bytes between two markers can, a cut file cannot."""
    whole = encoded(colours(size=(64, 64)), "JPEG")
    odd = whole[:-2] + bytes(3) + whole[-2:]
    assert decode_numpy(odd).tolist() == decode_numpy(whole).tolist()
    with pytest.raises(OSError, match="truncated"):
        decode_numpy(whole[:-50])


def test_a_wrong_extension_is_no_matter(jpeg_decoder: str) -> None:
    """The content says what it is: ImageNet has a PNG named .JPEG."""
    assert decode_numpy(encoded(colours())).tolist() == np.array(colours()).tolist()


@pytest.mark.parametrize(
    "data", [b"", b"GIF8", b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"a" * 99]
)
def test_what_is_no_image(data: bytes, jpeg_decoder: str) -> None:
    """PostScript among it, which Pillow would have Ghostscript run."""
    with pytest.raises((ValueError, OSError), match="no image of a known format: it begins with b"):
        decode_torch(data)


def test_an_image_that_would_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, jpeg_decoder: str
) -> None:
    """Pillow's limit holds for all decoders."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        decode_numpy(encoded(colours(size=(16, 16)), "JPEG"))


def test_pillow_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to get it."""
    monkeypatch.setitem(sys.modules, "PIL.BmpImagePlugin", None)
    with pytest.raises(MissingExtraError, match=r"pillow.*pip install 'pillow>="):
        require_pillow()


def test_a_process_that_is_spawned_knows_the_formats(tmp_path: Path) -> None:
    """Nothing there has checked the arguments of a dataset, which came as a pickle."""
    program = """
        import pathlib, sys
        from aisio.training.image_decoding import decode_pil
        for path in sys.argv[1:]:
            print(decode_pil(pathlib.Path(path).read_bytes()).size)
        """
    paths = [tmp_path / kind for kind in FORMATS]
    for path in paths:
        path.write_bytes(encoded(colours(), path.name))
    command = [sys.executable, "-c", dedent(program), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.split("\n")[:-1], done.stderr) == ([str(SIZE)] * len(FORMATS), "")
