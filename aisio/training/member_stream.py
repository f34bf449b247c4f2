"""MemberStream: the members of several shards in a row; MemberZip: several streams in step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from aisio.errors import AisioError, ConfigError, ShardError
from aisio.escapes import one_line
from aisio.shards.members import MemberPass
from aisio.shards.prefetch import Shard, ShardStream
from aisio.shards.samples import split_name
from aisio.training.whole_number import whole_number

__all__ = [
    "Match",
    "MemberPlace",
    "MemberStream",
    "MemberZip",
    "Places",
    "places_of",
    "require_match",
]

Match: TypeAlias = Literal["key", "basename"]
"""What the names of members that are yielded together must have in common: the path up to the first
dot of the last part, or that without its folders."""


def require_match(value: object) -> None:
    """Refuse what is neither a `Match` nor None.

    Raises:
        ConfigError: It is neither.
    """
    if value is not None and value not in get_args(Match):
        raise ConfigError(f'match={value!r}: "key", "basename" or None is needed')


class MemberPlace(NamedTuple):
    """Where a stream stands.

    Attributes:
        shard: Number of the shard among those of the stream.
        url: Its URL.
        member: Number of the member in the shard.
        name: Its name.
    """

    shard: int
    url: str
    member: int
    name: str

    def __str__(self) -> str:
        return f"member {self.name!r} of {one_line(self.url)}"


Places: TypeAlias = "tuple[MemberPlace, ...]"
"""Where several streams stand."""


def places_of(value: Any) -> Places:
    """Return the places that a state has.

    Raises:
        ConfigError: They are none.
    """
    try:
        places = tuple(MemberPlace(*place) for place in value)
        for place in places:
            whole_number("shard", place.shard, 0)
            whole_number("member", place.member, 0)
        return places
    except TypeError as error:
        raise ConfigError(f"places={value!r:.80} are no places: the state is damaged") from error


class MemberStream:
    """The members of some shards, one shard after the other.

    Args:
        label: What names the stream in errors.
        shards: The shards.
        first: Number of the first of them in the stream.

    Attributes:
        label: What names the stream in errors.
        place: Where it stands; None before the first member, and behind the last.
        last: The last member that it has come to; None if there was none.
    """

    def __init__(self, label: str, shards: Iterable[Shard], first: int = 0) -> None:
        self.label = label
        self._shards = iter(shards)
        self._next_shard = first
        self._open: ShardStream | None = None
        self._pass: MemberPass | None = None
        self._url = ""
        self.place: MemberPlace | None = None
        self.last: MemberPlace | None = None

    def advance(self) -> bool:
        """Go to the next member; return whether there is one.

        Raises:
            AisioError: What the store, the listing or the parser raises; the text has the stream.
        """
        with self._labelled():
            while self._pass is None or not self._pass.advance():
                self.close()
                shard = next(self._shards, None)
                if shard is None:
                    self.place = None
                    return False
                self._url = shard.info.url
                self._next_shard += 1
                self._open = shard.open()
                self._pass = MemberPass(self._open, self._url, shard.links)
        assert self._pass.member is not None
        number, name = self._pass.count - 1, self._pass.member.name
        self.place = self.last = MemberPlace(self._next_shard - 1, self._url, number, name)
        return True

    def read(self) -> bytes:
        """Return the content of the member at which it stands; once. Errors as for `advance`."""
        assert self._pass is not None
        with self._labelled():
            return self._pass.read()

    def close(self) -> None:
        """Release the connection of the shard that is read."""
        self._pass = None
        if self._open is not None:
            stream, self._open = self._open, None
            stream.close()

    @contextmanager
    def _labelled(self) -> Iterator[None]:
        """Begin the text of an error with the stream that has met it, and where."""
        try:
            yield
        except AisioError as error:
            where = ""
            if not isinstance(error, ShardError) and self._pass and self._pass.member:
                member = self._pass.member
                where = f", in member {member.name!r} at byte {member.offset}"
            # Of any class, with the attributes that it has.
            error.args = (f"{self.label}{where}: {error}",)
            raise


class MemberZip:
    """Streams that go on together, from one member of each to the next.

    Args:
        streams: The streams.
        by_shard: The n-th shards of all streams belong together, and must have as many members.
        match: See `Match`; None compares nothing.
        owner: Name of the class that reads, for errors.

    Attributes:
        streams: The streams.
    """

    def __init__(
        self,
        streams: Sequence[MemberStream],
        *,
        by_shard: bool = False,
        match: Match | None = None,
        owner: str = "",
    ) -> None:
        self.streams = streams
        self._by_shard = by_shard
        self._match = match
        self._owner = owner

    def __enter__(self) -> MemberZip:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in self.streams:
            stream.close()

    def advance(self) -> bool:
        """Go to the next member of each stream; return whether all have one.

        Raises:
            ShardError: The names of these members do not match; by shard: a shard has more members
                than those of the other streams.
            AisioError: See `MemberStream.advance`.
        """
        have_more = [stream.advance() for stream in self.streams]
        if self._by_shard:
            self._require_same_shard()
        if not all(have_more):
            return False
        if self._match is not None:
            self._require_match(self._match)
        return True

    def read(self) -> tuple[bytes, ...]:
        """Return the contents of the members at which the streams stand; once."""
        return tuple(stream.read() for stream in self.streams)

    def places(self) -> tuple[MemberPlace, ...]:
        """Return where the streams stand, once all have a member."""
        return tuple(stream.place for stream in self.streams if stream.place is not None)

    def uneven_end(self) -> str:
        """Return, behind the last `advance`, which streams ended and which go on; "" for none."""
        goes_on = [stream for stream in self.streams if stream.place is not None]
        if not goes_on:
            return ""
        ended = [stream for stream in self.streams if stream.place is None]
        return (
            "; ".join(f"{one.label} ended{_behind(one.last)}" for one in ended)
            + "; "
            + "; ".join(f"{one.label} goes on with {one.place}" for one in goes_on)
        )

    def _require_same_shard(self) -> None:
        shards = [stream.place.shard if stream.place else None for stream in self.streams]
        if len(set(shards)) == 1:
            return
        first = min(shard for shard in shards if shard is not None)
        longer = self.streams[shards.index(first)]
        shorter = next(one for one in self.streams if not one.place or one.place.shard != first)
        assert longer.place is not None
        raise ShardError(
            f"<{self._owner}> split_by='shard': the n-th shards of all streams need as many"
            f" members: {longer.label} goes on with {longer.place}, its number"
            f" {longer.place.member + 1:,}, where {shorter.label} has no more in its shard"
            f"{_behind(shorter.last)}: repack them, or use split_by='member'",
            url=longer.place.url,
        )

    def _require_match(self, match: Match) -> None:
        places = self.places()
        keys = [_key_of(place.name, match) for place in places]
        for stream, place, key in zip(self.streams, places, keys, strict=True):
            if key != keys[0]:
                raise ShardError(
                    f"<{self._owner}> match={match!r}: {self.streams[0].label} has {places[0]}, and"
                    f" {stream.label} has {place}: they do not belong together",
                    url=place.url,
                )


def _behind(place: MemberPlace | None) -> str:
    return f" behind {place}" if place is not None else " without a member"


def _key_of(name: str, match: Match) -> str:
    split = split_name(name)
    key = split[0] if split is not None else name
    return key if match == "key" else key[key.rfind("/") + 1 :]
