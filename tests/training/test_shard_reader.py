"""AISShardReader, over local folders: what it yields, in which order, and to whom."""

from __future__ import annotations

import copy
import gc
import gzip
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from aisio import AISShardReader, ConfigError, DecodeError, NotFoundError, ShardError


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
    with pytest.warns(UserWarning, match=r"^<AISShardReader> none of .*'mask\.png'.*'jpg'$"):
        fields = [fields for _, fields in iter(AISShardReader(shards, keys=["cls", "mask.png"]))]
    assert fields[1] == {"cls": b"1", "mask.png": b""}


@pytest.mark.parametrize("keys", [[], "jpg", [".jpg"], ["jpg", "jpg"], [""], ["a/b"], [1]])
def test_keys_that_cannot_be_meant_are_refused(keys):
    """One text is not taken for its letters, and no field has such a name."""
    with pytest.raises(ConfigError, match="keys="):
        AISShardReader("file:///nowhere/", keys=keys)


def test_a_new_field_in_a_later_shard_is_an_error(tmp_path):
    """Torch's default collate would drop it from its batch; other fields go on with an option."""
    names = {shard: [f"{shard}{number:03d}.jpg" for number in range(100)] for shard in "ab"}
    names["b"].insert(50, "b049.txt")
    for shard, members in names.items():
        write_shard(tmp_path / f"{shard}.tar", dict.fromkeys(members, b"data"))
    with pytest.raises(ShardError, match=r"^<AISShardReader> .*b\.tar: sample 'b049' .*'txt'"):
        list(AISShardReader(tmp_path))
    with pytest.warns(UserWarning, match="collate drops it from this batch; pass keys="):
        added = list(AISShardReader(tmp_path, new_fields="add"))
    assert [len(fields) for _, fields in added] == [1] * 149 + [2] * 51


def test_full_key_yields_the_whole_key(tmp_path):
    """The class is often the folder: n01440764/1 and n02102040/1 are two samples."""
    write_shard(tmp_path / "a.tar", {"./n01440764/1.v2.JPEG": b"a", "n02102040/1.v2.JPEG": b"b"})
    keys = [key for key, _ in AISShardReader(tmp_path, full_key=True)]
    assert keys == ["n01440764/1", "n02102040/1"]
    assert [basename for basename, _ in AISShardReader(tmp_path, full_key=False)] == ["1", "1"]
    with pytest.warns(UserWarning, match=r"^<AISShardReader> .*'n01440764/' and 'n02102040/'"):
        assert [basename for basename, _ in AISShardReader(tmp_path)] == ["1", "1"]


def test_one_folder_for_all_samples_is_no_loss(tmp_path):
    """Then the basename tells as much as the key, and there is nothing to warn of."""
    for shard in "ab":
        write_shard(tmp_path / f"{shard}.tar", {f"train/{shard}.jpg": b"a"})
    assert [basename for basename, _ in AISShardReader(tmp_path)] == ["a", "b"]


