"""IndexPack: packs that Lhotse wrote, local and in a store."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - Lhotse needs it

from aisio import Bucket, NotFoundError, ShardError
from aisio.integrations.lhotse import IndexPack

lhotse = pytest.importorskip("lhotse")

from lhotse import index_pack as theirs  # noqa: E402
from lhotse.indexing import create_jsonl_index  # noqa: E402

LINES = [b'{"n": %d}\n' % number for number in range(9)]


@pytest.fixture
def specs(tmp_path: Path) -> list[Any]:
    """Return collections as Lhotse specifies them: records, paths and values."""
    paths = []
    for number, (first, stop) in enumerate([(0, 4), (4, 4), (4, 9)]):
        path = tmp_path / f"é-{number}.jsonl"
        path.write_bytes(b"".join(LINES[first:stop]))
        create_jsonl_index(path)
        paths.append(str(path))
    (tmp_path / "order.u32").write_bytes(struct.pack("<9I", *reversed(range(9))))
    return [
        theirs.IndexPackCollectionSpec("cuts", "jsonl", "é-{0..2}.jsonl", (*paths, paths[0])),
        theirs.IndexPackCollectionSpec("audio", "tar", ["x"], ("a.tar", "b.tar"), False),
        theirs.IndexPackArraySpec("order", "uint32", None, (tmp_path / "order.u32",)),
    ]


@pytest.fixture
def path(specs: list[Any], tmp_path: Path) -> Path:
    """Return a pack that Lhotse wrote."""
    sizes = {"a.tar": 100}
    (tmp_path / "a.tar").write_bytes(bytes(100))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        return Path(
            theirs.write_index_pack(tmp_path / "x.idxpack", specs, source_size_overrides=sizes)
        )


def test_it_finds_what_lhotse_finds(path: Path, specs: list[Any]) -> None:
    """Records, paths, sizes and values, by number, also from the end."""
    expected = theirs.IndexPack(path)
    with IndexPack(path) as pack:
        assert pack.layout_hash == expected.layout_hash == theirs.index_pack_layout_hash(specs)
        assert (pack.num_collections, pack.num_segments) == (3, expected.num_segments)
        for spec in specs:
            ours, known = pack.collection(spec.key), expected.collection(spec.key.hex())
            assert (len(ours), ours.key, ours.kind) == (len(known), known.key, known.kind)
            assert ours.is_array == known.is_array
            assert ours.offsets_required == known.offsets_required
            assert ours.num_shards == known.sequence_count
            for shard in range(-ours.num_shards, ours.num_shards):
                assert ours.shard_length(shard) == known.shard_length(shard)
                if not ours.is_array:
                    assert ours.path_for_shard(shard) == known.path_for_shard(shard)
                    assert ours.source_size_for_shard(shard) == known.source_size_for_shard(shard)
            for index in range(-len(ours), len(ours)):
                if ours.is_array:
                    assert ours.value(index) == known.value(index)
                else:
                    known_place = known.locate(index)
                    assert ours.locate(index)._asdict() == vars(known_place)
    expected.close()


def test_records_are_read_from_where_they_are(path: Path, specs: list[Any]) -> None:
    """Local files, or objects."""
    with IndexPack(path) as pack:
        records = pack.collection(specs[0].key)
        assert [records.read(index) for index in range(len(records))] == LINES + LINES[:4]


def test_a_pack_in_a_store_is_read(bucket: Bucket, path: Path, specs: list[Any]) -> None:
    """And pickles: the next process has the same one, or an error."""
    bucket.object("packs/x.idxpack").put(path)
    url = "ais://speech/packs/x.idxpack"
    pack = IndexPack(url, expected_layout_hash=theirs.index_pack_layout_hash(specs).hex())
    twin = pickle.loads(pickle.dumps(pack))
    assert [twin.collection(specs[2].key).value(index) for index in (0, -1)] == [8, 0]
    assert repr(twin) == f"IndexPack('{url}', 3 collections, 6 files)"
    pickled = pickle.dumps(pack)
    other = theirs.write_index_pack(path.with_name("y.idxpack"), specs[1:2])
    bucket.object("packs/x.idxpack").put(other)
    with pytest.raises(ShardError, match="of other files or collections"):
        pickle.loads(pickled)


def test_a_damaged_payload_is_an_error(path: Path, specs: list[Any]) -> None:
    """When it is first used; all others are read."""
    data = bytearray(path.read_bytes())
    data[-3] ^= 1  # of the values, which are last
    path.write_bytes(data)
    with IndexPack(path) as pack:
        assert pack.collection(specs[0].key).read(0) == LINES[0]
        with pytest.raises(ShardError, match=r"CRC-32 of segment 5 \(values\) is wrong"):
            pack.collection(specs[2].key).value(0)
        with pytest.raises(IndexError):
            pack.verify_segment(6)


def test_a_file_that_was_replaced_is_an_error(path: Path, specs: list[Any], tmp_path: Path) -> None:
    """Its records are elsewhere now."""
    (tmp_path / "é-0.jsonl").write_bytes(b"{}\n")
    with (
        IndexPack(path) as pack,
        pytest.raises(ShardError, match=r"it is of a file of 36 bytes, and .*-0\.jsonl has 3"),
    ):
        pack.collection(specs[0].key).read(0)


def test_what_is_not_there_is_an_error(path: Path, specs: list[Any], tmp_path: Path) -> None:
    """A file, a collection, a record; what a collection does not have."""
    with pytest.raises(NotFoundError):
        IndexPack(tmp_path / "none.idxpack")
    (tmp_path / "empty.idxpack").touch()
    with pytest.raises(ShardError, match="is empty"):
        IndexPack(tmp_path / "empty.idxpack")
    with IndexPack(path) as pack:
        with pytest.raises(KeyError, match="there is no collection 00"):
            pack.collection(bytes(32))
        records, paths, values = (pack.collection(spec.key) for spec in specs)
        for index in (13, -14):
            with pytest.raises(IndexError, match=f"there is no record {index}: there are 13"):
                records.locate(index)
        with pytest.raises(IndexError, match="there is no file 2"):
            paths.path_for_shard(2)
        with pytest.raises(TypeError, match="has values"):
            values.locate(0)
        with pytest.raises(TypeError, match="has values"):
            values.path_for_shard(0)
        with pytest.raises(TypeError, match="has records"):
            records.value(0)
