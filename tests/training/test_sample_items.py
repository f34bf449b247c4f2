"""SampleItems: names and dicts, or tuples of fields."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from aisio.errors import ConfigError, DecodeError, ShardError
from aisio.shards.samples import Sample, ZeroDict
from aisio.stats import thread_counters
from aisio.training.item_options import ItemOptions
from aisio.training.sample_items import SampleItems


def items(**options: Any) -> SampleItems:
    """Return what makes items, by default of all fields."""
    return SampleItems(ItemOptions(**options), owner="Data")


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


def test_folders_give_one_warning() -> None:
    """Unless it is said what the names are."""
    samples = [sample("f/1", a=b""), sample("g/1", a=b"")]
    with pytest.warns(UserWarning, match="samples lie in different folders"):
        items(keys=["a"]).make(samples)
    assert [name for name, _ in items(keys=["a"], full_key=False).make(samples)] == ["1", "1"]
    labelled = items(keys=["a", "cls"], label_from="folder", classes=["f", "g"]).make(samples)
    assert [fields["cls"] for _, fields in labelled] == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": ["a"], "fields": ["a"]}, "keys= names the fields of dicts, fields= those of tup"),
        ({"fields": "jpg"}, r"fields='jpg': a sequence of field names is needed, as in \['jpg'\]"),
        ({"fields": ()}, r"fields=\(\): no field is named; without fields= samples have all"),
        ({"fields": [".jpg"]}, "fields=.*field names have no leading dot: 'jpg'"),
        ({"keys": ["jpg;png"]}, "keys=.*: 'jpg;png' names alternatives, which only fields= takes"),
        ({"fields": ["jpg;"]}, "fields=.*: '' is no field name"),
        ({"fields": ["jpg;png", "jpg"]}, "fields=.*: a field is named twice"),
        ({"new_fields": "drop"}, "new_fields='drop'"),
        ({"on_error": "warn"}, 'on_error=\'warn\': "raise" or "skip" is needed'),
        ({"keys": ["__key__", "jpg"]}, "keys= has '__key__': with full_key=True it is the name"),
        (
            {"fields": ["jpg"], "label_from": "folder"},
            "label_from='folder' makes a field 'cls', which fields= does not name",
        ),
        ({"classes": ["cat"]}, 'classes= are those of label_from="folder"'),
        ({"decode": "jpg"}, "decode='jpg': 'torch', 'numpy', 'pil', or a mapping"),
        ({"decode": "pil", "keys": ["pkl"]}, "field 'pkl' is a pickle"),
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


def test_tuples_of_decoded_fields() -> None:
    """The key can be one of them; what has no decoder stays bytes."""
    of = items(fields=("__key__", "cls", "raw", "a.txt"), decode={"cls": int, "txt": str})
    assert of.wanted == ("cls", "raw", "a.txt")
    fields = {"cls": b"7", "raw": b"\xff", "a.txt": b""}
    [item] = of.make([sample("f/1", **fields)])
    assert item == ("f/1", 7, b"\xff", "")
    with pytest.raises(ShardError, match="has no field 'raw', named by fields=; it has 'cls'"):
        of.make([sample(cls=b"1")])


def test_alternatives_of_a_field() -> None:
    """A sample gives the first that it has, decoded by its own extension."""
    of = items(fields=("jpg;png", "cls"), decode={"jpg": len, "png": str, "cls": int})
    assert of.wanted == ("jpg", "png", "cls")
    samples = [
        sample(jpg=b"abc", cls=b"1"),
        sample(png=b"abc", cls=b"2"),
        sample(png=b"", jpg=b"abc", cls=b"3"),
    ]
    assert of.make(samples) == [(3, 1), ("abc", 2), (3, 3)]
    assert list(of.stream(samples)) == [(3, 1), ("abc", 2), (3, 3)]
    with pytest.raises(ShardError, match="has no field 'jpg;png', named by fields=; it has 'cls'"):
        of.make([sample(cls=b"1")])


def test_an_error_of_a_missing_field_tells_of_alternatives() -> None:
    """Where images are of several formats, none of them alone is in all samples."""
    with pytest.raises(ShardError, match="it has 'png'; 'jpg;png' would take either"):
        items(fields=("jpg",), decode="numpy").make([sample(png=b"")])
    with pytest.raises(ShardError, match="it has 'txt'$"):
        items(fields=("jpg",)).make([sample(txt=b"")])


def test_the_key_alone() -> None:
    """Nothing is read for it."""
    of = items(fields=["__key__"])
    assert (of.wanted, of.make([sample()])) == ((), [("f/1",)])


def test_dicts_of_decoded_fields() -> None:
    """What a sample lacks is None, or b"" where it would stay bytes; stored b"" is decoded."""
    of = items(keys=["txt", "cls", "raw"], decode={"cls": int, "txt": str})
    assert of.make([sample(txt=b"", cls=b"1")]) == [("1", {"txt": "", "cls": 1, "raw": b""})]
    assert of.make([sample(raw=b"x")]) == [("1", {"txt": None, "cls": None, "raw": b"x"})]


def test_default_collate_says_what_is_missing() -> None:
    """Not a batch of nonsense."""
    of = items(keys=["cls"], decode={"cls": int}, full_key=True)
    made = of.make([sample(cls=b"1"), sample()])
    with pytest.raises((TypeError, RuntimeError), match="NoneType"):
        torch.utils.data.default_collate(made)


def test_a_stream_pads_and_decodes_alike() -> None:
    """The same items as of a dataset."""
    samples = [sample(cls=b"1", txt=b"a"), sample(cls=b"2")]
    choices: list[dict[str, Any]] = [{}, {"keys": ["cls", "txt"]}, {"fields": ["cls"]}]
    for options in choices:
        of = items(decode={"cls": int}, **options)
        of.learn(lambda: samples)
        assert list(of.stream(samples)) == of.make(samples)


def test_an_error_names_shard_sample_field_and_decoder() -> None:
    """The text alone reaches the process of the trainer."""
    of = items(keys=["cls"], decode={"cls": int})
    message = (
        "^<Data> ais://b/a.tar: sample 'f/2' at byte 512: field 'cls' of 3 bytes cannot be decoded"
        " by int: ValueError: invalid literal.*b'dog'$"
    )
    with pytest.raises(DecodeError, match=message) as caught:
        of.make([sample(cls=b"1"), sample("f/2", cls=b"dog")])
    assert (caught.value.url, caught.value.offset) == ("ais://b/a.tar", 512)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_decoder_that_raises_stop_iteration_ends_nothing() -> None:
    """Least of all a pass over shards."""
    of = items(fields=["a"], decode={"a": lambda data: next(iter(()))})
    first, second = of.stream([sample(a=b"1")] * 2)
    for failed in (first, second):
        with pytest.raises(DecodeError, match="cannot be decoded by .*lambda.*: StopIteration"):
            raise failed.take()


def test_a_transform_that_raises_stop_iteration_ends_nothing() -> None:
    """Neither a batch nor a pass over shards: it is another error, not taken for the end."""
    of = items(fields=["a"], transform=lambda item: next(iter(())))
    message = "<Data> transform= was called with sample 'f/1' .*, and raised StopIteration"
    for failed in of.stream([sample(a=b"1")] * 2):
        with pytest.raises(RuntimeError, match=message):
            raise failed.take()
    with pytest.raises(RuntimeError, match=message):
        of.make([sample(a=b"1")])


def test_samples_that_cannot_be_decoded_are_skipped() -> None:
    """But not all samples of a batch, and nothing else."""
    of = items(keys=["cls"], decode={"cls": int}, on_error="skip", full_key=True)
    good, bad = sample(cls=b"1"), sample("f/2", cls=b"dog")
    assert of.make([bad, good]) == [("f/1", {"cls": 1})]
    assert list(of.stream([good, bad, bad])) == [("f/1", {"cls": 1})]
    assert [entry.key for entry in of.skipped] == ["f/2"] * 3
    with pytest.raises(DecodeError, match="'f/2'"):
        of.make([bad, bad])
    assert of.make([]) == []
    with pytest.raises(ShardError, match="'1' .* no field 'b'"):
        items(fields=["b"], decode={"b": int}, on_error="skip").make([sample("1", cls=b"1")])
    assert items().skipped == ()


def test_an_error_of_the_transform_is_never_skipped() -> None:
    """Whatever it is."""

    def fail(item: Any) -> Any:
        raise DecodeError("of the user")

    of = items(fields=["a"], decode={"a": int}, on_error="skip", transform=fail)
    with pytest.raises(DecodeError, match="of the user"):
        of.make([sample(a=b"1")])
    [failed] = of.stream([sample(a=b"1")])
    with pytest.raises(DecodeError, match="of the user"):
        raise failed.take()
    assert of.skipped == ()


def test_extensions_that_no_field_has_give_a_warning() -> None:
    """However the fields are known."""
    message = "<Data> decode= has decoders for 'jpeg', but the fields of the samples .* are 'a'"
    decode = {"jpeg": len, "a": len}
    choices: list[dict[str, Any]] = [{"keys": ["a"]}, {"fields": ["a"]}]
    for options in choices:
        with pytest.warns(UserWarning, match=message):
            items(decode=decode, **options)
    of = items(decode=decode)
    with pytest.warns(UserWarning, match=message):
        of.learn(lambda: [sample(a=b"")])
    with pytest.warns(UserWarning, match=message):
        assert list(of.stream([sample(a=b"xx")] * 2)) == [("1", {"a": 2})] * 2


def test_a_pickle_is_an_error_once_it_is_met() -> None:
    """on_error= does not skip the whole data set for it."""
    of = items(decode="pil", on_error="skip")
    with pytest.raises(ConfigError, match="field 'pkl' is a pickle"):
        of.learn(lambda: [sample(pkl=b"")])
    with pytest.raises(ConfigError, match="field 'pkl' is a pickle"):
        list(of.stream([sample(pkl=b"")]))


def test_labels_by_folders() -> None:
    """A number in the field "cls", whatever decode= says."""
    samples = [sample("x/dog/1", jpg=b"1"), sample("cat/2", jpg=b"2")]
    of = items(fields=("jpg", "cls"), label_from="folder", decode={"jpg": len})
    assert (of.wanted, of.needs_classes) == (("jpg",), True)
    of.set_classes({"dog", "cat"})
    assert (of.needs_classes, of.classes) == (False, ("cat", "dog"))
    assert of.make(samples) == [(1, 1), (1, 0)]
    for keys in (["jpg"], ["cls", "jpg"]):
        of = items(keys=keys, label_from="folder", classes=["dog", "cat"], full_key=False)
        assert of.make(samples) == [("1", {"jpg": b"1", "cls": 0}), ("2", {"jpg": b"2", "cls": 1})]
    of = items(label_from="folder", classes=["dog", "cat"], full_key=False)
    assert list(of.stream(samples))[1] == ("2", {"jpg": b"2", "cls": 1})
    assert items().classes == ()


def test_samples_without_a_folder_show_when_the_index_is_read() -> None:
    """Not in the middle of an epoch."""
    of = items(fields=["cls"], label_from="folder")
    with pytest.raises(ConfigError, match='label_from="folder": there are samples whose keys have'):
        of.set_classes({"", "cat"})


def test_the_time_of_decoders_is_counted() -> None:
    """With the labels; nothing where nothing is decoded."""
    before = thread_counters().decode_s
    items(fields=["cls"]).make([sample(cls=b"1")])
    assert thread_counters().decode_s == before
    items(fields=["cls"], decode={"cls": int}).make([sample(cls=b"1")])
    assert thread_counters().decode_s > before
