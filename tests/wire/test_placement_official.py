"""Placement agrees with the official SDK's own, which its direct reads rely on."""

from __future__ import annotations

import random

from aistore.sdk.types import Smap

from aisio.urls import ObjectUrl
from aisio.wire.placement import parse_cluster_map
from tests.wire.test_placement import map_body, node

_LETTERS = "abcXYZ019 ._-%?#&+=é漢😀/"


def official_map(body: bytes) -> Smap:
    """Return the SDK's reading of a map."""
    return Smap.model_validate_json(body)


def test_sdk_chooses_the_same_target():
    """2,100 odd names among 1 to 7 targets: the same target, each time."""
    random_names = random.Random(7)
    for count in range(1, 8):
        body = map_body(*(node(f"t{count}x{i}") for i in range(count)), ext=None)
        ours, theirs = parse_cluster_map(body), official_map(body)
        for _ in range(300):
            name = "".join(random_names.choices(_LETTERS, k=random_names.randint(1, 40)))
            chosen = theirs.get_target_for_object(f"ais/@#/bck/{name}")
            assert ours.target_of(ObjectUrl("ais", "bck", name)).id == chosen.daemon_id, name
