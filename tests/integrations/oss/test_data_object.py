"""Objects as transforms of the OSS connector's datasets get them."""

from __future__ import annotations

import pickle

import torch  # noqa: F401

from aisio.integrations.oss.data_object import OssDataObject
from aisio.records import ObjectInfo


def test_oss_04_it_has_what_the_connectors_has() -> None:
    """Key, size and label; read, seek, readline, readinto; errors are raised, not kept."""
    one = OssDataObject(None, ObjectInfo("oss://bucket", "a/b.txt", label="7"), b"one\ntwo\n")
    with one:
        assert (one.key, one.size, one.label) == ("/bucket/a/b.txt", 8, "7")
        assert (one.url, one.bucket, one.name) == ("oss://bucket/a/b.txt", "bucket", "a/b.txt")
        assert (one.readline(), one.read(2), one.tell()) == (b"one\n", b"tw", 6)
        assert (one.err(), one.error_msg()) == (0, "")
        buffer = bytearray(3)
        one.seek(1, 0)
        assert (one.readinto(buffer), bytes(buffer)) == (3, b"ne\n")


def test_a_copy_has_a_position_of_its_own() -> None:
    """As what is pickled has."""
    one = OssDataObject(None, ObjectInfo("oss://bucket", "a", label="7"), b"abcd")
    one.seek(2)
    for other in (one.copy(), pickle.loads(pickle.dumps(one))):
        assert isinstance(other, OssDataObject)
        assert (other.key, other.label, other.read(1), one.tell()) == ("/bucket/a", "7", b"c", 2)
