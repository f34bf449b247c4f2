"""`.metadata`: damage is told, and nothing in it is run."""

from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex

from aisio.checkpoint.dcp.place import CheckpointPlace, StoreFinder
from aisio.checkpoint.dcp.stored_metadata import (
    BLOCK_BYTES,
    Digested,
    Item,
    item_of,
    read_metadata,
    referenced_files,
    storage_info,
    write_metadata,
)
from aisio.errors import IntegrityError, NotFoundError
from tests.checkpoint.dcp.states import write

INDEX = MetadataIndex("a")


@pytest.fixture
def place(tmp_path: Path) -> CheckpointPlace:
    """Return the place of a checkpoint."""
    return StoreFinder(None, None, direct=False).place(tmp_path)


def metadata(info: Any) -> Metadata:
    """Return metadata with one entry."""
    return Metadata(state_dict_metadata={}, storage_data={INDEX: info})


def test_what_is_written_is_read(place: CheckpointPlace, tmp_path: Path) -> None:
    """By torch's way to read it, too."""
    write_metadata(place, metadata(storage_info("f", 5, 20, "00ff", (2, 18))))
    found, digest = read_metadata(place)
    item = item_of(found, INDEX, "url")
    assert (item.path, item.offset, item.length, item.stop) == ("f", 5, 20, 25)
    assert (item.xxh3_64, item.data) == ("00ff", (2, 18))
    assert referenced_files(found) == {"f"}
    assert read_metadata(place)[1] == digest
    with (tmp_path / ".metadata").open("rb") as file:
        assert pickle.load(file) == found


def test_each_damaged_byte_is_told(tmp_path: Path) -> None:
    """Also a missing end, and a damaged digest."""
    write(tmp_path, 1)
    place = StoreFinder(None, None, direct=False).place(tmp_path)
    path = tmp_path / ".metadata"
    data = path.read_bytes()
    damaged = [data[:-1], data[:-30], data[:100], b"", data + b"x"]
    damaged += [
        data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        for at in [*range(0, len(data), 97), *range(len(data) - 40, len(data))]
    ]
    for wrong in damaged:
        path.write_bytes(wrong)
        with pytest.raises(IntegrityError, match=r"\.metadata"):
            read_metadata(place)


def test_without_it_there_is_no_checkpoint(place: CheckpointPlace) -> None:
    """The error says why that may be."""
    with pytest.raises(NotFoundError, match=r"is no checkpoint: it has no \.metadata.* finished"):
        read_metadata(place)


class Hostile:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo run > ran",)


@pytest.mark.parametrize("wrong", [Hostile(), collections.Counter("a"), SimpleNamespace()])
def test_nothing_in_it_is_run(
    place: CheckpointPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    """Nor are classes built that metadata does not consist of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata(wrong)))
    with pytest.raises(IntegrityError, match="which is not part of a checkpoint"):
        read_metadata(place)
    assert not (tmp_path / "ran").exists()
    (tmp_path / ".metadata").write_bytes(pickle.dumps({"no": "metadata"}))
    with pytest.raises(IntegrityError, match="not the metadata of a checkpoint"):
        read_metadata(place)


def test_classes_of_the_user_that_torch_takes_for_safe(
    place: CheckpointPlace, tmp_path: Path
) -> None:
    """Planners may store what they like."""
    torch.serialization.add_safe_globals([SimpleNamespace])
    content = Metadata(state_dict_metadata={}, storage_data={}, planner_data=SimpleNamespace(a=1))
    (tmp_path / ".metadata").write_bytes(pickle.dumps(content))
    try:
        assert read_metadata(place)[0].planner_data == SimpleNamespace(a=1)
    finally:
        torch.serialization.clear_safe_globals()


@pytest.mark.parametrize(
    "info",
    [
        storage_info("f", -1, 20, "", None),
        storage_info("f", 0, -20, "", None),
        storage_info("f", 0, 20, "", (0, 21)),
        storage_info("f", 0, 20, "", (-1, 5)),
        storage_info("f", "0", 20, "", None),  # type: ignore[arg-type]
        storage_info("f", 0, 20, "", None, bytes(16)),
        storage_info("f", 0, 20, "", None, 7),  # type: ignore[arg-type]
        None,
    ],
)
def test_a_place_that_cannot_be_is_told(info: Any) -> None:
    """Nothing is read from there."""
    with pytest.raises(IntegrityError, match=r"url: .*MetadataIndex\(fqn='a'"):
        item_of(metadata(info), INDEX, "url")
    with pytest.raises(IntegrityError, match="does not say where"):
        item_of(metadata(info), MetadataIndex("b"), "url")


def test_a_part_of_an_item_is_whole_blocks() -> None:
    """With their digests; an item without them is read whole."""
    size = 2 * BLOCK_BYTES + 5
    item = Item(storage_info("f", 100, size, "00", (50, size - 50), bytes(range(24))))
    assert list(item.digested()) == [Digested(100, 100 + size, "00")]
    for first, stop in ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3)):
        part = item.part(first * BLOCK_BYTES + 1, min(stop * BLOCK_BYTES, size))
        blocks = list(part.digested())
        assert (part.offset, part.stop) == (blocks[0].start, blocks[-1].stop)
        assert blocks == [
            Digested(
                100 + number * BLOCK_BYTES,
                min(100 + (number + 1) * BLOCK_BYTES, 100 + size),
                bytes(range(8 * number, 8 * number + 8)).hex(),
            )
            for number in range(first, stop)
        ]
    assert item.part(1, size) is item
    whole = Item(storage_info("f", 100, size, "00", (50, size - 50)))
    assert whole.part(BLOCK_BYTES, BLOCK_BYTES + 1) is whole
    assert list(whole.digested()) == [Digested(100, 100 + size, "00")]
