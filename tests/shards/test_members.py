"""MemberPass: the members of a shard, one by one."""

from __future__ import annotations

import gzip
import io
import os

import pytest

from aisio.errors import ShardError
from aisio.shards.members import MemberPass
from tests.tars import gnu_sparse, pack, sparse_content, typed

URL = "ais://b/a.tar"


def members(data: bytes) -> list[tuple[str, bytes]]:
    """Return names and contents."""
    shard = MemberPass(io.BytesIO(data), URL)
    found = []
    while shard.advance():
        assert shard.member is not None
        found.append((shard.member.name, shard.read()))
    assert (shard.count, shard.member) == (len(found), None)
    return found


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_all_files_are_members(compress) -> None:
    """Whatever their names are; folders and devices are none."""
    large = os.urandom(3 << 20)
    data = (
        typed(b"5", "a")
        + typed(b"6", "pipe")
        + gnu_sparse("a/holes")
        + pack(("a/README", b"r"), (".hidden", b""), ("b.tar.gz", large), ("b.tar.gz", b"2"))
    )
    assert members(compress(data)) == [
        ("a/holes", sparse_content()),
        ("a/README", b"r"),
        (".hidden", b""),
        ("b.tar.gz", large),
        ("b.tar.gz", b"2"),
    ]


def test_members_are_passed_over_without_reading() -> None:
    """Also those of many megabytes."""
    data = gnu_sparse("s") + pack(("1", b"x" * (2 << 20)), ("2", b"y"), ("3", b""))
    shard = MemberPass(io.BytesIO(data), URL)
    assert [shard.advance() for _ in range(3)] == [True] * 3
    assert shard.read() == b"y"
    assert [shard.advance() for _ in range(2)] == [True, False]
    assert shard.count == 4


@pytest.mark.parametrize("flag", [b"1", b"2", b"Z"])
def test_a_link_is_refused_where_it_is(flag: bytes) -> None:
    """Its data is elsewhere."""
    shard = MemberPass(io.BytesIO(pack(("1", b"x"))[:1024] + typed(flag, "2", b"x") + pack()), URL)
    assert shard.advance()
    with pytest.raises(ShardError, match="a.tar: member '2' at byte 1024 is ") as caught:
        shard.advance()
    assert (caught.value.url, caught.value.offset) == (URL, 1024)


def test_a_cut_shard_is_an_error() -> None:
    """Behind the members that are whole."""
    shard = MemberPass(io.BytesIO(pack(("1", b"x"), ("2", b"y"))[:2048]), URL)
    assert shard.advance()
    assert shard.advance()
    with pytest.raises(ShardError, match="end-of-archive block is missing .after member '2'"):
        shard.advance()


def test_a_shard_without_members_warns() -> None:
    """It may be a mistake, or the rest of a set."""
    with pytest.warns(UserWarning, match="a.tar: a shard without files"):
        assert members(pack()) == []
