"""SampleItems: names and dicts, or tuples of fields."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch  # noqa: F401 - the package needs it

from aisio.errors import ConfigError, ShardError
from aisio.shards.samples import Sample, ZeroDict
from aisio.training.sample_items import SampleItems


def items(**options: Any) -> SampleItems:
    """Return what makes items, by default of all fields."""
    defaults: dict[str, Any] = {
        "keys": None,
        "fields": None,
        "full_key": None,
        "new_fields": "raise",
        "transform": None,
        "owner": "Data",
    }
    return SampleItems(**{**defaults, **options})


def sample(key: str = "f/1", **fields: bytes) -> Sample:
    """Return a sample."""
    return Sample("ais://b/a.tar", key, key.rpartition("/")[2], fields, 512)


def test_names_and_padded_fields() -> None:
    """The fields are those of the first samples, learned once."""
    of = items()
    taught: list[int] = []

    def first() -> list[Sample]:
        taught.append(1)
        return [sample(b=b"1"), sample(a=b"2")]

    of.learn(first)
    of.learn(first)
    assert taught == [1]
    [(name, fields)] = of.make([sample(a=b"3")])
    assert (name, type(fields), list(fields.items())) == ("1", ZeroDict, [("a", b"3"), ("b", b"")])
    with pytest.raises(ShardError, match="'f/1' at byte 512 has 'c', which none of the first samp"):
        of.make([sample(c=b"")])


def test_new_fields_may_be_added() -> None:
    """With a warning, from there on."""
    of = items(new_fields="add")
    of.learn(lambda: [sample(a=b"1")])
    with pytest.warns(UserWarning, match="samples of the data set had"):
        assert of.make([sample(b=b"2")]) == [("1", {"a": b"", "b": b"2"})]


def test_keys_are_known() -> None:
    """Nothing is read to learn them; others are left out, in their order."""
    of = items(keys=["b", "a"], full_key=True)
    of.learn(lambda: pytest.fail("not needed"))
    assert of.wanted == ("b", "a")
    [(name, fields)] = of.make([sample(a=b"1", c=b"2")])
    assert (name, list(fields.items())) == ("f/1", [("b", b""), ("a", b"1")])


def test_tuples_of_fields() -> None:
    """A sample without one is an error that names it and what it has."""
    of = items(fields=("jpg", "cls"))
    of.learn(lambda: pytest.fail("not needed"))
    assert of.wanted == ("jpg", "cls")
    assert of.make([sample(cls=b"1", jpg=b"2"), sample("g/2", cls=b"3", jpg=b"")]) == [
        (b"2", b"1"),
        (b"", b"3"),
    ]
    message = "<Data> ais://b/a.tar: sample 'f/1' at byte 512 has no field 'cls', .*it has 'jpg'"
    with pytest.raises(ShardError, match=message):
        of.make([sample(jpg=b"1")])


def test_a_transform_takes_items() -> None:
    """Of both kinds."""
    assert items(fields=["a"], transform=len).make([sample(a=b"1")]) == [1]
    assert items(keys=["a"], transform=lambda item: item[1]["a"]).make([sample(a=b"1")]) == [b"1"]


def test_a_transform_that_raises_stop_iteration_loses_no_sample() -> None:
    """The items of a batch would end there without a word."""

    def stop(item: Any) -> Any:
        raise StopIteration

    with pytest.raises(StopIteration):
        items(keys=["a"], transform=stop).make([sample(a=b"1")])


def test_folders_give_one_warning() -> None:
    """Unless it is said what the names are."""
    samples = [sample("f/1", a=b""), sample("g/1", a=b"")]
    with pytest.warns(UserWarning, match="samples lie in different folders"):
        items(keys=["a"]).make(samples)
    assert [name for name, _ in items(keys=["a"], full_key=False).make(samples)] == ["1", "1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": ["a"], "fields": ["a"]}, "keys= names the fields of dicts, fields= those of tup"),
        ({"fields": "jpg"}, r"fields='jpg': a sequence of field names is needed, as in \['jpg'\]"),
        ({"fields": ()}, r"fields=\(\): no field is named; without fields= samples have all"),
        ({"fields": [".jpg"]}, "fields=.*field names have no leading dot: 'jpg'"),
        ({"new_fields": "drop"}, "new_fields='drop'"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    """With what to do."""
    with pytest.raises(ConfigError, match=message):
        items(**options)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="errors have no notes")
def test_an_error_of_the_transform_names_the_sample() -> None:
    """Else nobody finds the damaged image among millions."""

    def decode(item: Any) -> Any:
        if item[1]["a"] == b"bad":
            raise ValueError("cannot decode")
        return item

    of = items(keys=["a"], full_key=True, transform=decode)
    with pytest.raises(ValueError, match="cannot decode") as caught:
        of.make([sample(a=b""), sample("f/2", a=b"bad")])
    assert vars(caught.value)["__notes__"] == [
        "<Data> transform= was called with sample 'f/2' at byte 512 of ais://b/a.tar"
    ]


def test_a_transform_is_called() -> None:
    """A name of one is refused when the dataset is made."""
    with pytest.raises(ConfigError, match="<Data> transform='decode' cannot be called"):
        items(transform="decode")
