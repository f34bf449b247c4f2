"""Prefetch: order, bounds and errors of what is read ahead, and a thread that ends."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from aisio.errors import ConfigError, IntegrityError, NotFoundError, StorageError
from aisio.records import ObjectInfo
from aisio.shards.prefetch import Prefetch, Shard, ShardStream


class Stream(io.BytesIO):
    """A shard's body that may fail at its end."""

    def __init__(self, data: bytes, error: BaseException | None = None) -> None:
        super().__init__(data)
        self._error = error

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        count = super().readinto(buffer[:10])
        if not count and self._error is not None:
            raise self._error
        return count


class Shards:
    """A listing of shards, which remembers the streams that were opened."""

    def __init__(self, *contents: bytes | BaseException) -> None:
        self.contents = contents
        self.opened: list[Stream] = []
        self.changed = threading.Condition()

    def __iter__(self) -> Iterator[Shard]:
        for number, content in enumerate(self.contents):
            yield Shard(ObjectInfo("ais://b", f"{number}.tar"), self.opener(content))

    def opener(self, content: bytes | BaseException) -> Callable[[], ShardStream]:
        def open_shard() -> Stream:
            if isinstance(content, BaseException):
                raise content
            with self.changed:
                self.opened.append(Stream(content))
                self.changed.notify_all()
            return self.opened[-1]

        return open_shard

    def wait_for_opened(self, count: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.opened) >= count, 30)


def read(shard: Shard, piece_bytes: int = 7) -> bytes:
    """Read a shard to its end and close it."""
    stream = shard.open()
    buffer = memoryview(bytearray(piece_bytes))
    found = b""
    while count := stream.readinto(buffer):
        found += buffer[:count]
    stream.close()
    return found


def threads() -> int:
    """Count the threads that read ahead."""
    return sum(thread.name == "aisio-prefetch" for thread in threading.enumerate())


CONTENTS = [bytes([number]) * size for number, size in enumerate((0, 1, 100, 35, 20, 5))]


@pytest.mark.parametrize("limit_bytes", [1, 10, 64, 10_000])
def test_bytes_come_whole_and_in_order(limit_bytes):
    """Whatever is read ahead, each shard gives its bytes once; all are closed, the thread ends."""
    shards = Shards(*CONTENTS)
    with Prefetch(shards, limit_bytes) as prefetch:
        assert [read(shard) for shard in prefetch] == CONTENTS
    assert [stream.closed for stream in shards.opened] == [True] * len(CONTENTS)
    assert threads() == 0


def test_the_next_shards_are_opened_before_the_reader_comes_to_them():
    """While the first is read, the second and the third are opened."""
    shards = Shards(b"a" * 50, b"b" * 50, b"c" * 50)
    with Prefetch(shards, 1 << 22) as prefetch:
        assert next(iter(prefetch)).info.name == "0.tar"
        assert shards.wait_for_opened(3)


def test_no_more_is_held_than_allowed():
    """The reader takes nothing: the thread stops at its bound, inside the first shard."""
    shards = Shards(*[b"x" * 1000] * 5)
    with Prefetch(shards, 100) as prefetch:
        assert shards.wait_for_opened(1)
        first = next(iter(prefetch))
        assert shards.opened[0].tell() <= 100
        assert len(shards.opened) == 1
        assert read(first) == b"x" * 1000


def test_errors_come_in_order():
    """A shard that cannot be opened raises when the reader opens it, and other shards follow."""
    shards = Shards(b"a" * 30, NotFoundError("gone"), b"c" * 30)
    with Prefetch(shards, 10_000) as prefetch:
        assert shards.wait_for_opened(2)  # the third too
        first, second, third = prefetch
        assert read(first) == b"a" * 30
        with pytest.raises(NotFoundError, match="gone"):
            second.open()
        assert read(third) == b"c" * 30


def test_an_error_inside_a_shard_comes_after_its_bytes():
    """The reader gets what was good before, as without prefetching."""
    failing = Stream(b"a" * 25, IntegrityError("wrong checksum"))
    shard = Shard(ObjectInfo("ais://b", "0.tar"), lambda: failing)
    found: list[int] = []
    buffer = memoryview(bytearray(10))
    with Prefetch([shard], 10_000) as prefetch:
        stream = next(iter(prefetch)).open()
        while sum(found) < 25:
            found.append(stream.readinto(buffer))
        with pytest.raises(IntegrityError, match="wrong checksum"):
            stream.readinto(buffer)
        stream.close()


