"""FieldPadder: the same fields in every sample."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Sequence

import pytest

from aisio.errors import ConfigError, ShardError
from aisio.shards.fields import FieldPadder
from aisio.shards.samples import Sample, ZeroDict


def sample(
    key: str, *fields: str, url: str = "ais://b/0.tar", left_out: Sequence[str] = ()
) -> Sample:
    """Make a sample whose fields hold their own names."""
    return Sample(url, key, key, {field: field.encode() for field in fields}, 0, [*left_out])


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


NEWCOMER = [sample("1", "jpg"), sample("2", "cls", url="ais://b/1.tar"), sample("3", "cls")]


def test_a_new_field_is_an_error():
    """It could be lost in a collate: the text names shard, sample, place and what to do."""
    padded = FieldPadder(look_ahead_samples=1, reader="R").pad(NEWCOMER)
    assert next(padded).key == "1"
    with pytest.raises(
        ShardError, match=r"^<R> ais://b/1\.tar: sample '2' at byte 0 has 'cls', .*keys="
    ) as caught:
        next(padded)
    assert (caught.value.url, caught.value.offset) == ("ais://b/1.tar", 0)


def test_a_new_field_is_added_on_request_with_one_warning():
    """It is kept from then on; the warning says what a collate does and what to do."""
    with pytest.warns(UserWarning, match=r"ais://b/1\.tar: sample '2' .* 'cls'.*keys=") as caught:
        found = pad(FieldPadder(look_ahead_samples=1, new_fields="add"), NEWCOMER)
    assert len(caught) == 1
    assert found == [("1", ["jpg"]), ("2", ["cls", "jpg"]), ("3", ["cls", "jpg"])]


def test_keys_fix_the_fields():
    """Samples have exactly these, in this order: lacking ones are b"", others are dropped."""
    samples = [sample("1", "jpg", "txt"), sample("2", "cls")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(FieldPadder(("jpg", "cls")).pad(samples))
    assert [list(one.fields.items()) for one in found] == [
        [("jpg", b"jpg"), ("cls", b"")],
        [("jpg", b""), ("cls", b"cls")],
    ]


def warnings_of(padder: FieldPadder, samples: Sequence[Sample]) -> list[str]:
    """Pad samples; return the texts of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(padder.pad(samples))
    return [str(one.message) for one in caught]


def test_a_key_that_no_sample_has_gives_one_warning_with_the_fields_that_exist():
    """After so many samples, or at the end of fewer; not where there is no sample at all."""
    samples = [sample(str(n), "cls", left_out=["image.jpg"]) for n in range(5)]
    for look_ahead, count in ((2, 2), (100, 5)):
        padder = FieldPadder(["jpg", "cls"], look_ahead_samples=look_ahead)
        (text,) = warnings_of(padder, samples)
        assert f"first {count} samples of this share" in text
        assert "has 'jpg', named by keys=" in text
        assert text.endswith("is 'image.jpg'")
        assert warnings_of(padder, []) == []


def test_a_key_that_is_met_in_time_gives_no_warning():
    """Nor one that only few samples have."""
    samples = [sample("1", left_out=["cls"]), sample("2", "jpg"), *[sample("3")] * 200]
    assert warnings_of(FieldPadder(["jpg"]), samples) == []


def test_a_key_in_another_case_gives_one_warning_with_its_sample():
    """However late it comes: the sample that has it would have nothing instead."""
    samples = [sample("1", "jpg"), *[sample("2")] * 200, *[sample("3", left_out=["JPG"])] * 2]
    (text,) = warnings_of(FieldPadder(["jpg"], reader="R"), samples)
    assert text.startswith("<R> ais://b/0.tar: sample '3' at byte 0 has the field 'JPG', which is")


def test_learned_fields_that_differ_in_case_give_one_warning():
    """Nothing is left out, but half of the samples have nothing under either name."""
    (text,) = warnings_of(FieldPadder(), [sample("1", "jpg", "cls"), sample("2", "JPG", "cls")])
    assert "the fields 'JPG', 'jpg' differ in case alone" in text


def test_keys_need_no_look_ahead():
    """With keys= each sample is yielded when it is read."""
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


def test_samples_before_an_error_are_yielded_first():
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
    with pytest.raises(ConfigError, match=r"as in \['jpg'\]"):
        FieldPadder("jpg")
    with pytest.raises(ConfigError, match=r"no leading dot: 'jpg'"):
        FieldPadder([".jpg"])
    with pytest.raises(ConfigError, match="look-ahead"):
        FieldPadder(look_ahead_samples=0)
    with pytest.raises(ConfigError, match="look-ahead"):
        FieldPadder(look_ahead_bytes=0)
