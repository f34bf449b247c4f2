"""Encoding the fields of samples."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aisio.errors import ShardError
from aisio.shards.encoders import encode_field

RGB = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)


def opened(data: bytes) -> Image.Image:
    """Return the image of a file."""
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("extension", "value", "data"),
    [
        ("jpg", b"as it is", b"as it is"),
        ("anything", bytearray(b"ab"), b"ab"),
        ("x", memoryview(b"ab")[1:], b"b"),
        ("txt", "é", "é".encode()),
        ("anything", "text", b"text"),
        ("cls", 7, b"7"),
        ("cls", "7", b"7"),
        ("id", "0012", b"0012"),
        ("CLS", np.int64(7), b"7"),
        ("a.cls", torch.tensor(7), b"7"),
        ("index", np.array(3), b"3"),
        ("json", {"a": [1, None], "é": 2.5}, '{"a": [1, null], "é": 2.5}'.encode()),
        ("json", '{"a": 1}', b'{"a": 1}'),
    ],
)
def test_values_become_bytes(extension: str, value: Any, data: bytes) -> None:
    """By webdataset's conventions."""
    assert encode_field(value, extension, {}) == data


@pytest.mark.parametrize(
    ("extension", "value", "says"),
    [
        ("cls", True, "not a bool"),
        ("cls", 1.0, "float"),
        ("cls", "cat", "invalid literal"),
        ("cls", np.arange(2), "whole|integer"),
        ("json", "no JSON", "Expecting value"),
        ("json", {1, 2}, "not JSON serializable"),
        ("json", float("nan"), "ValueError: Out of range float"),
        ("txt", 5, 'no encoder for a value of type int: pass bytes, or encoders={"txt"'),
        ("bin", None, "no encoder for a value of type NoneType"),
        ("left.seg", object(), 'encoders={"seg"'),
        ("pkl", {"a": 1}, r"encoders=\{.pkl.: pickle.dumps"),
        ("pkl", "text", "pickle.dumps"),
        ("npy", [1, 2], "an array or tensor is needed, not a list"),
        ("npy", np.array([object()]), "allow_pickle"),
        ("npz", np.arange(2), "a mapping of arrays"),
        ("npz", {"a": np.array([object()])}, "array 'a' has objects"),
        ("jpg", "path/to.jpg", "a text is no image"),
        ("png", np.zeros((2, 2)), r"float64 and shape \(2, 2\)"),
        ("jpg", torch.zeros(3, 2, 2), r"float32 and shape \(3, 2, 2\)"),
        ("jpg", np.zeros((2, 2), "uint16"), "uint16"),
        ("png", np.zeros(5, "uint8"), r"shape \(5,\)"),
        ("png", np.zeros((3, 8, 8), "uint8"), r"shape \(3, 8, 8\): .* an array H x W x C or a te"),
        ("jpg", torch.zeros(8, 8, 3, dtype=torch.uint8), r"shape \(8, 8, 3\): .*tensor C x H x W"),
        ("jpg", Image.new("RGBA", (2, 2)), "JPEG cannot hold mode 'RGBA'"),
        ("jpg", 5, "an array or tensor is needed, not a int"),
    ],
)
def test_what_cannot_be_encoded_says_why(extension: str, value: Any, says: str) -> None:
    """One kind of error for all of them."""
    with pytest.raises(ShardError, match=says):
        encode_field(value, extension, {})


@pytest.mark.parametrize(
    "value", [RGB, Image.fromarray(RGB), torch.from_numpy(RGB).permute(2, 0, 1)]
)
def test_images_from_all_that_have_pixels(value: Any) -> None:
    """The same pixels of each."""
    assert np.array_equal(np.asarray(opened(encode_field(value, "png", {}))), RGB)
    jpeg = opened(encode_field(value, "left.JPG", {}))
    assert (jpeg.format, jpeg.size, jpeg.mode) == ("JPEG", (6, 4), "RGB")
    assert opened(encode_field(value, "webp", {})).format == "WEBP"


def test_grey_images() -> None:
    """With and without a channel of their own; of 16 bits as PNG."""
    grey = RGB[:, :, 0]
    for value in (grey, grey[:, :, None], torch.from_numpy(grey.copy())[None]):
        image = opened(encode_field(value, "png", {}))
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), grey)
    deep = np.array([[0, 65535]], "uint16")
    assert np.array_equal(np.asarray(opened(encode_field(deep, "png", {}))), deep)


def test_arrays_and_tensors() -> None:
    """As numpy and torch read them, without pickle."""
    array = np.arange(6, dtype="float32").reshape(2, 3)
    for value in (array, torch.from_numpy(array)):
        read = np.load(io.BytesIO(encode_field(value, "npy", {})), allow_pickle=False)
        assert np.array_equal(read, array)
    found = np.load(io.BytesIO(encode_field({"a": array, "b": torch.ones(1)}, "npz", {})))
    assert np.array_equal(found["a"], array)
    saved = torch.load(io.BytesIO(encode_field({"x": torch.ones(2)}, "pth", {})), weights_only=True)
    assert torch.equal(saved["x"], torch.ones(2))


def test_encoders_of_ones_own_come_first() -> None:
    """By the whole extension, then by its last part; bytes stay as they are."""
    encoders = {
        "json": lambda value: json.dumps(value, indent=1).encode(),
        "a.json": lambda _: b"a",
    }
    assert encode_field({}, "json", encoders) == b"{}"
    assert encode_field([1], "b.json", encoders) == b"[\n 1\n]"
    assert encode_field([1], "a.json", encoders) == b"a"
    assert encode_field(b"x", "a.json", encoders) == b"x"
    with pytest.raises(ShardError, match="its encoder returned a str, not bytes"):
        encode_field(1, "x", {"x": str})  # type: ignore[dict-item]
