"""FieldPadder: the same fields in every sample."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Sequence

import pytest

from aisio.errors import ConfigError, ShardError
from aisio.shards import FieldPadder, Sample, ZeroDict


def sample(key: str, *fields: str, url: str = "ais://b/0.tar") -> Sample:
    """Make a sample whose fields hold their own names."""
    return Sample(url, key, key, {field: field.encode() for field in fields}, 0)


def pad(padder: FieldPadder, samples: Sequence[Sample]) -> list[tuple[str, list[str]]]:
    """Pad samples; give the key and the fields of each."""
    return [(one.key, list(one.fields)) for one in padder.pad(samples)]


def test_fields_are_learned_before_the_first_sample():
    """AIS-12: from the first sample on each has every field, in one order, b"" if it lacks it."""
    found = list(FieldPadder().pad([sample("1", "jpg"), sample("2", "txt", "cls", "jpg")]))
    assert [list(one.fields.items()) for one in found] == [
        [("cls", b""), ("jpg", b"jpg"), ("txt", b"")],
        [("cls", b"cls"), ("jpg", b"jpg"), ("txt", b"txt")],
    ]
    assert all(type(one.fields) is ZeroDict for one in found)


def test_look_ahead_crosses_shards():
    """The fields of the next shard are known in the first, when both are within the look-ahead."""
    shards = [sample("1", "jpg"), sample("2", "cls", url="ais://b/1.tar")]
    assert pad(FieldPadder(), shards) == [("1", ["cls", "jpg"]), ("2", ["cls", "jpg"])]


def test_newcomer_is_added_with_one_warning():
    """A field met after the look-ahead is kept from then on, and told once, with what to do."""
    samples = [sample("1", "jpg"), sample("2", "cls", url="ais://b/1.tar"), sample("3", "cls")]
    with pytest.warns(UserWarning, match=r"ais://b/1\.tar: sample '2' .* 'cls'.*keys=") as caught:
        found = pad(FieldPadder(look_ahead_samples=1), samples)
    assert len(caught) == 1
    assert found == [("1", ["jpg"]), ("2", ["cls", "jpg"]), ("3", ["cls", "jpg"])]


def test_keys_fix_the_fields():
    """keys= gives exactly these, in this order: lacking ones are b"", others are dropped."""
    samples = [sample("1", "jpg", "txt"), sample("2", "cls")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(FieldPadder(("jpg", "cls")).pad(samples))
    assert [list(one.fields.items()) for one in found] == [
        [("jpg", b"jpg"), ("cls", b"")],
        [("jpg", b""), ("cls", b"cls")],
    ]


def test_keys_need_no_look_ahead():
    """With keys= the first sample is given when it is read."""
    taken = []

    def samples() -> Iterator[Sample]:
        for key in ("1", "2", "3"):
            taken.append(key)
            yield sample(key, "jpg")

    assert next(FieldPadder(["jpg"]).pad(samples())).key == "1"
    assert taken == ["1"]


@pytest.mark.parametrize(
    ("padder", "taken"),
    [
        (FieldPadder(look_ahead_samples=3), 3),
        (FieldPadder(look_ahead_bytes=1), 1),
        (FieldPadder(look_ahead_bytes=4), 2),
        (FieldPadder(look_ahead_bytes=3), 1),
    ],
)
def test_look_ahead_is_bounded(padder: FieldPadder, taken: int):
    """It stops at so many samples, or at the sample that fills so many bytes."""
    samples = iter([sample(str(index), "jpg") for index in range(10)])
    next(padder.pad(samples))
    assert len(list(samples)) == 10 - taken


def test_what_was_read_before_an_error_is_given_first():
    """An error within the look-ahead loses nothing and comes in its place."""

    def samples() -> Iterator[Sample]:
        yield sample("1", "jpg")
        yield sample("2", "cls")
        raise ShardError("cut")

    padded = FieldPadder().pad(samples())
    assert [list(next(padded).fields) for _ in range(2)] == [["cls", "jpg"]] * 2
    with pytest.raises(ShardError, match="cut"):
        next(padded)


def test_fields_are_learned_anew_by_each_call():
    """A padder holds settings only: a second epoch begins as the first did."""
    padder = FieldPadder()
    assert pad(padder, [sample("1", "jpg")]) == [("1", ["jpg"])]
    assert pad(padder, [sample("1", "cls")]) == [("1", ["cls"])]
    assert pad(padder, []) == []
    assert pickle.loads(pickle.dumps(padder)) == padder


def test_settings_that_cannot_work_are_refused():
    """A string is not taken for its letters, and an empty look-ahead learns nothing."""
    with pytest.raises(ConfigError, match="'jpg'"):
        FieldPadder("jpg")
    with pytest.raises(ConfigError, match="look-ahead"):
        FieldPadder(look_ahead_samples=0)
    with pytest.raises(ConfigError, match="look-ahead"):
        FieldPadder(look_ahead_bytes=0)
