"""AISShardReader goes on in the shard that it was in, without reading what it yielded."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the reader needs it

from aisio import AISShardReader
from aisio.errors import ConfigError, ShardError
from aisio.gateway import Gateway
from aisio.training.shard_iteration import ShardIteration
from tests.tars import pack

COUNTS = (5, 1, 9, 4)
KEYS = [f"{shard}{sample:02d}" for shard, count in enumerate(COUNTS) for sample in range(count)]
SAMPLE_BYTES = 2 * 1024  # two fields, a header and a block each


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the user an empty cache."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of shards that have no index."""
    folder = tmp_path / "root" / "bucket" / "data"
    folder.mkdir(parents=True)
    for shard, count in enumerate(COUNTS):
        (folder / f"{shard}.tar").write_bytes(shard_of(shard, count))
    return folder


def shard_of(shard: int, count: int) -> bytes:
    """Return a shard of some samples."""
    return pack(*((f"{shard}{sample:02d}.{end}", b"x") for sample in range(count) for end in "ab"))


def state_behind(reader: AISShardReader, count: int) -> Any:
    """Return the state behind some samples."""
    samples = iter(reader)
    assert len(list(islice(samples, count))) == count
    state = json.loads(json.dumps(iteration(samples).state_dict()))
    iteration(samples).close()
    return state


def rest(reader: AISShardReader, state: Any) -> list[str]:
    """Return the keys of the samples behind a state."""
    samples = iteration(iter(reader))
    samples.load_state_dict(state)
    return [key for key, _ in samples]


def iteration(samples: Any) -> ShardIteration:
    """Return the iteration of a reader."""
    assert isinstance(samples, ShardIteration)
    return samples


READERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "interleaved": {"interleaved": True},
    "keys": {"keys": ["a"]},
    "nothing ahead": {"prefetch_bytes": 0},
    "bad shards skipped": {"on_error": "skip"},
    "a rank": {"ranks": (1, 2)},
    "equal": {"equalize": "drop", "ranks": (1, 2)},
    "padded": {"equalize": "pad", "ranks": (4, 5)},
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("has_index", [False, True])
def test_it_goes_on_behind_any_sample(folder: Path, kind: str, has_index: bool) -> None:
    """Also behind the first one and the last one, and again from there."""
    (folder / "3.tar").unlink()
    (folder / "3.tar.gz").write_bytes(gzip.compress(shard_of(3, COUNTS[3])))
    options = READERS[kind]
    if has_index or "equalize" in options:
        list(AISShardReader(folder, index="build"))
    whole = [key for key, _ in AISShardReader(folder, **options)]
    for count in range(len(whole) + 1):
        reader = AISShardReader(folder, **options)
        state = state_behind(reader, count)
        assert rest(reader, state) == whole[count:]
        samples = iteration(iter(reader))
        samples.load_state_dict(state)
        assert samples.state_dict() == state | {"fields": tuple(state["fields"])}
        assert [key for key, _ in islice(samples, 1)] == whole[count : count + 1]
        assert rest(reader, samples.state_dict()) == whole[count + 1 :]


@pytest.mark.parametrize(
    ("options", "count", "read", "requests"),
    [
        ({}, 8, 7 * SAMPLE_BYTES + 4 * SAMPLE_BYTES + 1024, 2),
        ({}, 6, 9 * SAMPLE_BYTES + 1024 + 4 * SAMPLE_BYTES + 1024, 2),
        ({}, 15, 4 * SAMPLE_BYTES + 1024, 1),
        ({"ranks": (0, 2)}, 8, 6 * SAMPLE_BYTES, 1),
        ({"equalize": "drop", "ranks": (1, 2)}, 2, (4 + 3) * SAMPLE_BYTES, 2),
    ],
)
def test_by_the_index_nothing_is_read_again(
    folder: Path, options: dict[str, Any], count: int, read: int, requests: int
) -> None:
    """Of the shard under way the rest, by a ranged request; none of a shard that was yielded."""
    with Gateway(folder.parent.parent) as gateway:
        url = "ais://bucket/data/"
        list(AISShardReader(url, endpoint=gateway.endpoint, index="build"))
        state = state_behind(AISShardReader(url, endpoint=gateway.endpoint, **options), count)
        reader = AISShardReader(url, endpoint=gateway.endpoint, **options)
        whole = [key for key, _ in AISShardReader(url, endpoint=gateway.endpoint, **options)]
        reader.count()  # lists the shards
        assert rest(reader, state) == whole[count:]
        stats = reader.stats()
        assert (stats["bytes_read"], stats["requests"]) == (read, requests)