def test_an_error_of_the_listing_comes_last():
    """Shards that were listed before it are read."""

    def listing() -> Iterator[Shard]:
        yield from Shards(b"a")
        raise NotFoundError("no such bucket")

    with Prefetch(listing(), 100) as prefetch:
        shards = iter(prefetch)
        assert read(next(shards)) == b"a"
        with pytest.raises(NotFoundError, match="no such bucket"):
            next(shards)


class Panic(BaseException):
    """What an extension in another language raises: no Exception."""


def test_a_panic_while_listing_is_no_short_epoch():
    """The reader raises what the thread met."""

    def listing() -> Iterator[Shard]:
        yield from Shards(b"a")
        raise Panic

    with Prefetch(listing(), 100) as prefetch:
        shards = iter(prefetch)
        assert read(next(shards)) == b"a"
        with pytest.raises(Panic):
            next(shards)


def test_a_panic_while_opening_comes_in_order():
    """The reader does not wait forever, and other shards follow."""
    with Prefetch(Shards(Panic(), b"b" * 30), 10_000) as prefetch:
        first, second = prefetch
        with pytest.raises(Panic):
            first.open()
        assert read(second) == b"b" * 30


def test_a_panic_inside_a_shard_comes_after_its_bytes():
    """As any other error does."""
    shard = Shard(ObjectInfo("ais://b", "0.tar"), lambda: Stream(b"a" * 25, Panic()))
    with Prefetch([shard], 10_000) as prefetch:
        stream = next(iter(prefetch)).open()
        buffer, got = memoryview(bytearray(10)), 0
        while got < 25:
            got += stream.readinto(buffer)
        with pytest.raises(Panic):
            stream.readinto(buffer)
        stream.close()


class Held(Stream):
    """A body whose first read signals that it has begun, and waits for a signal to go on."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.began = threading.Event()
        self.go = threading.Event()

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Wait for the signal, then read."""
        self.began.set()
        self.go.wait(10)
        return super().readinto(buffer)


def test_closed_shards_give_their_buffers_back():
    """There are four buffers: after five shards that were closed early, the sixth gets one."""
    streams = [Held(b"x" * 100) for _ in range(6)]
    info = ObjectInfo("ais://b", "0.tar")
    shards = [Shard(info, partial(streams.__getitem__, number)) for number in range(6)]
    with Prefetch(shards, 40) as prefetch:
        for stream, shard in zip(streams[:5], prefetch, strict=False):
            assert stream.began.wait(10)
            shard.open().close()
            stream.go.set()
        assert streams[5].began.wait(10)
        streams[5].go.set()


# The thread must not reference the program's own objects, or Python would not close the epoch.
LIVE_AT_EXIT = """
from functools import partial
from io import BytesIO
from aisio.shards import prefetch as shard_prefetch
from aisio.records import ObjectInfo


def epoch():
    open_shard = partial(BytesIO, bytes(10_000))
    shards = [shard_prefetch.Shard(ObjectInfo("ais://b", "0.tar"), open_shard)] * 5
    with shard_prefetch.Prefetch(shards, 4000, join_s=500.0) as prefetch:
        for shard in prefetch:
            stream = shard.open()
            try:
                while stream.readinto(memoryview(bytearray(10))):
                    yield
            finally:
                stream.close()

live = epoch()
next(live)
"""


def test_a_program_ends_at_once_though_an_epoch_is_open():
    """Its thread stands still by then: nobody waits for it, and nothing is printed."""
    done = subprocess.run(
        [sys.executable, "-c", LIVE_AT_EXIT], capture_output=True, text=True, timeout=250
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_stopping_early_closes_what_was_opened(taken):
    """Read ahead or half read: no connection stays open, no thread lives on."""
    shards = Shards(*[b"x" * 1000] * 5)
    with Prefetch(shards, 2500) as prefetch:
        assert shards.wait_for_opened(1)
        for shard, _ in zip(prefetch, range(taken), strict=False):
            stream = shard.open()
            stream.readinto(memoryview(bytearray(5)))
            stream.close()
    assert all(stream.closed for stream in shards.opened)
    assert threads() == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_cannot_go_on_and_does_no_harm():
    """The child has no such thread: it gets an error that says so, and the parent reads on."""
    shards = Shards(b"a" * 500, b"b" * 500)
    with Prefetch(shards, 100) as prefetch:
        iterator = iter(prefetch)
        stream = next(iterator).open()
        pid = os.fork()
        if not pid:
            with pytest.raises(StorageError, match="before the fork"):
                next(iterator)
            stream.close()
            prefetch.stop()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        stream.close()
        assert read(next(iterator)) == b"b" * 500


def test_a_bound_below_one_byte_is_refused():
    """Reading nothing ahead is no prefetching."""
    with pytest.raises(ConfigError, match="limit_bytes=0"):
        Prefetch([], 0)
