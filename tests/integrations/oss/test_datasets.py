"""The OSS connector's datasets, on local files; tests/acceptance has those on OSS."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from aisio import Loader, pack_tar
from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.integrations.oss import (
    OssDataObject,
    OssIterableDataset,
    OssMapDataset,
    imagenet_manifest_parser,
)

CLASSES = (OssMapDataset, OssIterableDataset)
NAMES = [f"{number:02d}.txt" for number in range(8)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with files whose bytes are their names; the first has none."""
    made = tmp_path / "train"
    made.mkdir()
    for name in NAMES:
        (made / name).write_bytes(name.encode() if name != NAMES[0] else b"")
    return made


def described(one: OssDataObject | None) -> tuple[str, int, str, bytes] | None:
    """Return what is known of an object, and its bytes; a transform."""
    return None if one is None else (one.key, one.size, one.label, one.read())


def rows(folder: Path, label: str = "") -> list[tuple[str, int, str, bytes]]:
    """Return what `described` returns for the files of a folder."""
    read = ((str(folder / name), (folder / name).read_bytes()) for name in NAMES)
    return [(key, len(data), label, data) for key, data in read]


@pytest.mark.parametrize("cls", CLASSES)
def test_oss_42_a_local_folder_has_the_same_api(cls: Any, folder: Path, tmp_path: Path) -> None:
    """An empty endpoint, and URIs of either spelling; keys are paths, as the connector has it."""
    expected = rows(folder)
    (tmp_path / "list.tsv").write_text("".join(f"{name}\tcat\n" for name in NAMES), "utf-8")
    (tmp_path / "uris.tsv").write_text("".join(f"{folder}/{name}\n" for name in NAMES), "utf-8")
    by_tabs = imagenet_manifest_parser
    uris = [f"{folder}/{NAMES[2]}", f"oss:/{folder}/{NAMES[1]}"]
    for made, found in (
        (cls.from_prefix(f"{folder}", "", transform=described), expected),
        (cls.from_prefix(f"oss:/{folder}/", "", transform=described), expected),
        (cls.from_objects(uris, "", transform=described), [expected[2], expected[1]]),
        (cls.from_objects(iter(uris), "", transform=described), [expected[2], expected[1]]),
        (cls.from_objects(uris[0], "", transform=described), expected[2:3]),
        (
            cls.from_manifest_file(
                f"{tmp_path}/list.tsv", by_tabs, f"{folder}/", "", transform=described
            ),
            rows(folder, "cat"),
        ),
        (
            cls.from_manifest_file(
                f"oss:/{tmp_path}/uris.tsv", by_tabs, "", "", transform=described
            ),
            expected,
        ),
    ):
        assert [*iter(made)] == found


@pytest.mark.parametrize("cls", CLASSES)
def test_items_are_objects_by_default(cls: Any, folder: Path) -> None:
    """Safe to keep; also those that a worker sends."""
    dataset = cls.from_prefix(f"{folder}", "")
    kept: list[OssDataObject] = [*iter(dataset)]
    assert [described(one) for one in kept] == rows(folder)
    assert all(type(one) is OssDataObject for one in kept)
    loader = DataLoader(dataset, batch_size=4, num_workers=1, collate_fn=list)
    assert [described(one) for batch in loader for one in batch] == rows(folder)


def test_a_listing_has_the_same_objects(folder: Path) -> None:
    """`get_obj_list`, without reading them; `is_continuous` is the connector's."""
    dataset = OssMapDataset.from_prefix(f"{folder}", "")
    assert [(one.key, one.size) for one in dataset.get_obj_list()] == [
        row[:2] for row in rows(folder)
    ]
    assert dataset.is_continuous([2, 3, 4])
    assert dataset.is_continuous([])
    assert not dataset.is_continuous([2, 4])