def test_without_an_index_the_shard_under_way_is_read_again(folder: Path) -> None:
    """Those before it are not."""
    with Gateway(folder.parent.parent) as gateway:
        url = "ais://bucket/data/"
        state = state_behind(AISShardReader(url, endpoint=gateway.endpoint), 8)
        reader = AISShardReader(url, endpoint=gateway.endpoint)
        assert rest(reader, state) == KEYS[8:]
        sizes = [(folder / f"{shard}.tar").stat().st_size for shard in (2, 3)]
        assert reader.stats()["bytes_read"] == sum(sizes)


def test_a_bad_shard_is_skipped_at_the_same_place(folder: Path) -> None:
    """And what was skipped before is passed over."""
    (folder / "0.tar").write_bytes(shard_of(0, 5)[: 3 * SAMPLE_BYTES])
    data = bytearray(shard_of(2, 9))
    data[5 * SAMPLE_BYTES] ^= 1
    (folder / "2.tar").write_bytes(data)
    whole = [key for key, _ in AISShardReader(folder, on_error="skip")]
    assert whole == [*KEYS[:2], *KEYS[5:10], *KEYS[15:]]
    reader = AISShardReader(folder, on_error="skip")
    for count in range(len(whole) + 1):
        assert rest(reader, state_behind(reader, count)) == whole[count:]
    state = state_behind(reader, 6)
    reader = AISShardReader(folder, on_error="skip")
    assert rest(reader, state) == whole[6:]
    assert [entry.samples_given for entry in reader.quarantine] == [4]


