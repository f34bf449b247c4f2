"""MemberStream and MemberZip: members in step, and where they are not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from aisio.errors import ConfigError, IntegrityError, ShardError
from aisio.records import ObjectInfo
from aisio.shards.prefetch import Shard
from aisio.training.member_stream import (
    MemberPlace,
    MemberStream,
    MemberZip,
    require_match,
)
from tests.tars import pack


class Opened(io.BytesIO):
    """An open shard that is counted."""

    open = 0

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        Opened.open += 1

    def close(self) -> None:
        Opened.open -= not self.closed
        super().close()


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """Whatever happens, each shard that was opened is closed."""
    Opened.open = 0
    yield
    assert Opened.open == 0


def stream(letter: str, *shards: list[str], first: int = 0) -> MemberStream:
    """Return a stream of shards with members of these names; each holds its name."""

    def shard(number: int, names: list[str]) -> Shard:
        data = pack(*((name, name.encode()) for name in names))
        return Shard(ObjectInfo("ais://b", f"{letter}{number}.tar"), lambda: Opened(data))

    made = (shard(number + first, names) for number, names in enumerate(shards))
    return MemberStream(f"stream {letter}", made, first)


def zipped(members: MemberZip) -> list[tuple[bytes, ...]]:
    """Return what a zip reads to its end."""
    with members:
        found = []
        while members.advance():
            found.append(members.read())
        return found


def test_shards_follow_each_other() -> None:
    """Each place is that of its shard; one is open at a time."""
    one = stream("a", ["1", "2"], ["3"], first=4)
    places = []
    while one.advance():
        places.append(one.place)
        assert Opened.open == 1
    assert places == [
        MemberPlace(4, "ais://b/a4.tar", 0, "1"),
        MemberPlace(4, "ais://b/a4.tar", 1, "2"),
        MemberPlace(5, "ais://b/a5.tar", 0, "3"),
    ]
    assert (one.place, one.last, one.advance()) == (None, places[-1], False)


@pytest.mark.filterwarnings("ignore:.*without files:UserWarning")
def test_streams_may_have_other_shards() -> None:
    """Only the members are counted."""
    one = stream("a", ["1", "2"], [], ["3"])
    other = stream("b", ["4"], ["5", "6"])
    members = MemberZip([one, other])
    assert zipped(members) == [(b"1", b"4"), (b"2", b"5"), (b"3", b"6")]
    assert members.uneven_end() == ""


@pytest.mark.filterwarnings("ignore:.*without files:UserWarning")
def test_an_uneven_end_names_all_streams() -> None:
    """Which ended where, and which go on with what."""
    members = MemberZip([stream("a", ["1"], ["2"]), stream("b", ["3"]), stream("c", ["4", "5"])])
    assert zipped(members) == [(b"1", b"3", b"4")]
    assert members.uneven_end() == (
        "stream b ended behind member '3' of ais://b/b0.tar; stream a goes on with member '2' of"
        " ais://b/a1.tar; stream c goes on with member '5' of ais://b/c0.tar"
    )
    members = MemberZip([stream("a", ["1"]), stream("b", [])])
    assert zipped(members) == []
    assert members.uneven_end().startswith("stream b ended without a member; stream a goes on")


def test_by_shard_shards_must_be_equal() -> None:
    """The n-th of all streams; a total that is equal is not enough."""
    members = MemberZip([stream("a", ["1", "2"], ["3"])], by_shard=True)
    assert zipped(members) == [(b"1",), (b"2",), (b"3",)]
    streams = [stream("a", ["1"], ["2", "3"]), stream("b", ["4", "5"], ["6"])]
    with pytest.raises(
        ShardError,
        match="stream b goes on with member '5' of ais://b/b0.tar, its number 2, where stream a has"
        " no more in its shard behind member '2' of ais://b/a1.tar",
    ):
        zipped(MemberZip(streams, by_shard=True))
    with pytest.raises(ShardError, match="stream b goes on .* where stream a has no more"):
        zipped(MemberZip([stream("a", ["1"]), stream("b", ["2"], ["3"])], by_shard=True))


def test_names_may_have_to_match() -> None:
    """By the whole key, or by its last part."""

    def both(match: Any) -> list[tuple[bytes, ...]]:
        streams = [stream("a", ["./x/1.jpg", "x/README"]), stream("b", ["y/1.cls", "x/README"])]
        return zipped(MemberZip(streams, match=match, owner="It"))

    assert len(both(None)) == len(both("basename")) == 2
    with pytest.raises(
        ShardError,
        match="<It> match='key': stream a has member './x/1.jpg' of ais://b/a0.tar, and stream b"
        " has member 'y/1.cls' of ais://b/b0.tar: they do not belong together",
    ):
        both("key")
    for value in ("name", True):
        with pytest.raises(ConfigError, match="match="):
            require_match(value)


def test_errors_name_the_stream() -> None:
    """And keep class and attributes; a damaged tar has its offset."""

    class Broken(Opened):
        def readinto(self, buffer: Any) -> int:
            count = super().readinto(buffer)
            if not count:
                raise IntegrityError("ais://b/x.tar: wrong checksum", url="ais://b/x.tar")
            return count

    info = ObjectInfo("ais://b", "x.tar")
    one = MemberStream("stream 7", [Shard(info, lambda: Broken(pack(("1", b"x"))))])
    with pytest.raises(IntegrityError) as caught:
        zipped(MemberZip([one]))
    assert str(caught.value) == ("stream 7, in member '1' at byte 0: ais://b/x.tar: wrong checksum")
    assert caught.value.url == "ais://b/x.tar"
    data = bytearray(pack(("1", b"x"), ("2", b"y")))
    data[1024] ^= 1
    one = MemberStream("stream 7", [Shard(info, lambda: Opened(bytes(data)))])
    with pytest.raises(ShardError) as damaged:
        zipped(MemberZip([one]))
    assert str(damaged.value).startswith(
        "stream 7: ais://b/x.tar: damaged at byte 1024 (after member '1'): "
    )
    assert damaged.value.offset == 1024