def test_oss_05_a_missing_object_has_one_rule(folder: Path) -> None:
    """A map dataset raises, or gives None, as an argument says; an iterable one leaves it out."""
    strict = OssMapDataset.from_prefix(f"{folder}", "", transform=described)
    lenient = OssMapDataset.from_prefix(f"{folder}", "", transform=described, on_missing="none")
    iterable: Any = OssIterableDataset.from_prefix(f"{folder}", "", transform=described)
    assert iterable.count() == 8
    expected = rows(folder)
    (folder / NAMES[3]).unlink()
    for step in (lambda: strict[3], lambda: strict.__getitems__([3])):
        with pytest.raises(FileNotFoundError, match=NAMES[3]):
            step()
    assert [lenient[3], *lenient.__getitems__([2, 3])] == [None, expected[2], None]
    assert [*iterable] == expected[:3] + expected[4:]
    assert iterable.stats()["skipped"] == 1


def test_oss_02_the_connectors_rule_for_empty_objects_is_a_switch(folder: Path) -> None:
    """It leaves them out of listings; here they are data."""
    for cls in CLASSES:
        assert len([*iter(cls.from_prefix(f"{folder}", ""))]) == 8
        assert len([*iter(cls.from_prefix(f"{folder}", "", skip_empty=True))]) == 7


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("constructor", "arguments", "text"),
    [
        ("from_prefix", [""], "oss_uri must be non-empty"),
        ("from_prefix", ["s3://bucket/"], "only oss:// uri are supported"),
        ("from_prefix", ["oss://"], "Bucket name must be non-empty"),
        ("from_objects", [[]], "object_uris must be non-empty"),
        ("from_objects", [""], "object_uris must be non-empty"),
        ("from_objects", [["oss://b/k", "k"]], "only oss:// uri are supported"),
        ("from_objects", ["oss://bucket/folder/"], "names no object"),
        ("from_manifest_file", ["", list, "oss://b/"], "manifest_file_path must be non-empty"),
        ("from_manifest_file", ["/a", None, "oss://b/"], "manifest_parser must be non-empty"),
        ("from_manifest_file", ["/a", 7, "oss://b/"], "manifest_parser=7 cannot be called"),
        ("from_tar", ["", "oss://b/i"], "tar_uri must be non-empty"),
        ("from_tar", ["oss://b/t", ""], "tar_index_uri must be non-empty"),
        ("from_tar", ["s3://b/t", "oss://b/i"], "only oss:// uri are supported for tar_uri"),
        ("from_tar", ["oss://b/t", "b/i"], "only oss:// uri are supported for tar_index_uri"),
        (
            "from_tar",
            ["oss://b/t", "oss://c/i"],
            "tar_uri and tar_index_uri must be in the same bucket",
        ),
    ],
)
def test_oss_01_arguments_are_refused_in_words(
    cls: Any, constructor: str, arguments: list[Any], text: str
) -> None:
    """The connector's own, with the name of the class; a ValueError, before any request."""
    with pytest.raises(ValueError, match=f"(?s){text}") as caught:
        getattr(cls, constructor)(*arguments, "https://oss-cn-test.aliyuncs.com")
    assert isinstance(caught.value, (ConfigError, UrlError))


def pairs_of(*pairs: Any) -> Any:
    """Return a parser that yields these, whatever it reads."""
    return lambda _reader: iter(pairs)


@pytest.mark.parametrize(
    ("pairs", "base", "text"),
    [
        ([("k", "1"), "k"], "/data/", r"list.tsv, entry 2: the parser yielded 'k'"),
        ([("", "1")], "/data/", r"entry 1: the parser yielded \('', '1'\)"),
        ([("k", 1)], "/data/", r"entry 1: the parser yielded \('file:///data/k', 1\)"),
        ([("k", "1")], "data/", r"list.tsv: .* only oss:// uri are supported for oss_base_uri"),
        ([("/../k", "1")], "/data", r"list.tsv: .*'\.\.'"),
        ([], "/data/", "lists no object"),
    ],
)
def test_oss_10_what_a_parser_yields_is_checked(
    tmp_path: Path, pairs: list[Any], base: str, text: str
) -> None:
    """With the manifest's URL."""
    (tmp_path / "list.tsv").touch()
    with pytest.raises((ConfigError, UrlError, NotFoundError), match=text):
        OssMapDataset.from_manifest_file(f"{tmp_path}/list.tsv", pairs_of(*pairs), base, "")


