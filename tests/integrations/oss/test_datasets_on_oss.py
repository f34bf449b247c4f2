"""The OSS connector's datasets, on a server that checks OSS's signatures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from aisio.errors import AccessError, NotFoundError
from aisio.integrations.oss import (
    OssDataObject,
    OssIterableDataset,
    OssMapDataset,
    generate_tar_archive,
    imagenet_manifest_parser,
)
from tests.integrations.oss.conftest import Place
from tests.oss_server import KEY_ID, REGION, SECRET, TOKEN, TOKEN_KEY_ID

CLASSES = (OssMapDataset, OssIterableDataset)
NAMES = [f"train/{number:02d} ü%.txt" for number in range(12)]


@pytest.fixture
def filled(place: Place) -> Place:
    """Return a bucket with objects whose bytes are their names; the first has none."""
    for name in NAMES:
        place.put(name, name.encode() if name != NAMES[0] else b"")
    for name in ("train/", "val/1.txt"):
        place.put(name, b"")
    place.log()
    return place


def described(one: OssDataObject | None) -> tuple[str, int, str, bytes] | None:
    """Return what is known of an object, and its bytes; a transform."""
    return None if one is None else (one.key, one.size, one.label, one.read())


def row(place: Place, name: str, label: str = "") -> tuple[str, int, str, bytes]:
    """Return what `described` returns for an object of `filled`."""
    data = name.encode() if name != NAMES[0] else b""
    return f"/{place.name}/{name}", len(data), label, data


@pytest.mark.parametrize("cls", CLASSES)
def test_oss_02_a_prefix_is_listed_without_folder_markers(cls: Any, filled: Place) -> None:
    """In order, under either spelling; keys have the bucket (OSS-01, OSS-04)."""
    for uri in (f"oss://{filled.name}/train/", f"/{filled.name}/train/"):
        dataset = cls.from_prefix(uri, filled.endpoint, transform=described, **filled.options)
        assert [*iter(dataset)] == [row(filled, name) for name in NAMES]


@pytest.mark.parametrize("cls", CLASSES)
def test_oss_03_objects_come_in_their_order(cls: Any, filled: Place) -> None:
    """A batch of them too, empty ones among them (OSS-06)."""
    order = [3, 0, 2]
    uris = [f"oss://{filled.name}/{NAMES[number]}" for number in order]
    dataset = cls.from_objects(uris, filled.endpoint, transform=described, **filled.options)
    expected = [row(filled, NAMES[number]) for number in order]
    assert [*iter(dataset)] == expected
    if cls is OssMapDataset:
        assert dataset.__getitems__([2, 1, -3]) == [expected[2], expected[1], expected[0]]


@pytest.mark.parametrize("cls", CLASSES)
def test_oss_08_workers_share_one_listing_and_read_each_object_once(
    cls: Any, filled: Place
) -> None:
    """The requests that the server got say so."""
    uri = f"oss://{filled.name}/train/"
    dataset = cls.from_prefix(uri, filled.endpoint, transform=described, **filled.options)
    loader = DataLoader(dataset, batch_size=3, num_workers=2, collate_fn=list)
    found = [one for batch in loader for one in batch]
    assert sorted(found) == [row(filled, name) for name in NAMES]
    assert filled.reads() == (1, Counter(NAMES))


@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_oss_09_workers_read_after_the_parent_has(filled: Place, context: str) -> None:
    """With the labels of a manifest on OSS (OSS-10)."""
    lines = "".join(f"{name}\t{number}\n" for number, name in enumerate(NAMES[:4]))
    filled.put("list.tsv", lines.encode())
    dataset = OssMapDataset.from_manifest_file(
        f"oss://{filled.name}/list.tsv",
        imagenet_manifest_parser,
        f"oss://{filled.name}/",
        filled.endpoint,
        transform=described,
        **filled.options,
    )
    expected = [row(filled, name, str(number)) for number, name in enumerate(NAMES[:4])]
    assert dataset[1] == expected[1]
    loader = DataLoader(
        dataset, batch_size=2, num_workers=1, collate_fn=list, multiprocessing_context=context
    )
    assert [one for batch in loader for one in batch] == expected


def test_oss_07_missing_objects_are_left_out_of_an_iteration(filled: Place) -> None:
    """And counted; a map dataset raises, unless it is told to give None (OSS-05)."""
    uris = [f"oss://{filled.name}/{name}" for name in (NAMES[1], "train/none", NAMES[2])]
    options = {"transform": described, **filled.options}
    iterable: Any = OssIterableDataset.from_objects(uris, filled.endpoint, **options)
    expected = [row(filled, NAMES[1]), row(filled, NAMES[2])]
    for epoch in (1, 2):
        assert [*iterable] == expected
        assert iterable.stats()["skipped"] == epoch
    strict = OssMapDataset.from_objects(uris, filled.endpoint, **options)
    with pytest.raises(NotFoundError, match="train/none"):
        strict.__getitems__([0, 1])
    lenient = OssMapDataset.from_objects(uris, filled.endpoint, on_missing="none", **options)
    assert [lenient[1], *lenient.__getitems__([1, 2])] == [None, None, expected[1]]


def test_oss_22_a_tar_on_oss(filled: Place, tmp_path: Path) -> None:
    """Neighbours come by one request, others by one each (OSS-20); shuffled chunks (OSS-23)."""
    tar, index = f"oss://{filled.name}/t.tar", f"oss://{filled.name}/t.idx"
    source = f"oss://{filled.name}/train/"
    generate_tar_archive(filled.endpoint, filled.keys, "", tar, index, source, region=REGION)
    keys = [name.removeprefix("train/") for name in NAMES]
    options = {"transform": described, **filled.options}
    dataset = OssMapDataset.from_tar(tar, index, filled.endpoint, **options)
    expected = [
        (key, row(filled, name)[1], str(number), row(filled, name)[3])
        for number, (key, name) in enumerate(zip(keys, NAMES, strict=True))
    ]
    filled.log()
    assert dataset.__getitems__([2, 3, 4]) == expected[2:5]
    assert filled.reads() == (0, Counter({"t.tar": 1}))
    assert [dataset[-1], dataset[7]] == [expected[-1], expected[7]]
    assert filled.reads() == (0, Counter({"t.tar": 2}))
    with pytest.raises(IndexError, match="<OssMapDataset>"):
        dataset[12]
    shuffled: Any = OssIterableDataset.from_tar(
        tar, index, filled.endpoint, shuffle=True, shuffle_chunk_size=2, **options
    )
    shuffled.shuffle(torch.Generator().manual_seed(1))
    loader = DataLoader(shuffled, batch_size=None, num_workers=2)
    assert sorted(tuple(one) for one in loader) == sorted(expected)


class Provider:
    """A provider as those of Alibaba's SDKs, with temporary keys."""

    def get_credentials(self) -> Any:
        """See the name."""
        return SimpleNamespace(
            access_key_id=TOKEN_KEY_ID, access_key_secret=SECRET, security_token=TOKEN
        )


