"""Identifiers and names, as anylearn makes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aisio.tasks.records.ids import name_by_path, new_id, random_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data", "data-a17c9aaa"),
        ("./data", "data-a17c9aaa"),
        (Path("data"), "data-a17c9aaa"),
        ("/x/my data", "my data-e3ebfb94"),
    ],
)
def test_any_03_names_are_the_vendors(path, name):
    """As anylearn 0.15.5 made them."""
    assert name_by_path(path) == name


def test_ids_say_what_they_are_of():
    """32 characters, never twice."""
    ids = {new_id("DSET") for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"DSET[0-9a-f]{28}", one) for one in ids)


def test_random_names_have_eight_different_characters():
    """Letters and digits."""
    name = random_name()
    assert re.fullmatch(r"[a-z0-9]{8}", name)
    assert len(set(name)) == 8
