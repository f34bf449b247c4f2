"""What is done to the fields of a sample."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from aisio.errors import ConfigError, ShardError
from aisio.transforms.fields import MapDict, MapTuple, Rename, ToTuple

SAMPLE = ("a/1", {"png": b"image", "cls": b"3", "txt": b""})
WDS_SAMPLE = {"__key__": "a/1", "png": b"image", "cls": b"3", "txt": b""}


@pytest.mark.parametrize("sample", [SAMPLE, WDS_SAMPLE])
def test_to_tuple_takes_fields_by_name(sample: Any) -> None:
    """Also the first of several, and several in one text, as webdataset has it."""
    assert ToTuple(["jpg;png", "cls"], False)(sample) == (b"image", b"3")
    assert ToTuple(["jpg;png cls"], False)(sample) == (b"image", b"3")
    assert ToTuple(["__key__", "cls"], False)(sample) == ("a/1", b"3")


def test_to_tuple_names_the_field_that_a_sample_lacks() -> None:
    """An empty one counts as missing, as aisio's datasets pad samples with those."""
    with pytest.raises(
        ShardError, match=r"sample 'a/1' has no field 'jpg;jpeg'; it has 'png', 'cls'"
    ):
        ToTuple(["jpg;jpeg"], False)(SAMPLE)
    with pytest.raises(ShardError, match=r"nothing in its field 'txt'.*allow_empty=True gives it"):
        ToTuple(["png", "txt"], False)(SAMPLE)
    assert ToTuple(["png", "txt"], True)(SAMPLE) == (b"image", b"")
    with pytest.raises(ShardError, match="has no field 'jpg'"):
        ToTuple(["jpg"], True)(SAMPLE)


@pytest.mark.parametrize("sample", [SAMPLE, WDS_SAMPLE])
def test_rename_replaces_old_names(sample: Any) -> None:
    """The other fields stay."""
    renamed = Rename({"image": "jpg;png", "label": "cls"})(sample)
    fields = renamed if isinstance(renamed, dict) else renamed[1]
    assert {name for name in fields if name != "__key__"} == {"image", "label", "txt"}
    assert fields["image"] == b"image"
    with pytest.raises(ShardError, match="no field 'jpg'"):
        Rename({"image": "jpg"})(sample)


def test_functions_of_fields_and_values() -> None:
    """Each gets its own."""
    assert MapDict({"cls": int})(SAMPLE)[1]["cls"] == 3
    assert MapTuple((len, int))((b"image", b"3")) == (5, 3)
    with pytest.raises(ShardError, match="no field 'class'"):
        MapDict({"class": int})(SAMPLE)
    with pytest.raises(ConfigError, match=r"has 1 functions, and got a tuple of 2"):
        MapTuple((len,))((1, 2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ToTuple([], False),
        lambda: ToTuple([1], False),
        lambda: ToTuple([" "], False),
        lambda: Rename({}),
        lambda: Rename({"image": ""}),
        lambda: MapDict({}),
        lambda: MapDict({"cls": 1}),  # type: ignore[dict-item]
        lambda: MapTuple(()),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(make: Callable[[], object]) -> None:
    """When the pipeline is made."""
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize("item", [b"bytes", ("name", b"bytes"), (b"image", 3, 4)])
def test_what_has_no_fields_is_named(item: Any) -> None:
    """Such as a tuple, behind to_tuple."""
    with pytest.raises(ConfigError, match=r"\.rename\(\) needs samples with fields.* fields="):
        Rename({"image": "jpg"})(item)


def test_they_pickle() -> None:
    """Workers may be spawned."""
    for one in (ToTuple(["png"], False), Rename({"a": "png"}), MapDict({"cls": int})):
        assert pickle.loads(pickle.dumps(one))(SAMPLE) == one(SAMPLE)
    assert pickle.loads(pickle.dumps(MapTuple((len,))))((b"12",)) == (2,)
