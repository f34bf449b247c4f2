"""The constructors of object datasets: one for each kind of source."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the datasets need it

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISMapDataset,
    Client,
    ConfigError,
    NotFoundError,
    UrlError,
    imagenet_manifest_parser,
)
from aisio.training.object_constructors import BatchIterOptions, IterOptions, MapOptions

CLASSES = (AISMapDataset, AISIterDataset, AISBatchIterDataset)
CONSTRUCTORS = ("from_prefix", "from_objects", "from_manifest_file", "from_url")
OF_SOURCES = {"self", "ais_source_list", "prefix_map"}


@pytest.fixture(params=CLASSES)
def cls(request: pytest.FixtureRequest) -> Any:
    """Return a class of datasets."""
    return request.param


def read(dataset: Any) -> list[tuple[str, bytes]]:
    """Return (last part of the name, bytes) of its items."""
    return [(name.rpartition("/")[2], data) for name, data in iter(dataset)]


def numbered(*numbers: int) -> list[tuple[str, bytes]]:
    """Return what `read` returns for some of the folder's objects."""
    return [(f"obj{number:02d}", f"obj{number:02d}".encode()) for number in numbers]


def test_from_prefix(cls: Any, folder: str, tmp_path: Path) -> None:
    """All whose names begin so, as a text or a path; no character is a pattern."""
    assert read(cls.from_prefix(folder)) == numbered(*range(20))
    assert read(cls.from_prefix(f"{folder}obj1")) == numbered(*range(10, 20))
    assert read(cls.from_prefix(tmp_path)) == numbered(*range(20))
    (tmp_path / "obj0").write_bytes(b"an object with the name of a prefix")
    assert len(read(cls.from_prefix(f"{folder}obj0"))) == 11
    (tmp_path / "[x]").mkdir()
    (tmp_path / "[x]" / "*a").write_bytes(b"a")
    assert read(cls.from_prefix(f"{folder}[x]/*")) == [("*a", b"a")]


def test_from_objects(cls: Any, folder: str, tmp_path: Path) -> None:
    """One or many, as texts or paths, in their order, as often as they are given."""
    urls = [f"{folder}obj{number:02d}" for number in (7, 3, 7)]
    assert read(cls.from_objects(urls)) == numbered(7, 3, 7)
    assert read(cls.from_objects(iter(urls))) == numbered(7, 3, 7)
    assert read(cls.from_objects(urls[0])) == numbered(7)
    assert read(cls.from_objects(tmp_path / "obj05")) == numbered(5)
    assert read(cls.from_objects([tmp_path / "obj05", urls[1]])) == numbered(5, 3)


def test_from_manifest_file(cls: Any, folder: str, tmp_path: Path) -> None:
    """By path or URL, with a base that is a URL, a path or nothing."""
    manifest = tmp_path.parent / f"{tmp_path.name}.tsv"
    manifest.write_text("obj02\tcat\n\nobj01\n", "utf-8")
    for where in (manifest, str(manifest), f"file://{manifest}"):
        for base in (folder, tmp_path):
            made = cls.from_manifest_file(where, imagenet_manifest_parser, base)
            assert read(made) == numbered(2, 1)

    def whole_urls(_: Any) -> Iterator[tuple[str, str]]:
        yield f"{folder}obj04", "dog"

    made = cls.from_manifest_file(
        manifest, whole_urls, "", transform=lambda one: (one.label, one.read())
    )
    assert list(iter(made)) == [("dog", b"obj04")]