def test_oss_31_each_kind_of_keys_reaches_the_store(
    filled: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider, the environment; wrong ones are refused without showing them (OSS-32)."""
    uri = f"oss://{filled.name}/{NAMES[1]}"

    def read(**options: Any) -> bytes:
        dataset = OssMapDataset.from_objects(uri, filled.endpoint, region=REGION, **options)
        return dataset[0].read()

    assert read(cred_provider=Provider()) == NAMES[1].encode()
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", SECRET)
    assert read() == NAMES[1].encode()
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"AccessKeyId": KEY_ID, "AccessKeySecret": "hidden-one"}), "utf-8")
    with pytest.raises(AccessError) as caught:
        read(cred_path=str(wrong))
    assert "hidden-one" not in str(caught.value)


def test_oss_34_the_audit_file_has_a_line_for_each_request(filled: Place, tmp_path: Path) -> None:
    """Those of each worker in a file of its own, without secrets."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auditPath": f"{tmp_path}/audit.log"}), "utf-8")
    dataset = OssMapDataset.from_prefix(
        f"oss://{filled.name}/train/",
        filled.endpoint,
        config_path=str(config),
        cred_provider=Provider(),
        region=REGION,
        transform=described,
    )
    loader = DataLoader(dataset, batch_size=6, num_workers=2, collate_fn=list)
    assert len([one for batch in loader for one in batch]) == 12
    files = [(tmp_path / f"audit.log_{worker}").read_text("utf-8") for worker in (0, 1)]
    lines = [[line.split("|")[2] for line in file.splitlines()] for file in files]
    assert lines[0].pop(0).startswith(f"GET oss://{filled.name}?list-type=2&")
    for worker in (0, 1):
        own = NAMES[6 * worker : 6 * worker + 6]
        assert sorted(lines[worker]) == [f"GET oss://{filled.name}/{name} 200" for name in own]
    assert not any(secret in file for file in files for secret in (SECRET, TOKEN, "Signature"))
