"""AISShardReader, over local folders: what it yields, in which order, and to whom."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from aisio import AISShardReader, ShardError


def write_shard(path: Path, members: dict[str, bytes]) -> None:
    """Write a tar with these members."""
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def shards(tmp_path):
    """Return a folder with five shards of four samples each."""
    for shard in range(5):
        members = {}
        for sample in range(4):
            members[f"{shard}{sample}.jpg"] = os.urandom(100)
            members[f"{shard}{sample}.cls"] = b"%d" % sample
        write_shard(tmp_path / f"shard-{shard}.tar", members)
    return f"file://{tmp_path}/shard-"


SAMPLES = [f"{shard}{sample}" for shard in range(5) for sample in range(4)]


def test_shard_reader_yields_basename_and_fields(shards):
    """AIS-11: members grouped by basename, in the order of shards and samples."""
    reader = AISShardReader(shards)
    got = [*iter(reader)]
    assert [basename for basename, _ in got] == SAMPLES
    assert all(list(fields) == ["cls", "jpg"] for _, fields in got)
    assert [fields["cls"] for _, fields in got[:4]] == [b"0", b"1", b"2", b"3"]


def test_shard_reader_pads_for_the_default_collate(tmp_path):
    """AIS-12: a missing extension is b"", so that batches collate; workers pickle it."""
    write_shard(tmp_path / "a.tar", {"0.jpg": b"j", "0.txt": b"t", "1.jpg": b"k", "2.txt": b"u"})
    loader = DataLoader(AISShardReader(tmp_path), batch_size=3, num_workers=1)
    [(basenames, fields)] = list(loader)
    assert list(basenames) == ["0", "1", "2"]
    assert fields == {"jpg": [b"j", b"k", b""], "txt": [b"t", b"", b"u"]}


def test_shard_reader_keys_select(shards):
    """`keys` fixes the fields, whatever the shards hold."""
    fields = [fields for _, fields in iter(AISShardReader(shards, keys=["cls", "mask.png"]))]
    assert fields[1] == {"cls": b"1", "mask.png": b""}


def test_folders_readmes_and_dots_do_no_harm(tmp_path):
    """AIS-13: equal basenames in two folders stay apart; README and folders are no samples."""
    write_shard(
        tmp_path / "a.tar",
        {"v1.0/x.jpg": b"1", "v1.0/README": b"r", "w/x.jpg": b"2", "w/x.left.png": b"3"},
    )
    got = [(basename, dict(fields)) for basename, fields in iter(AISShardReader(tmp_path))]
    assert got == [("x", {"jpg": b"1", "left.png": b""}), ("x", {"jpg": b"2", "left.png": b"3"})]


@pytest.mark.parametrize(
    "data", [b"not a tar at all", b"", os.urandom(2000), b"\x1f\x8b" + bytes(600)]
)
def test_a_foreign_object_is_a_tar_error(tmp_path, data):
    """AIS-14: class, shard and cause are in the text, since that is all a worker can send."""
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(tarfile.TarError, match="<AISShardReader> file://.*a.tar"):
        list(iter(AISShardReader(tmp_path)))
    with pytest.raises(ShardError, match="<AISShardReader> file://.*a.tar"):
        list(DataLoader(AISShardReader(tmp_path), batch_size=None, num_workers=1))


def test_a_cut_shard_is_an_error_at_any_block(tmp_path):
    """A shard without its end is never a short epoch; whole samples before the cut were given."""
    write_shard(tmp_path / "whole.tar", {f"{n}.txt": b"x" for n in range(3)})
    whole = (tmp_path / "whole.tar").read_bytes()[: 3 * 1024]
    (tmp_path / "whole.tar").unlink()
    for blocks in range(7):
        (tmp_path / "a.tar").write_bytes(whole[: blocks * 512])
        with pytest.raises(ShardError, match=r"a\.tar"):
            list(iter(AISShardReader(tmp_path)))


def test_shard_reader_len_counts_samples(shards):
    """AIS-15: samples, not members; the reader stays usable."""
    reader = AISShardReader(shards)
    assert len(reader) == 20
    assert len([*iter(reader)]) == 20


def test_a_ranks_len_is_what_it_yields(shards, monkeypatch):
    """With ranks, length and samples are the rank's own."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, expected in ((0, 12), (1, 8)):
        monkeypatch.setenv("RANK", str(rank))
        reader = AISShardReader(shards)
        assert (len(reader), len([*iter(reader)])) == (expected, expected)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_workers_share_the_shards(shards, workers):
    """Each sample comes from exactly one worker."""
    loader = DataLoader(AISShardReader(shards), batch_size=4, num_workers=workers)
    assert sorted(basename for basenames, _ in loader for basename in basenames) == SAMPLES


def test_interleaved_members_need_the_option(tmp_path):
    """Members that do not lie side by side are an error that names the option for them."""
    write_shard(tmp_path / "a.tar", {"0.jpg": b"a", "1.jpg": b"b", "0.cls": b"c"})
    with pytest.raises(ShardError, match="interleaved=True"):
        list(iter(AISShardReader(tmp_path)))
    got = [
        (basename, fields["cls"])
        for basename, fields in iter(AISShardReader(tmp_path, interleaved=True))
    ]
    assert got == [("0", b"c"), ("1", b"")]
    assert len(AISShardReader(tmp_path, interleaved=True)) == 2


def test_open_shards_are_closed_when_an_epoch_is_cut_short(shards):
    """Breaking off leaves no descriptor open."""
    reader = AISShardReader(shards)
    next(iter(reader))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        iterator = iter(reader)
        next(iterator)
        del iterator
    assert len(list(Path("/proc/self/fd").iterdir())) == before
