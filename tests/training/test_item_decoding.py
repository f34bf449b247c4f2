"""Decoding in a pipeline."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch  # noqa: F401

from aisio.errors import ConfigError, DecodeError
from aisio.training.item_decoding import DecodeItem


def test_fields_and_objects_by_extension() -> None:
    """Of samples, dicts and objects; what has no decoder stays bytes, and empty is None."""
    decode = DecodeItem("torch", "decode")
    fields = {"cls": b"7", "json": b"[1]", "bin": b"\0", "txt": b"", "seg.json": b"{}"}
    wanted = {"cls": 7, "json": [1], "bin": b"\0", "txt": None, "seg.json": {}}
    assert decode(("a/1", fields)) == ("a/1", wanted)
    assert decode({"__key__": "1", "cls": b"3"}) == {"__key__": "1", "cls": 3}
    assert decode(("a.b/1.json", b"[2]")) == ("a.b/1.json", [2])
    assert decode(("a.json/1", b"[2]")) == ("a.json/1", b"[2]")


def test_errors_name_sample_and_field() -> None:
    """Not the bytes."""
    with pytest.raises(
        DecodeError, match=r"field 'cls' of 3 bytes of 'a/1' cannot be decoded by int"
    ):
        DecodeItem("pil", "decode")(("a/1", {"cls": b"dog"}))
    for item in ([1, 2, 3], (b"GIF", b"7"), b"7"):
        with pytest.raises(ConfigError, match="needs samples with fields"):
            DecodeItem("pil", "decode")(item)


def test_decoders_that_no_field_has_are_named() -> None:
    """A misspelt extension would leave the field bytes; once is enough."""
    decode = DecodeItem({"jpgg": len, "cls": "int"}, "Reader")
    with pytest.warns(UserWarning, match=r"<Reader> \.decode\(\) has decoders for 'jpgg', but .*"):
        assert decode(("1", {"jpg": b"x", "cls": b"7"})) == ("1", {"jpg": b"x", "cls": 7})
    decode(("2", {"jpg": b"x", "cls": b"8"}))


@pytest.mark.parametrize("decode", [None, {}, "jpeg", {".jpg": int}, {"cls": 3}])
def test_decoders_that_cannot_be_meant_are_refused(decode: Any) -> None:
    """When the pipeline is made."""
    with pytest.raises(ConfigError):
        DecodeItem(decode, "decode")


def test_it_pickles() -> None:
    """Workers may be spawned."""
    assert pickle.loads(pickle.dumps(DecodeItem({"a": "int"}, "x")))(("n", {"a": b"1"})) == (
        "n",
        {"a": 1},
    )