def test_samples_have_the_fields_that_were_learned(folder: Path) -> None:
    """Not those of the first samples behind the state."""
    (folder / "3.tar").write_bytes(pack(("300.a", b"x"), ("301.a", b"x")))
    reader = AISShardReader(folder)
    samples = iteration(iter(reader))
    samples.load_state_dict(state_behind(reader, 15))
    assert [dict(fields) for _, fields in samples] == [{"a": b"x", "b": b""}] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"partition": [0, 2, 0, 1]}, r"the state is of \(rank, ranks, .*\[0, 2, 0, 1\], and"),
        ({"shard": -1}, "shard=-1 is not a whole number"),
        ({"samples": "1"}, "samples='1' is not a whole number"),
        ({"name": None}, "name=None, .* the state is damaged"),
        ({"fields": "a"}, "fields='a': the state is damaged"),
        ({"last": None}, "last=None: the state is damaged"),
    ],
)
def test_a_state_that_cannot_be_right_is_refused(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    """The iteration stays where it was."""
    samples = iteration(iter(AISShardReader(folder)))
    next(samples)
    with pytest.raises(ConfigError, match=message):
        samples.load_state_dict(samples.state_dict() | change)
    assert [key for key, _ in samples] == KEYS[1:]


@pytest.mark.parametrize("options", [{}, {"equalize": "pad"}])
def test_shards_that_came_or_went_are_noticed(folder: Path, options: dict[str, Any]) -> None:
    """Behind the place of the state they change nothing."""
    list(AISShardReader(folder, index="build"))
    state = state_behind(AISShardReader(folder, **options), 8)
    (folder / "4.tar").write_bytes(shard_of(4, 2))
    list(AISShardReader(folder, index="build"))
    assert rest(AISShardReader(folder, **options), state) == [*KEYS[8:], "400", "401"]
    for gone, now in [("0.tar", "'.*3.tar'"), ("3.tar", "'.*4.tar'"), ("4.tar", "None")]:
        (folder / gone).unlink()
        with pytest.raises(ConfigError, match=f"saved in '.*2.tar', shard 2 .*is now {now}"):
            rest(AISShardReader(folder, **options), state)


@pytest.mark.parametrize(("has_index", "error"), [(False, ShardError), (True, ConfigError)])
def test_a_shard_that_is_shorter_now_is_noticed(
    folder: Path, has_index: bool, error: type[Exception]
) -> None:
    """Without an index when it was read."""
    state = state_behind(AISShardReader(folder), 12)
    (folder / "2.tar").write_bytes(shard_of(2, 3))
    if has_index:
        list(AISShardReader(folder, index="build"))
    with pytest.raises(error, match="2.tar.* (it has 3: it was|which has 3 now)"):
        rest(AISShardReader(folder), state)


@pytest.mark.parametrize("has_index", [False, True])
@pytest.mark.parametrize("options", [{}, {"on_error": "skip"}, {"equalize": "drop"}])
@pytest.mark.parametrize("count", [9, 20])
def test_other_samples_in_the_shard_under_way_are_noticed(
    folder: Path, has_index: bool, options: dict[str, Any], count: int
) -> None:
    """As many or more of them would be taken for the rest of those that were there."""
    has_index = has_index or "equalize" in options
    if has_index:
        list(AISShardReader(folder, index="build"))
    state = state_behind(AISShardReader(folder, **options), 12)
    (folder / "2.tar").write_bytes(shard_of(8, count))
    if has_index:
        list(AISShardReader(folder, index="build"))
    with pytest.raises(ConfigError, match="sample '205' .*2.tar.*, sample 6 of it, .* now '805'"):
        rest(AISShardReader(folder, **options), state)


def test_a_state_of_before_it_had_the_last_key_is_taken(folder: Path) -> None:
    """Then the numbers alone are compared."""
    state = state_behind(AISShardReader(folder), 12)
    assert state.pop("last") == "205"
    assert rest(AISShardReader(folder), state) == KEYS[12:]


def keys_and_errors(samples: Any, most: int = 99) -> list[str]:
    """Return the keys that a loop gets which goes on after errors; "!" for an error."""
    got: list[str] = []
    for _ in range(most):
        try:
            got.append(next(samples)[0])
        except StopIteration:
            return got
        except (ShardError, ValueError):
            got.append("!")
    return got


def refuse_some(item: Any) -> Any:
    """Refuse the samples whose keys end in 1; a transform."""
    if item[0].endswith("1"):
        raise ValueError(item[0])
    return item


def refuse_x(data: bytes) -> bytes:
    """Refuse what all fields have; a decoder."""
    raise ValueError(data)


@pytest.mark.parametrize("kind", [kind for kind in READERS if kind != "bad shards skipped"])
@pytest.mark.parametrize("has_index", [False, True])
def test_after_an_error_of_a_function_the_samples_behind_it_come(
    folder: Path, kind: str, has_index: bool
) -> None:
    """A loop that skips errors does not take the rest of an epoch for read."""
    options = READERS[kind]
    if has_index or "equalize" in options:
        list(AISShardReader(folder, index="build"))
    whole = [key for key, _ in AISShardReader(folder, **options)]
    expected = ["!" if key.endswith("1") else key for key in whole]
    samples = iteration(iter(AISShardReader(folder, transform=refuse_some, **options)))
    assert keys_and_errors(samples) == expected
    decoded = AISShardReader(folder, decode={"a": refuse_x}, **options)
    assert keys_and_errors(iter(decoded)) == ["!"] * len(whole)


def test_an_interrupt_loses_no_sample(folder: Path) -> None:
    """It comes again: a notebook may iterate on."""
    interrupts = [KeyboardInterrupt]

    def interrupted(item: Any) -> Any:
        if item[0] == "203" and interrupts:
            raise interrupts.pop()
        return item

    samples = iteration(iter(AISShardReader(folder, transform=interrupted)))
    got = [key for key, _ in islice(samples, 9)]
    with pytest.raises(KeyboardInterrupt):
        next(samples)
    assert got + [key for key, _ in samples] == KEYS


def test_after_an_error_of_a_shard_it_is_read_again(folder: Path) -> None:
    """Behind what was yielded of it; until it is right, the error comes again."""
    good = (folder / "2.tar").read_bytes()
    (folder / "2.tar").write_bytes(good[: 4 * SAMPLE_BYTES])
    samples = iteration(iter(AISShardReader(folder)))
    assert keys_and_errors(samples, 12) == [*KEYS[:9], *"!!!"]
    (folder / "2.tar").write_bytes(good)
    state = samples.state_dict()
    assert keys_and_errors(samples) == rest(AISShardReader(folder), state) == KEYS[9:]
