"""Samples: names cut into key and field, and ZeroDict."""

from __future__ import annotations

import copy
import pickle

import pytest

from aisio.shards.samples import ZeroDict, split_name


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("0001.jpg", ("0001", "jpg")),
        ("0001.left.png", ("0001", "left.png")),
        ("v1.0/train/0001.jpg", ("v1.0/train/0001", "jpg")),
        ("./0001.jpg", ("0001", "jpg")),
        ("././/a/0001.jpg", ("a/0001", "jpg")),
        ("/abs/0001.jpg", ("/abs/0001", "jpg")),
        ("a b/größe.jpg", ("a b/größe", "jpg")),
        ("a/0001..jpg", ("a/0001", ".jpg")),
        ("a/..jpg", None),
        ("README", None),
        ("v1.0/README", None),
        ("README.", None),
        (".DS_Store", None),
        ("train/._0001.jpg", None),
        ("./.hidden.jpg", None),
        ("folder.d/", None),
        (".", None),
        ("./", None),
    ],
)
def test_names_are_cut_at_the_first_dot_of_the_last_part(name: str, split: tuple[str, str] | None):
    """AIS-13: dots in folders, names without extension and hidden files do no harm."""
    assert split_name(name) == split


def test_zero_dict_pads_and_orders():
    """AIS-12: lacking fields are b"", the order is that of the keys, others are a KeyError."""
    fields = ZeroDict({"jpg": b"J", "cls": b"7", "new": b"N"}, ("cls", "jpg", "txt"))
    assert list(fields.items()) == [("cls", b"7"), ("jpg", b"J"), ("txt", b""), ("new", b"N")]
    with pytest.raises(KeyError):
        fields["png"]
    assert "png" not in fields


def test_zero_dict_pickles_and_copies_as_itself():
    """AIS-12: it travels between processes, and torch's collate copies it."""
    fields = ZeroDict({"jpg": b"J"}, ("cls", "jpg"))
    for twin in (pickle.loads(pickle.dumps(fields)), copy.copy(fields), copy.deepcopy(fields)):
        assert type(twin) is ZeroDict
        assert list(twin.items()) == list(fields.items())
    assert type(ZeroDict({"jpg": b"J"})) is ZeroDict
