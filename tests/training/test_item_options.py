"""ItemOptions: what contradicts itself is found before a shard is read."""

from __future__ import annotations

from typing import Any

import pytest
import torch  # noqa: F401

from aisio.errors import ConfigError
from aisio.training.item_options import ItemOptions


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"on_error": "ignore"}, 'on_error=\'ignore\': "raise" or "skip"'),
        ({"keys": ["a"], "fields": ["a"]}, "<Data> keys= names the fields of dicts"),
        ({"keys": ["__key__"]}, "only fields= takes it"),
        ({"transform": 1}, "transform=1 cannot be called"),
        ({"label_from": "folder", "fields": ["jpg"]}, "makes a field 'cls'"),
        ({"classes": ["a"]}, "classes"),
    ],
)
def test_arguments_that_cannot_be_right(options: dict[str, Any], text: str) -> None:
    """The error names the argument."""
    with pytest.raises(ConfigError, match=text):
        ItemOptions(**options).check("Data")


def test_made_fields_are_not_read_from_the_shard() -> None:
    """The key always, the label where it is made."""
    names = ("jpg", "cls", "__key__")
    assert ItemOptions().stored(names) == ("jpg", "cls")
    assert ItemOptions(label_from="folder").stored(names) == ("jpg",)
    assert ItemOptions().stored(None) is None
