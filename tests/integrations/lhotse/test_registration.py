"""Lhotse reads by aisio: real CutSets, lazy manifests and Shar, from a gateway."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from aisio import Bucket, ShardError
from tests.integrations.lhotse.conftest import (
    CUTS,
    audio,
    cuts_of,
    put_folder,
    recording,
    samples_of,
)

lhotse = pytest.importorskip("lhotse")

from lhotse import serialization  # noqa: E402
from lhotse.dataset import AudioSamples  # noqa: E402
from lhotse.shar import lazy_pointer  # noqa: E402

from aisio.integrations.lhotse import (  # noqa: E402
    AISBatchLoader,
    AisioIOBackend,
    AISRangeReader,
    create_jsonl_index,
    is_registered,
    register,
    registered,
    unregister,
)
from aisio.integrations.lhotse.batch_loader import GetBatchLoader  # noqa: E402

EVERY = list(range(CUTS))


@pytest.fixture
def reads(bucket: Bucket) -> Iterator[Bucket]:
    """Have Lhotse read by aisio."""
    with registered():
        yield bucket


@pytest.fixture
def fields(
    reads: Bucket, shar: tuple[Path, dict[str, list[str]]]
) -> Iterator[dict[str, list[str]]]:
    """Return the URLs of Shar in the bucket, by field."""
    folder, names = shar
    put_folder(reads, folder, "shar/")
    yield {field: [f"ais://speech/shar/{one}" for one in found] for field, found in names.items()}
    lazy_pointer.close_all()


def numbers(cuts: Any) -> list[int]:
    """Return which recordings cuts have, by their audio."""
    known = {tuple(samples_of(number)): number for number in EVERY}
    return [known[tuple(audio(cut))] for cut in cuts]


def test_registering_can_be_undone(bucket: Bucket) -> None:
    """And repeated."""
    theirs = lhotse.ais.AISRangeReader, lhotse.ais.AISBatchLoader
    read_index = lhotse.indexing.read_index
    backend = serialization.get_current_io_backend()
    for _ in range(2):
        register()
        register()
        assert is_registered()
        assert (lhotse.ais.AISRangeReader, lhotse.ais.AISBatchLoader) == (
            AISRangeReader,
            AISBatchLoader,
        )
        assert lhotse.ais.range_reader.AISRangeReader is AISRangeReader
        assert lazy_pointer._uses_aistore_backend("s3://speech/a.tar")
        unregister()
        unregister()
        assert not is_registered()
        assert (lhotse.ais.AISRangeReader, lhotse.ais.AISBatchLoader) == theirs
        assert lhotse.ais.batch_loader.AISBatchLoader is theirs[1]
        assert lhotse.indexing.read_index is read_index
        assert serialization.get_current_io_backend() is backend


def test_lhotse_may_send_get_batches(bucket: Bucket) -> None:
    """Where that is asked for, also in a worker."""
    with registered():
        with registered(get_batch=True):
            made = AudioSamples(use_batch_loader=True).ais_batch_loader
            pickled = pickle.dumps(cuts_of(recording(3)))
        assert (type(made), made.get_batch) == (GetBatchLoader, True)
        assert pickle.loads(pickle.dumps(made)).get_batch
        assert AudioSamples(use_batch_loader=True).ais_batch_loader.get_batch is False
    pickle.loads(pickled)
    register(0)  # as a worker_init_fn
    assert lhotse.ais.AISBatchLoader is GetBatchLoader
    register(get_batch=False)
    assert lhotse.ais.AISBatchLoader is AISBatchLoader
    unregister()


def test_a_backend_that_was_chosen_later_stays(bucket: Bucket) -> None:
    """Only what `register` changed is put back."""
    before = serialization.CURRENT_IO_BACKEND
    with registered():
        chosen = serialization.set_current_io_backend(serialization.BuiltinIOBackend())
    assert serialization.get_current_io_backend() is chosen
    with registered():
        assert [type(one) for one in serialization.get_current_io_backend().backends] == [
            AisioIOBackend,
            serialization.BuiltinIOBackend,
        ]
    serialization.CURRENT_IO_BACKEND = before


def test_registering_again_puts_aisio_before_a_new_backend(bucket: Bucket) -> None:
    """As after Lhotse was set back to its default."""
    before = serialization.CURRENT_IO_BACKEND
    with registered():
        chosen = serialization.set_current_io_backend(serialization.BuiltinIOBackend())
        register()
        assert serialization.get_current_io_backend().handles_special_case("ais://b/a")
    assert serialization.get_current_io_backend() is chosen
    serialization.CURRENT_IO_BACKEND = before


def test_lhotse_chooses_its_backend_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it had chosen none before."""
    monkeypatch.setattr(serialization, "CURRENT_IO_BACKEND", None)
    with registered():
        assert serialization.get_current_io_backend().handles_special_case("ais://b/a")
    assert serialization.CURRENT_IO_BACKEND is None
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:1")
    kinds = [type(one) for one in serialization.get_current_io_backend().backends]
    assert AisioIOBackend not in kinds
    serialization.get_default_io_backend.cache_clear()