@pytest.fixture
def tar(folder: Path, tmp_path: Path) -> tuple[str, str]:
    """Return the paths of a tar of the folder, and of its index."""
    made = pack_tar(folder, tmp_path / "train.tar", tmp_path / "train.idx")
    return made.url.removeprefix("file://"), made.index_url.removeprefix("file://")


@pytest.mark.parametrize("cls", CLASSES)
def test_oss_22_files_of_a_tar(cls: Any, folder: Path, tar: tuple[str, str]) -> None:
    """Keys are names in the tar, labels their numbers."""
    dataset = cls.from_tar(*tar, "", transform=described)
    assert [*iter(dataset)] == [
        (name, size, str(number), data)
        for number, (name, (_, size, _, data)) in enumerate(zip(NAMES, rows(folder), strict=True))
    ]


def orders(dataset: OssIterableDataset, count: int = 1) -> list[list[str]]:
    """Return the orders of so many iterations, shuffled anew before each."""
    found = []
    generator = torch.Generator().manual_seed(3)
    for _ in range(count):
        dataset.shuffle(generator)
        found.append([one.key for one in dataset])
    return found


def test_oss_24_shuffle_depends_on_the_generator_alone(tar: tuple[str, str]) -> None:
    """Each draw is another order; without a generator torch's own counts."""
    made = [OssIterableDataset.from_tar(*tar, "", shuffle=True, shuffle_chunk_size=1) for _ in "ab"]
    first, second = (orders(dataset, 3) for dataset in made)
    assert first == second
    assert len({tuple(order) for order in first}) == 3
    assert all(sorted(order) == NAMES for order in first)
    seen = []
    for dataset in made:
        torch.manual_seed(5)
        dataset.shuffle()
        seen.append([one.key for one in dataset])
    assert seen[0] == seen[1]


def test_oss_24_running_workers_see_a_new_order(tar: tuple[str, str]) -> None:
    """With persistent workers too."""
    dataset = OssIterableDataset.from_tar(*tar, "", shuffle=True, shuffle_chunk_size=1)
    loader: Any = DataLoader(
        dataset, batch_size=8, num_workers=1, persistent_workers=True, collate_fn=list
    )
    alone = orders(OssIterableDataset.from_tar(*tar, "", shuffle=True, shuffle_chunk_size=1), 2)
    generator = torch.Generator().manual_seed(3)
    for expected in alone:
        dataset.shuffle(generator)
        assert [one.key for batch in loader for one in batch] == expected


def test_shuffle_is_refused_where_there_is_no_order(folder: Path, tar: tuple[str, str]) -> None:
    """It would do nothing."""
    for dataset in (
        OssIterableDataset.from_prefix(f"{folder}", ""),
        OssIterableDataset.from_tar(*tar, ""),
    ):
        with pytest.raises(ConfigError, match=r"only from_tar\(shuffle=True\)"):
            dataset.shuffle()


def test_a_loader_takes_them(folder: Path) -> None:
    """They are aisio's own datasets."""
    dataset = OssMapDataset.from_prefix(f"{folder}", "", transform=described)
    loader = Loader(dataset, batch_size=4, shuffle=True, num_workers=0, collate_fn=list)
    assert sorted(row for batch in loader for row in batch) == rows(folder)


def test_oss_34_a_dataset_keeps_its_log_files_open(folder: Path, tmp_path: Path) -> None:
    """As long as it lives."""
    config = tmp_path / "config.json"
    config.write_text(f'{{"logLevel": 2, "logPath": "{tmp_path}/oss.log"}}', "utf-8")
    dataset = OssMapDataset.from_prefix(f"{folder}", "", config_path=str(config))
    logging.getLogger("aisio.datasets").warning("while it lives")
    del dataset
    logging.getLogger("aisio.datasets").warning("when it is gone")
    lines = (tmp_path / "oss.log_0").read_text("utf-8").splitlines()
    assert [line.rpartition(":")[2] for line in lines] == [
        " URIs name local files",
        "while it lives",
    ]