def test_a_rare_member_does_no_harm_where_it_is_not_wanted(tmp_path):
    """A link, or a file of an unknown type, is an error that names it where it is."""
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in (("1.cls", b"0"), ("1.jpg", b"2"), ("1.raw", b"Z"), ("2.cls", b"0")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, "other", int(kind == b"Z")
            tar.addfile(info, io.BytesIO(b"x"))
    assert [name for name, _ in AISShardReader(tmp_path, keys=["cls"])] == ["1", "2"]
    for key, what in (("jpg", "symlink to 'other'"), ("raw", "of the unknown type b'Z'")):
        with pytest.raises(ShardError, match=rf"member '1\.{key}' at byte \d+ is .*{what}"):
            list(AISShardReader(tmp_path, keys=["cls", key]))
        with pytest.raises(ShardError, match=what):
            AISShardReader(tmp_path, keys=["cls", key]).count()


def test_folders_readmes_and_dots_do_no_harm(tmp_path):
    """AIS-13: equal basenames in two folders stay apart; README and folders are no samples."""
    write_shard(
        tmp_path / "a.tar",
        {"v1.0/x.jpg": b"1", "v1.0/README": b"r", "w/x.jpg": b"2", "w/x.left.png": b"3"},
    )
    got = [
        (basename, dict(fields))
        for basename, fields in iter(AISShardReader(tmp_path, full_key=False))
    ]
    assert got == [("x", {"jpg": b"1", "left.png": b""}), ("x", {"jpg": b"2", "left.png": b"3"})]


@pytest.mark.parametrize(
    "data", [b"not a tar at all", b"", b"\xff" * 2000, b"\x1f\x8b" + bytes(600)]
)
def test_a_foreign_object_is_a_tar_error(tmp_path, data):
    """AIS-14: class, shard and cause are in the text, since that is all a worker can send."""
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(tarfile.TarError, match="<AISShardReader> file://.*a.tar"):
        list(iter(AISShardReader(tmp_path)))
    with pytest.raises(ShardError, match="<AISShardReader> file://.*a.tar"):
        list(DataLoader(AISShardReader(tmp_path), batch_size=None, num_workers=1))


def test_a_cut_shard_is_an_error_at_any_block(tmp_path):
    """A shard without its end is an error, not a short epoch."""
    write_shard(tmp_path / "whole.tar", {f"{n}.txt": b"x" for n in range(3)})
    whole = (tmp_path / "whole.tar").read_bytes()[: 3 * 1024]
    (tmp_path / "whole.tar").unlink()
    for blocks in range(7):
        (tmp_path / "a.tar").write_bytes(whole[: blocks * 512])
        with pytest.raises(ShardError, match=r"a\.tar"):
            list(iter(AISShardReader(tmp_path)))


def test_shard_reader_counts_samples(shards):
    """AIS-15: samples, not members; the reader stays usable."""
    reader = AISShardReader(shards)
    assert reader.count() == 20
    assert len(list(reader)) == 20


def test_shard_reader_counts_once(shards, tmp_path):
    """AIS-15: what was counted is known."""
    reader = AISShardReader(shards)
    assert (reader.count(), reader.count_batches(6)) == (20, 4)
    for file in tmp_path.iterdir():
        file.unlink()
    assert (reader.count(), reader.count_batches(20)) == (20, 1)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_counted_as_a_loader_makes_them(shards, workers, drop_last):
    """A last batch a worker, whole or not: what len() of a loader cannot know, and does not say."""
    reader = AISShardReader(shards)
    loader = DataLoader(reader, batch_size=3, num_workers=workers, drop_last=drop_last)
    with pytest.raises(TypeError, match=r"<AISShardReader> has no length.*count_batches"):
        len(loader)
    batches = sum(1 for _ in loader)
    assert reader.count_batches(3, num_workers=workers, drop_last=drop_last) == batches
    told = DataLoader(AISShardReader(shards, length=batches * 3), batch_size=3, drop_last=drop_last)
    assert len(told) == batches


def test_batches_of_nothing_are_refused(shards):
    """As by a DataLoader."""
    with pytest.raises(ConfigError, match="batch_size=0"):
        AISShardReader(shards).count_batches(0)


def test_a_ranks_count_is_what_it_yields(shards, monkeypatch):
    """With ranks, count and samples are the rank's own."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, expected in ((0, 12), (1, 8)):
        monkeypatch.setenv("RANK", str(rank))
        reader = AISShardReader(shards)
        assert (reader.count(), len(list(reader))) == (expected, expected)


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
    assert AISShardReader(tmp_path, interleaved=True).count() == 2


def test_open_shards_are_closed_when_an_epoch_is_cut_short(shards):
    """Breaking off leaves no descriptor open."""
    reader = AISShardReader(shards)
    next(iter(reader))
    gc.collect()  # what earlier tests left must not go meanwhile
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        iterator = iter(reader)
        next(iterator)
        del iterator
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_compressed_shards_are_read_whatever_they_are_called(tmp_path):
    """One compressed, one not, one with a name that lies."""
    for name in ("a.tar", "b.tgz", "c.tar"):
        write_shard(tmp_path / name, {f"{name[0]}.jpg": b"j" * 9000})
    for name in ("b.tgz", "c.tar"):
        (tmp_path / name).write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    reader = AISShardReader(tmp_path)
    assert [basename for basename, _ in iter(reader)] == ["a", "b", "c"]
    assert reader.count() == 3


def test_a_zip_is_refused_by_name(tmp_path):
    """Its table of contents is at its end: it cannot be streamed."""
    with zipfile.ZipFile(tmp_path / "a.tar", "w") as archive:
        archive.writestr("0.jpg", b"j")
    with pytest.raises(ShardError, match=r"a\.tar: not a tar archive but a zip.*repack"):
        list(iter(AISShardReader(tmp_path)))


@pytest.fixture
def bad_shards(tmp_path):
    """Return a folder of shards, of which the second is cut and the third no tar."""
    for shard in range(4):
        members = {f"{shard}{sample}.jpg": b"j" * 600 for sample in range(4)}
        write_shard(tmp_path / f"{shard}.tar", members)
    data = (tmp_path / "1.tar").read_bytes()
    (tmp_path / "1.tar").write_bytes(data[: 2 * 1536 + 600])
    (tmp_path / "2.tar").write_bytes(b"<html>not found</html>")
    return tmp_path


GOOD = ["00", "01", "02", "03", "10", "11", "30", "31", "32", "33"]


@pytest.mark.parametrize("prefetch_bytes", [0, 100, 1 << 24])
def test_on_error_skip_skips_bad_shards(bad_shards, prefetch_bytes, caplog):
    """The rest of a bad shard is left out; the list and the log say which, where, and why."""
    reader = AISShardReader(bad_shards, on_error="skip", prefetch_bytes=prefetch_bytes)
    assert [basename for basename, _ in iter(reader)] == GOOD
    cut, foreign = reader.quarantine
    assert (cut.url[-6:], cut.offset, cut.samples_given) == ("/1.tar", 3672, 2)
    assert "cut at byte 3672" in cut.cause
    assert (foreign.url[-6:], foreign.samples_given, foreign.samples_lost) == ("/2.tar", 0, None)
    assert [record.name for record in caplog.records] == ["aisio.shard_reader"] * 2
    assert reader.count() == len(GOOD)


def test_bad_shards_raise_by_default(bad_shards):
    """A smaller data set is nothing that one finds out afterwards."""
    reader = AISShardReader(bad_shards)
    with pytest.raises(ShardError, match=r"1\.tar: cut at byte 3672"):
        list(iter(reader))
    assert reader.quarantine == ()


def test_refused_members_tell_how_many_samples_they_cost(tmp_path):
    """The shard behind them is there and can be counted."""
    write_shard(tmp_path / "a.tar", {"0.a": b"", "1.a": b"", "0.b": b"", "2.a": b"", "3.a": b""})
    reader = AISShardReader(tmp_path, on_error="skip")
    assert [basename for basename, _ in iter(reader)] == ["0", "1"]
    (entry,) = reader.quarantine
    assert (entry.offset, entry.samples_given, entry.samples_lost) == (1024, 2, 2)


@pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("forkserver", 1)])
def test_the_parent_sees_what_its_workers_skipped(bad_shards, context, workers):
    """Each worker's entries, once, whether it inherited or unpickled the reader."""
    reader = AISShardReader(bad_shards, on_error="skip")
    loader = DataLoader(
        reader,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context=multiprocessing.get_context(context),
    )
    assert sorted(basename for basename, _ in loader) == GOOD
    assert sorted(entry.url[-5:] for entry in reader.quarantine) == ["1.tar", "2.tar"]


def test_a_copy_of_the_reader_elsewhere_keeps_its_own_list(bad_shards):
    """What a reader skipped is a matter of that object and its workers."""
    reader = AISShardReader(bad_shards, on_error="skip", prefetch_bytes=0)
    copy = pickle.loads(pickle.dumps(reader))
    assert [basename for basename, _ in iter(copy)] == GOOD
    assert len(copy.quarantine) == 2


def test_a_deep_copy_has_a_list_of_its_own(bad_shards):
    """Also when the reader that it was copied from is gone."""
    reader = AISShardReader(bad_shards, on_error="skip")
    alone = copy.deepcopy(reader)
    assert [basename for basename, _ in iter(alone)] == GOOD
    assert (len(reader.quarantine), len(alone.quarantine)) == (0, 2)
    del reader
    assert (len(alone.quarantine), alone.stats()["items"]) == (2, len(GOOD))


def test_skip_does_not_hide_a_missing_folder(tmp_path):
    """No source is no bad shard."""
    reader = AISShardReader(tmp_path / "none", on_error="skip")
    with pytest.raises(NotFoundError):
        list(iter(reader))
    assert reader.quarantine == ()


@pytest.mark.parametrize(
    "option",
    [{"on_error": "ignore"}, {"prefetch_bytes": -1}, {"new_fields": "drop"}, {"split": "ranks"}],
)
def test_the_constructor_checks_its_arguments(option):
    """Not at the first sample, in a worker."""
    with pytest.raises(ConfigError, match=next(iter(option))):
        AISShardReader("file:///nowhere/", **option)


def test_more_readers_than_shards_gives_a_warning(shards, caplog, monkeypatch):
    """By the last of them, as far as it has nothing to read."""
    monkeypatch.setenv("WORLD_SIZE", "6")
    for rank in (4, 5):
        monkeypatch.setenv("RANK", str(rank))
        assert caplog.text == ""
        assert len([*iter(AISShardReader(shards))]) == (4 if rank == 4 else 0)
    assert "<AISShardReader> worker 0 of rank 5 has nothing to read: too few shards" in caplog.text


LIVE_AT_EXIT = """
import logging, sys
from aisio import AISIterDataset, AISShardReader
from aisio.shards.prefetch import Prefetch
from aisio.transport.concurrency.threads import reading_threads

class Reader(AISShardReader):
    def _prefetch(self, shards):
        return Prefetch(shards, self._prefetch_bytes, join_s=500.0)

logging.basicConfig(level=logging.INFO)
reading_threads().close_wait_s = 500.0
live = [iter(Reader(sys.argv[1], prefetch_bytes=1000)), iter(AISIterDataset(sys.argv[1]))]
for one in live:
    next(one)
"""


def test_a_program_ends_at_once_though_epochs_are_open(shards):
    """No thread is waited for that stands still, and nothing is said that nobody can hear."""
    program = [sys.executable, "-c", LIVE_AT_EXIT, shards]
    done = subprocess.run(program, capture_output=True, text=True, timeout=250)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_thread_outlives_its_iteration(shards):
    """Neither one that was read out nor one that was cut short."""
    reader = AISShardReader(shards, prefetch_bytes=1000)
    before = threading.active_count()
    assert len([*iter(reader)]) == 20
    for _ in range(5):
        samples = iter(reader)
        next(samples)
        del samples
    assert threading.active_count() <= before


SIDECARS = ["00000.parquet", "00000_stats.json", "00000.tar.idx", ".DS_Store", "_SUCCESS", "a.csv"]


@pytest.fixture
def with_sidecars(tmp_path):
    """Return a folder with one shard, and what tools leave beside it."""
    write_shard(tmp_path / "00000.tar", {"1.jpg": b"image"})
    for name in SIDECARS:
        (tmp_path / name).write_bytes(b"no tar at all" * 50)
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_sidecars_are_left_out_with_one_line(with_sidecars, workers, caplog):
    """It says how many, and which, in the process that lists."""
    reader = AISShardReader(with_sidecars)
    assert reader.count() == 1
    loader = DataLoader(reader, batch_size=None, num_workers=workers)
    assert [basename for basename, _ in loader] == ["1"]
    (message,) = caplog.messages
    assert "skipped 6 (not named as tar shards, see shard_names=: " in message
    assert "1 *.json" in message


def test_shards_are_chosen_by_their_names(with_sidecars, caplog):
    """By a pattern; a shard that is named itself is read whatever it is called."""
    (with_sidecars / "00000.tar").rename(with_sidecars / "shard-0")
    with pytest.raises(NotFoundError, match="nothing to read: skipped 7"):
        [*iter(AISShardReader(with_sidecars))]
    for reader in (
        AISShardReader(with_sidecars, shard_names="shard-*"),
        AISShardReader(f"file://{with_sidecars}/shard-0"),
        AISShardReader(f"file://{with_sidecars}/shard-{{0..0}}"),
        AISShardReader(with_sidecars / "shard-0"),
    ):
        assert [basename for basename, _ in reader] == ["1"]
    with pytest.raises(ShardError, match="a.csv|DS_Store|parquet"):
        [*iter(AISShardReader(with_sidecars, shard_names="*"))]


def test_shards_are_named_as_webdataset_names_them(shards, tmp_path):
    """By braces and wildcards, in the order of the braces; one that is missing is an error."""
    every = [*iter(AISShardReader(f"file://{tmp_path}/shard-*.tar"))]
    assert [basename for basename, _ in every] == SAMPLES
    some = [*iter(AISShardReader(f"file://{tmp_path}/shard-{{3,1}}.tar"))]
    assert [basename for basename, _ in some] == [*SAMPLES[12:16], *SAMPLES[4:8]]
    with pytest.raises(NotFoundError, match=r"shard-5\.tar"):
        [*iter(AISShardReader(f"file://{tmp_path}/shard-{{0..5}}.tar"))]


def test_tuples_of_decoded_fields(shards):
    """In workers too, where the samples of the first shards come first."""
    options: dict[str, Any] = {"fields": ("__key__", "cls"), "decode": {"cls": int}}
    expected = [(key, int(key[1])) for key in SAMPLES]
    assert list(AISShardReader(shards, **options)) == expected
    reader = AISShardReader(shards, transform=list, **options)
    loader = DataLoader(reader, None, num_workers=2, multiprocessing_context="fork")
    assert sorted(loader) == list(map(list, expected))


def test_a_sample_without_a_field_that_is_named(tmp_path):
    """Whatever on_error= says: nobody could tell a misspelt field from a damaged shard."""
    write_shard(tmp_path / "a.tar", {"0.jpg": b"j", "0.cls": b"1"})
    reader = AISShardReader(f"file://{tmp_path}/", fields=["jpeg"], on_error="skip")
    with pytest.raises(ShardError, match="<AISShardReader> .*'0' at byte 0 has no field 'jpeg'"):
        list(reader)


def test_samples_that_cannot_be_decoded(tmp_path):
    """They are skipped, the shard is not, and both are recorded."""
    write_shard(tmp_path / "a.tar", {"0.cls": b"0", "1.cls": b"dog", "2.cls": b"2"})
    write_shard(tmp_path / "b.tar", {"3.cls": b"3"})
    (tmp_path / "c.tar").write_bytes(b"x" * 1024)
    options: dict[str, Any] = {"fields": ("__key__", "cls"), "decode": {"cls": int}}
    with pytest.raises(DecodeError, match="<AISShardReader> .*a.tar: sample '1' at byte 1024: fie"):
        list(AISShardReader(f"file://{tmp_path}/", **options))
    reader = AISShardReader(f"file://{tmp_path}/", on_error="skip", **options)
    loader = DataLoader(reader, 1, num_workers=1, multiprocessing_context="fork")
    assert [key for keys, _ in loader for key in keys] == ["0", "2", "3"]
    assert [(one.key, one.offset) for one in reader.skipped_samples] == [("1", 1024)]
    assert [one.url[-5:] for one in reader.quarantine] == ["c.tar"]
    assert AISShardReader(f"file://{tmp_path}/").skipped_samples == ()


def test_labels_by_folders(tmp_path):
    """The classes are given, or are those of the index; never those of a part of the shards."""
    write_shard(tmp_path / "a.tar", {"dog/0.jpg": b"a", "dog/1.jpg": b"b"})
    write_shard(tmp_path / "b.tar", {"cat/2.jpg": b"c"})
    url = f"file://{tmp_path}/"
    options: dict[str, Any] = {"fields": ["jpg", "cls"], "label_from": "folder"}
    reader = AISShardReader(url, classes=["dog", "cat"], **options)
    assert (list(reader), reader.classes) == ([(b"a", 0), (b"b", 0), (b"c", 1)], ("dog", "cat"))
    with pytest.raises(ConfigError, match="a.tar has no index that says which folders .* classes="):
        list(AISShardReader(url, **options))
    list(AISShardReader(url, index="build", full_key=True))
    reader = AISShardReader(url, **options)
    assert (list(reader), reader.classes) == ([(b"a", 1), (b"b", 1), (b"c", 0)], ("cat", "dog"))
    assert AISShardReader(url).classes == ()