def test_importing_changes_nothing() -> None:
    """Nor does it import Lhotse, which takes seconds."""
    code = (
        "import sys, aisio.integrations.lhotse as ours; ours.AISRangeReader('ais://b/a');"
        "print('lhotse' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_aisio_opens_the_urls_of_object_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of clouds where a cluster is named; no others."""
    backend = AisioIOBackend()
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:1")
    taken = ["ais://b/a.tar/x", "s3://b/a", "gs://b/a"]
    others = ["https://h/a", "/local/a.tar/x", Path("a"), "pipe:cat a", "-", "msc://p/a"]
    assert [one for one in [*taken, *others] if backend.is_applicable(one)] == taken
    monkeypatch.delenv("AIS_ENDPOINT")
    assert [one for one in taken if backend.handles_special_case(one)] == ["ais://b/a.tar/x"]
    assert backend.is_available()


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz"])
def test_cuts_are_written_and_read_by_url(reads: Bucket, name: str) -> None:
    """Eager and lazy, with audio from the bucket."""
    url = f"ais://speech/manifests/{name}"
    cuts_of(*(recording(number) for number in EVERY)).to_file(url)
    assert numbers(lhotse.load_manifest(url)) == EVERY
    assert numbers(lhotse.CutSet.from_jsonl_lazy(url)) == EVERY


def test_a_lazy_manifest_is_shuffled_by_its_index(reads: Bucket) -> None:
    """The index is made, written beside it, and read."""
    url = "ais://speech/manifests/cuts.jsonl"
    cuts_of(*(recording(number) for number in EVERY)).to_file(url)
    shuffled = numbers(lhotse.CutSet.from_jsonl_lazy(url, shuffle=True, seed=3))
    assert sorted(shuffled) == EVERY
    assert shuffled != EVERY
    assert len(reads.object("manifests/cuts.jsonl.idx").get()) == 8 * (CUTS + 1)


def test_a_manifest_that_was_replaced_is_read_by_its_new_index(reads: Bucket) -> None:
    """Lhotse itself would find the old one in the folder of temporary files."""
    url = "ais://speech/manifests/cuts.jsonl"
    for found in (EVERY, EVERY[5:], EVERY[:3]):
        cuts_of(*(recording(number) for number in found)).to_file(url)
        create_jsonl_index(url)
        shuffled = lhotse.CutSet.from_jsonl_lazy(url, shuffle=True)
        assert sorted(numbers(shuffled)) == found
    reads.object("manifests/cuts.jsonl.idx").put(b"cut")
    with pytest.raises(ShardError, match=r"cuts\.jsonl\.idx: this index cannot be used: 3 bytes"):
        lhotse.CutSet.from_jsonl_lazy(url, shuffle=True)


def test_an_index_of_another_version_is_an_error(reads: Bucket) -> None:
    """Lhotse would leave out the lines that are new. An index elsewhere cannot be compared."""
    url = "ais://speech/cuts.jsonl"
    reads.object("cuts.jsonl").put(b"{}\n{}\n")
    create_jsonl_index(url)
    create_jsonl_index(url, "ais://speech/elsewhere/cuts.jsonl.idx")
    create_jsonl_index(url, "ais://speech/elsewhere/cuts")
    reads.object("cuts.jsonl").put(b"{}\n{}\n{}\n")
    with pytest.raises(ShardError, match="of a file of 6 bytes, and ais://speech/cuts.jsonl has 9"):
        lhotse.indexing.IndexedJsonlReader(url)
    for name in ("cuts.jsonl.idx", "cuts"):
        found = lhotse.indexing.read_index(f"ais://speech/elsewhere/{name}")
        assert found.tolist() == [0, 3, 6]


def test_other_indexes_are_read_as_before(reads: Bucket, tmp_path: Path) -> None:
    """Those of local files."""
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")
    lhotse.indexing.create_jsonl_index(tmp_path / "a.jsonl")
    assert lhotse.indexing.read_index(tmp_path / "a.jsonl.idx").tolist() == [0, 3]


@pytest.mark.parametrize("indexed", [False, True])
def test_shar_is_read_by_url(fields: dict[str, list[str]], *, indexed: bool) -> None:
    """As a stream, and by its indexes."""
    cuts = lhotse.CutSet.from_shar(fields=fields, indexed=indexed)
    assert numbers(cuts) == EVERY
    assert [float(cut.load_embedding()[0]) for cut in cuts] == EVERY
    assert type(cuts.data).__name__ == (
        "LazyIndexedSharIterator" if indexed else "LazySharIterator"
    )


def test_indexed_shar_is_shuffled_and_read_at_random(fields: dict[str, list[str]]) -> None:
    """With the indexes that Lhotse makes where there are none."""
    cuts = lhotse.CutSet.from_shar(fields=fields, indexed=True, shuffle_shards=True, seed=1)
    assert sorted(numbers(cuts)) == EVERY
    assert numbers([cuts.data[number] for number in (7, 0, 11, 6)]) == [7, 0, 11, 6]


def test_shar_is_written_by_url(reads: Bucket) -> None:
    """Lhotse's writer, to the bucket."""
    cuts = cuts_of(*(recording(number) for number in EVERY))
    with lhotse.shar.SharWriter(
        "ais://speech/written",
        fields={"recording": "wav"},
        shard_size=5,
        compress_jsonl=False,
        create_index=False,
    ) as writer:
        for cut in cuts:
            writer.write(cut)
    names = [info.name for info in reads.list("written/")]
    tars = [f"ais://speech/{name}" for name in names if name.endswith(".tar")]
    jsonl = [f"ais://speech/{name}" for name in names if name.endswith(".jsonl")]
    assert (len(tars), len(jsonl)) == (3, 3)
    assert numbers(lhotse.CutSet.from_shar(fields={"cuts": jsonl, "recording": tars})) == EVERY


class Audio(torch.utils.data.Dataset[Any]):
    """A dataset of Lhotse's kind: a batch of cuts in, tensors out."""

    def __init__(self) -> None:
        self.strategy = AudioSamples(use_batch_loader=True)

    def __getitem__(self, cuts: Any) -> list[int]:
        """Return the number of samples of each recording."""
        kind = type(self.strategy.ais_batch_loader).__module__.partition(".")[0]
        assert (kind, is_registered()) == ("aisio", True)
        _, lengths = self.strategy(cuts)
        return [int(length) for length in lengths]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_by_aisio(fields: dict[str, list[str]], start: str) -> None:
    """However they are started."""
    cuts = lhotse.CutSet.from_shar(fields=fields, indexed=True)
    sampler = lhotse.dataset.DynamicCutSampler(cuts, max_cuts=4, shuffle=False)
    loader = torch.utils.data.DataLoader(
        lhotse.dataset.IterableDatasetWrapper(Audio(), sampler),
        batch_size=None,
        num_workers=1,
        multiprocessing_context=multiprocessing.get_context(start),
    )
    found = [length for lengths in loader for length in lengths]
    assert found == [len(samples_of(number)) for number in EVERY]


def test_what_is_pickled_is_whole(reads: Bucket) -> None:
    """And copied; without a registration the pickles are Lhotse's own."""
    cuts = cuts_of(recording(3))
    assert b"aisio" in pickle.dumps(cuts)
    for twin in (pickle.loads(pickle.dumps(cuts)), copy.copy(cuts), copy.deepcopy(cuts)):
        assert numbers(twin) == [3]
    unregister()
    assert b"aisio" not in pickle.dumps(cuts)
