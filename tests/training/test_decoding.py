"""FieldDecoders: which decoder a field has, and what it makes of it."""

from __future__ import annotations

import io
import json
import pickle
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from aisio.errors import ConfigError, MissingExtraError
from aisio.training.decoding import Decode, FieldDecoders, decoder_name
from aisio.training.image_decoding import decode_numpy, decode_pil, decode_torch


def decoders(decode: Any) -> FieldDecoders:
    """Return the decoders of a dataset."""
    return FieldDecoders(decode, "Data")


def decoded(field: str, data: bytes, decode: Decode = "numpy") -> Any:
    """Return what a field becomes."""
    decoder = decoders(decode).of(field)
    return data if decoder is None else decoder(data)


def saved(save: Any, *values: Any, **named: Any) -> bytes:
    """Return what a function writes to a file."""
    file = io.BytesIO()
    save(file, *values, **named)
    return file.getvalue()


@pytest.mark.parametrize(
    ("fields", "data", "value"),
    [
        ("cls cls2 index inx count", b"7\n", 7),
        ("json jsn", b'{"a": [1, null]}', {"a": [1, None]}),
        ("jsonl ndjson", b'{"a": 1}\n\n[2]\r\n', [{"a": 1}, [2]]),
        ("txt text transcript", "naïve \n".encode(), "naïve \n"),
        ("mp msg msgpack", msgspec.msgpack.encode({"a": 1}), {"a": 1}),
        ("mp3 wav bin id x.json.gz", b"\x00\xff", b"\x00\xff"),
    ],
)
def test_known_formats(fields: str, data: bytes, value: Any) -> None:
    """By their extensions; what has no decoder stays bytes, and so does all without decode=."""
    for field in fields.split():
        assert decoded(field, data) == value
        assert FieldDecoders(None, "Data").of(field) is None


def test_arrays_and_tensors() -> None:
    """Of what numpy and torch save."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert decoded("npy", saved(np.save, array)).tolist() == array.tolist()
    arrays = decoded("npz", saved(np.savez, a=array, b=array[0]))
    assert {name: one.tolist() for name, one in arrays.items()} == {
        "a": array.tolist(),
        "b": array[0].tolist(),
    }
    tensors = {"a": torch.arange(3)}
    for field in ("pt", "pth"):
        assert decoded(field, saved(lambda file: torch.save(tensors, file)))["a"].tolist() == [
            0,
            1,
            2,
        ]


class Harmful:
    def __reduce__(self) -> Any:
        return sys.exit, ("code was run",)


def test_no_pickle_is_loaded() -> None:
    """Neither where numpy or torch would take one for data."""
    array = np.array([Harmful()])
    hidden = [
        ("npy", saved(np.save, array)),
        ("npz", saved(np.savez, a=array)),
        ("npy", pickle.dumps(Harmful())),
        ("pth", saved(lambda file: torch.save({"a": Harmful()}, file))),
        ("pth", pickle.dumps(Harmful(), 2)),
    ]
    for field, data in hidden:
        with pytest.raises((ValueError, pickle.UnpicklingError)):
            decoded(field, data)


@pytest.mark.parametrize("field", ["pkl", "pickle", "pyd", "state.pkl"])
def test_pickles_have_no_decoder_by_default(field: str) -> None:
    """The error says how to get one."""
    with pytest.raises(
        ConfigError, match=f"<Data> field '{field}' is a pickle.*decode={{'{field}'"
    ):
        decoders("torch").of(field)
    assert decoders({field: pickle.loads}).of(field) is pickle.loads
    assert decoders({"cls": int}).of(field) is None


@pytest.mark.parametrize("field", ["jpg", "jpeg", "JPEG", "png", "left.webp", "seg.PNG", "tiff"])
def test_images_become_what_is_named(field: str) -> None:
    """In either case, as cameras write .JPG."""
    assert decoders("torch").of(field) is decode_torch
    assert decoders("numpy").of(field) is decode_numpy
    assert decoders("pil").of(field) is decode_pil


def test_a_mapping() -> None:
    """The whole extension comes before its last part; what it does not name stays bytes."""
    of = decoders({"png": "pil", "seg.png": len, "cls": int, "txt": str, "raw": "json"}).of
    assert (of("png"), of("left.png"), of("seg.png"), of("cls")) == (
        decode_pil,
        decode_pil,
        len,
        int,
    )
    text, raw = of("caption.txt"), of("raw")
    assert text is not None
    assert text(b"a\xc3\xa4") == "aä"
    assert raw is json.loads
    assert (of("PNG"), of("json"), of("jpg")) == (None, None, None)


class _EmptyPipeline(list[Any]):
    """A decoder whose truth is False, as that of a sequence without stages."""

    def __call__(self, data: bytes) -> bytes:
        return data[::-1]


def test_a_decoder_whose_truth_is_false_is_used() -> None:
    """By the whole extension before that of its last part, and alone."""
    decoders = FieldDecoders({"left.bin": _EmptyPipeline(), "bin": bytes}, "Data")
    assert decoders.of("left.bin")(b"abc") == b"cba"  # type: ignore[misc]
    assert FieldDecoders({"bin": _EmptyPipeline()}, "Data").of("left.bin") is not None


def test_extensions_that_no_field_has() -> None:
    """They may be misspelt."""
    assert decoders({"jpeg": len, "cls": int, "png": len}).unused(["jpg", "cls", "seg.png"]) == [
        "jpeg"
    ]
    assert decoders("torch").unused(["a"]) == []


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        ("rgb", "<Data> decode='rgb': 'torch', 'numpy', 'pil', or a mapping of extensions to"),
        (int, "<Data> decode=<class 'int'>: 'torch', 'numpy', 'pil', or a mapping"),
        ({}, "<Data> decode={} decodes nothing: leave it out"),
        (
            {"jpg": "rgb"},
            "decode= has 'rgb' for 'jpg': a function of bytes is needed, or one of 'to",
        ),
        ({"jpg": None}, "decode= has None for 'jpg'"),
        ({".jpg": "pil"}, "decode= has '.jpg': extensions have no leading dot"),
        ({1: "pil"}, "decode= has 1: extensions have no leading dot, as 'jpg'"),
    ],
)
def test_what_cannot_be_is_refused(decode: Any, message: str) -> None:
    """When the dataset is made."""
    with pytest.raises(ConfigError, match=message):
        decoders(decode)


@pytest.mark.parametrize("decode", ["torch", {"jpg": "pil"}])
def test_a_missing_package_shows_at_once(decode: Decode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a worker, hours later; a mapping without images needs none."""
    monkeypatch.setitem(sys.modules, "PIL.BmpImagePlugin", None)
    with pytest.raises(MissingExtraError, match="pillow"):
        decoders(decode)
    decoders({"cls": int})


@pytest.mark.parametrize("decode", [None, "torch", {"jpg": "pil", "txt": str, "mp": "msgpack"}])
def test_they_pickle(decode: Decode | None) -> None:
    """A worker that is spawned gets them so."""
    again = pickle.loads(pickle.dumps(decoders(decode)))
    for field in ("jpg", "txt", "mp"):
        assert again.of(field) is decoders(decode).of(field)


def test_errors_name_decoders() -> None:
    """The names that decode= takes, or the function's own."""
    assert [decoder_name(one) for one in (decode_torch, json.loads, int, saved)] == [
        "torch",
        "json",
        "int",
        "saved",
    ]
