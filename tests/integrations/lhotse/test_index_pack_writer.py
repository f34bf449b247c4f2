"""Packs that aisio writes: Lhotse's own bytes, also of and to URLs."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - Lhotse needs it

from aisio import Bucket, ConfigError, ConflictError, NotFoundError, ShardError
from aisio.integrations.lhotse import (
    IndexPack,
    IndexPackArraySpec,
    IndexPackCollectionSpec,
    create_jsonl_index,
    index_file_path,
    write_index_pack,
)

lhotse = pytest.importorskip("lhotse")

from lhotse import index_pack as theirs  # noqa: E402

LINES = [b'{"n": %d}\n' % number for number in range(9)]


def write_lines(folder: Path) -> list[str]:
    """Write three indexed files of lines, and one of values."""
    paths = []
    for number, (first, stop) in enumerate([(0, 4), (4, 4), (4, 9)]):
        path = folder / f"{number}.jsonl"
        path.write_bytes(b"".join(LINES[first:stop]))
        create_jsonl_index(path)
        paths.append(str(path))
    (folder / "order.u32").write_bytes(struct.pack("<9I", *reversed(range(9))))
    return paths


def specs(paths: list[str], values: list[Path], module: Any) -> list[Any]:
    """Return collections, specified by a module's classes."""
    one = module.IndexPackCollectionSpec
    found = [
        one("cuts", "jsonl", {"b": [1, "é"], "a": None}, (*paths, paths[0])),
        one("again", "jsonl", "x", tuple(paths[1:])),
        one("audio", "tar", ["x"], ("a.tar", *paths[:1]), False),
        one("nothing", "tar", ["x"], ()),
    ]
    if values:
        found.append(module.IndexPackArraySpec("order", "values", 1.5, (*values, *values)))
    return found


class Ours:
    """The classes here."""

    IndexPackCollectionSpec = IndexPackCollectionSpec
    IndexPackArraySpec = IndexPackArraySpec


@pytest.mark.parametrize("has_values", [False, True])
@pytest.mark.parametrize("module", [Ours, theirs], ids=["ours", "theirs"])
def test_the_bytes_are_those_of_lhotse(tmp_path: Path, module: Any, *, has_values: bool) -> None:
    """Of versions 2 and 3, by either's specifications; and Lhotse reads them."""
    values = [tmp_path / "order.u32"] if has_values else []
    paths = write_lines(tmp_path)
    sizes = {paths[2]: 45}
    expected = theirs.write_index_pack(
        tmp_path / "theirs.idxpack", specs(paths, values, theirs), source_size_overrides=sizes
    )
    wanted = specs(paths, values, module)
    path = tmp_path / "sub" / "ours.idxpack"
    assert write_index_pack(path, wanted, source_size_overrides=sizes) == path
    assert path.read_bytes() == Path(expected).read_bytes()
    with theirs.IndexPack(path) as pack:
        location = pack.collection(wanted[0].key).locate(5)
        assert Path(location.path).read_bytes()[location.start : location.end] == LINES[5]
        for number in range(pack.num_segments):
            pack.verify_segment(number)


def test_what_is_in_a_store_is_packed_there(bucket: Bucket) -> None:
    """Files, indexes below a prefix, values, and the pack itself."""
    urls = [f"ais://speech/data/{number}.jsonl" for number in range(3)]
    for number, url in enumerate(urls):
        bucket.object(f"data/{number}.jsonl").put(b"".join(LINES[3 * number : 3 * number + 3]))
        create_jsonl_index(url, index_file_path(url, "ais://speech/indexes"))
    bucket.object("order.u32").put(struct.pack("<2I", 7, 8))
    records = IndexPackCollectionSpec("cuts", "jsonl", "{0..2}", urls)
    values = IndexPackArraySpec("order", "values", "", ["ais://speech/order.u32"])
    pack_url = "ais://speech/packs/x.idxpack"
    write_index_pack(pack_url, [records, values], indexes_root="ais://speech/indexes")
    with IndexPack(pack_url) as pack:
        found = pack.collection(records.key)
        assert [found.read(index) for index in (8, 0, 4)] == [LINES[8], LINES[0], LINES[4]]
        assert pack.collection(values.key).value(1) == 8


def test_an_index_of_another_version_is_an_error(bucket: Bucket) -> None:
    """Lhotse packs it. A size that is given takes the place of the index's."""
    url = "ais://speech/a.jsonl"
    bucket.object("a.jsonl").put(b"{}\n{}\n")
    create_jsonl_index(url)
    bucket.object("a.jsonl").put(b"{}\n{}\n{}\n")
    spec = IndexPackCollectionSpec("cuts", "jsonl", "a", [url])
    pack_url = "ais://speech/x.idxpack"
    with pytest.raises(ShardError, match="it is of a file of 6 bytes"):
        write_index_pack(pack_url, [spec])
    for size in (2, 3):  # a record without bytes is none
        with pytest.raises(ShardError, match=f"has records from byte {size} on"):
            write_index_pack(pack_url, [spec], source_size_overrides={url: size})
    assert not bucket.object("x.idxpack").exists()
    write_index_pack(pack_url, [spec], source_size_overrides={url: 9})
    with IndexPack(pack_url) as pack:
        assert pack.collection(spec.key).source_size_for_shard(0) == 9


def test_an_index_may_be_elsewhere(bucket: Bucket, tmp_path: Path) -> None:
    """By path."""
    url = "ais://speech/a.jsonl"
    bucket.object("a.jsonl").put(b"{}\n{}\n")
    create_jsonl_index(url, tmp_path / "repaired.idx")
    spec = IndexPackCollectionSpec("cuts", "jsonl", "a", [url])
    overrides = {url: tmp_path / "repaired.idx"}
    write_index_pack(tmp_path / "x.idxpack", [spec], index_path_overrides=overrides)
    assert len(IndexPack(tmp_path / "x.idxpack").collection(spec.key)) == 2


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    """And nothing is written, nor replaced unasked."""
    path = tmp_path / "x.idxpack"
    paths = write_lines(tmp_path)
    spec = IndexPackCollectionSpec("cuts", "jsonl", "a", paths)
    with pytest.raises(ConfigError, match="nothing to pack"):
        write_index_pack(path, [])
    with pytest.raises(ConfigError, match="same role, kind and source_spec"):
        write_index_pack(path, [spec, spec])
    with pytest.raises(ConfigError, match="role=''"):
        IndexPackCollectionSpec("", "jsonl", "a", paths)
    missing = IndexPackCollectionSpec("cuts", "jsonl", "a", [str(tmp_path / "none.jsonl")])
    with pytest.raises(NotFoundError, match=r"none\.jsonl\.idx"):
        write_index_pack(path, [missing])
    (tmp_path / "odd.u32").write_bytes(b"12345")
    with pytest.raises(ShardError, match=r"odd\.u32: 5 bytes are not values"):
        write_index_pack(path, [IndexPackArraySpec("o", "v", "", [tmp_path / "odd.u32"])])
    assert not path.exists()
    write_index_pack(path, [spec])
    with pytest.raises(ConflictError, match="overwrite=True"):
        write_index_pack(path, [spec])
    write_index_pack(path, [spec], overwrite=True)