def test_from_url(cls: Any, folder: str, tmp_path: Path) -> None:
    """Whatever aisio.source takes: patterns, lists, paths."""
    assert read(cls.from_url(f"{folder}obj0[23]")) == numbered(2, 3)
    assert read(cls.from_url(f"{folder}obj02")) == numbered(2)
    assert read(cls.from_url([f"{folder}obj02"])) == numbered(2)
    assert read(cls.from_url(tmp_path)) == numbered(*range(20))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda cls: cls.from_prefix(""), "url must be non-empty"),
        (lambda cls: cls.from_prefix(None), "url must be non-empty"),
        (lambda cls: cls.from_objects([]), "urls must be non-empty"),
        (lambda cls: cls.from_objects(""), "urls must be non-empty"),
        (lambda cls: cls.from_objects(None), "urls must be non-empty"),
        (lambda cls: cls.from_objects(["ais://b/a", ""]), "urls must be non-empty"),
        (lambda cls: cls.from_manifest_file("", print, "ais://b/"), "path_or_url must be non-emp"),
        (lambda cls: cls.from_manifest_file("a", None, "ais://b/"), "parser must be non-empty"),
        (lambda cls: cls.from_manifest_file("a", "tsv", ""), "parser='tsv' cannot be called"),
        (lambda cls: cls.from_manifest_file("a", print, None), "base_url must be a URL or a path"),
        (lambda cls: cls.from_url(""), "url must be non-empty"),
        (lambda cls: cls.from_url(None), "url must be non-empty"),
    ],
)
def test_oss_01_empty_arguments_are_refused_in_words(cls: Any, make: Any, message: str) -> None:
    """By the class that got them: each is a ValueError."""
    with pytest.raises(ConfigError, match=f"^<{cls.__name__}> {message}"):
        make(cls)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AISMapDataset.from_prefix("/bucket/key"), "'/bucket/key' is not a URL: .*file://"),
        (lambda: AISMapDataset.from_prefix("s3:bucket/key"), "was s3://bucket/key meant"),
        (lambda: AISMapDataset.from_prefix("s3://"), "'s3://' has no bucket"),
        (lambda: AISMapDataset.from_prefix("s4://bucket/"), "unknown scheme 's4', expected one of"),
        (lambda: AISMapDataset.from_objects("ais://b/folder/"), "names no object"),
        (lambda: AISMapDataset.from_objects(["ais://b"]), "names no object"),
        (
            lambda: AISMapDataset.from_manifest_file("ais://b/", imagenet_manifest_parser, ""),
            "no object",
        ),
    ],
)
def test_oss_01_what_is_no_url_is_refused_with_a_right_one(make: Any, message: str) -> None:
    """Each is a ValueError."""
    with pytest.raises(UrlError, match=message):
        make()


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_they_show_the_options_of_the_class(cls: Any, name: str) -> None:
    """In help() and in notebooks; all of them keyword-only."""
    shown = inspect.signature(getattr(cls, name)).parameters
    own = inspect.signature(cls).parameters
    options = [one for one in shown.values() if one.kind is inspect.Parameter.KEYWORD_ONLY]
    assert {one.name for one in options} == own.keys() - OF_SOURCES
    assert ("max_batch_size" in shown) == (cls is AISBatchIterDataset)
    assert all(one.default == own[one.name].default for one in options)
    assert next(iter(shown)) in ("url", "urls", "path_or_url")
    assert len(shown) - len(options) == (3 if name == "from_manifest_file" else 1)


@pytest.mark.parametrize(
    ("cls", "record"),
    [
        (AISMapDataset, MapOptions),
        (AISIterDataset, IterOptions),
        (AISBatchIterDataset, BatchIterOptions),
    ],
)
def test_type_checkers_know_the_options_of_the_class(cls: Any, record: Any) -> None:
    """The record of them has the same names."""
    assert record.__annotations__.keys() == inspect.signature(cls).parameters.keys() - OF_SOURCES


def test_an_option_that_is_misspelt_is_refused(folder: str) -> None:
    """As by the class."""
    with pytest.raises(TypeError, match="transfrom"):
        AISMapDataset.from_prefix(folder, transfrom=len)  # type: ignore[call-arg]


def test_a_prefix_without_objects_is_an_error_unless_that_is_allowed(
    cls: Any, folder: str, tmp_path: Path
) -> None:
    """It is named as the user named it; so is a manifest."""
    with pytest.raises(NotFoundError, match=f"^{folder}absent: there is no such object"):
        read(cls.from_prefix(f"{folder}absent"))
    assert read(cls.from_prefix(f"{folder}absent", allow_empty=True)) == []
    with pytest.raises(NotFoundError, match="obj00: nothing to read: the manifest lists no object"):
        read(cls.from_manifest_file(tmp_path / "obj00", lambda _: [], folder))
    with pytest.raises(NotFoundError, match="absent"):
        read(cls.from_manifest_file(tmp_path / "absent", lambda _: [], folder))


def test_client_and_endpoint_name_the_cluster(cls: Any) -> None:
    """For prefixes, objects and manifests."""
    endpoint = "http://127.0.0.1:9"
    for options in ({"endpoint": endpoint}, {"client": Client(endpoint)}):
        made = cls.from_objects("ais://b/a", **options)
        assert len(made.get_obj_list() if cls is AISMapDataset else range(made.count())) == 1
    with pytest.raises(ConfigError, match="AIS_ENDPOINT"):
        cls.from_objects("ais://b/a")


def test_a_subclass_is_what_is_made(folder: str) -> None:
    """With its own items."""

    class Names(AISMapDataset):
        def __getitem__(self, index: int) -> str:
            return str(super().__getitem__(index)[0][-5:])

    made = Names.from_prefix(folder)
    assert (type(made), made[3]) == (Names, "obj03")


def test_all_take_the_options(folder: str, tmp_path: Path) -> None:
    """Of reading and of splitting."""
    made = AISIterDataset.from_prefix(
        folder, transform=lambda one: one.name[-5:], on_missing="skip", split="none", length=19
    )
    assert made.count() == len(made) + 1 == 20
    (tmp_path / "obj00").unlink()
    assert list(made) == [f"obj{number:02d}" for number in range(1, 20)]
    (tmp_path / "obj05").write_bytes(b"")
    assert len(AISMapDataset.from_prefix(folder)) == 19
    assert len(AISMapDataset.from_prefix(folder, skip_empty=True)) == 18
