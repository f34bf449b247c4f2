"""Which files a model has."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from aisio import ConfigError, NotFoundError, UrlError
from aisio.models.files import ModelFile, Patterns, is_file_name, list_model, model_key, model_url
from aisio.records import Checksum, ObjectInfo
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.models.models import Case

ALL = Patterns.of(None, None)


def names(case: Case, patterns: Patterns = ALL) -> list[str]:
    """Return the names of the files of a model."""
    url = model_url(f"file://{case.source}")
    return [one.name for one in list_model(LocalStore(), url, patterns, case.options)]


def test_files_are_listed_by_name_and_the_large_ones_go_to_memory(case: Case) -> None:
    """With the ending that they have."""
    files = list_model(LocalStore(), model_url(f"file://{case.source}"), ALL, case.options)
    assert {one.name: one.memory_name for one in files} == {
        "a.safetensors": "0000.safetensors",
        "config.json": "",
        "sub/b.bin": "0002.bin",
        "sub/empty.txt": "",
    }


def test_a_url_is_that_of_a_folder() -> None:
    """Or of a whole bucket."""
    assert str(model_url("ais://b/llama")) == str(model_url("ais://b/llama/")) == "ais://b/llama/"
    assert str(model_url("ais://b")) == "ais://b"
    with pytest.raises(UrlError):
        model_url("llama")


def test_patterns_choose_files(case: Case) -> None:
    """As in huggingface_hub: "sub/" is all that is in the folder."""
    assert names(case, Patterns.of("*.json", None)) == ["config.json"]
    assert names(case, Patterns.of(["sub/"], "*.txt")) == ["sub/b.bin"]
    assert names(case, Patterns.of(None, ["*.bin", "*.safetensors"])) == [
        "config.json",
        "sub/empty.txt",
    ]


def test_no_files_are_an_error(case: Case) -> None:
    """Which says whether there are others."""
    with pytest.raises(ConfigError, match="allow_patterns is empty"):
        Patterns.of([], None)
    with pytest.raises(NotFoundError, match=r"none of its 4 files matches .*'a.safetensors'"):
        names(case, Patterns.of("*.gguf", None))
    (case.source / "none").mkdir()
    with pytest.raises(NotFoundError, match="/none/: there are no files"):
        list_model(LocalStore(), model_url(f"file://{case.source}/none"), ALL, case.options)


class OneStore(LocalStore):
    """Lists objects of given names."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def list(self, prefix, *, start_after=""):
        return (ObjectInfo(prefix.root, prefix.name + name, 1) for name in self._names)


@pytest.mark.parametrize("given", [["a", "a/b"], ["a/../b"], ["a//b"], [".aisio-model.json"]])
def test_names_that_no_folder_can_hold_are_refused(given: list[str], case: Case) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigError, match="cannot be a file in a folder"):
        list_model(OneStore(*given), ObjectUrl.parse("ais://b/m/"), ALL, case.options)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a", True), ("a/b", True), ("", False), ("/a", False), ("a/", False), ("..", False)],
)
def test_file_names(name: str, is_one: bool) -> None:
    """A name leads to a place below the folder."""
    assert is_file_name(name) is is_one


def test_the_key_is_that_of_the_versions(case: Case) -> None:
    """Another version, place or memory has another; without versions each has its own."""
    url = ObjectUrl.parse("ais://b/m/")
    info = ObjectInfo("ais://b", "m/a", 5000, version="1")
    one = ModelFile("a", url.join("a"), info, "0000")
    key = model_key(url, [one], case.options)
    assert key == model_key(url, [one], case.options)
    newer = one._replace(info=replace(info, version="2"))
    assert key != model_key(url, [newer], case.options)
    assert key != model_key(ObjectUrl.parse("ais://c/m/"), [one], case.options)
    unknown = [one._replace(info=replace(info, version=""))]
    assert model_key(url, unknown, case.options) != model_key(url, unknown, case.options)
    memory = ObjectUrl.parse("memory://b/m/")
    assert model_key(memory, [one], case.options) != model_key(memory, [one], case.options)


def test_the_key_stays_when_the_cluster_gets_a_copy(case: Case) -> None:
    """Of an object of another store: a second process lists it when the first one has read it."""
    url = ObjectUrl.parse("s3://b/m/")
    remote = ObjectInfo("s3://b", "m/a", 5000, custom={"ETag": "e"})
    copied = replace(remote, checksum=Checksum("xxhash2", "0" * 16), version="1", etag="e")
    other = replace(copied, custom={"ETag": "f"}, etag="f")
    keys = [
        model_key(url, [ModelFile("a", url.join("a"), info, "0000")], case.options)
        for info in (remote, copied, other)
    ]
    assert keys[0] == keys[1] != keys[2]
