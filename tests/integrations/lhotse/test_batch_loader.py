"""AISBatchLoader: real CutSets, their data read at once."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch  # noqa: F401 - Lhotse needs it

from aisio import Bucket, Client, NotFoundError, RetryPolicy
from aisio.testing import FaultProxy
from aisio.testing.fault_proxy import Corrupt, Cut, Refuse
from tests.integrations.lhotse.conftest import (
    CUTS,
    audio,
    cuts_of,
    put_folder,
    recording,
    samples_of,
    wav,
)
from tests.tars import pack

lhotse = pytest.importorskip("lhotse")

from lhotse import NumpyFilesWriter  # noqa: E402
from lhotse.audio import AudioSource  # noqa: E402
from lhotse.dataset import AudioSamples  # noqa: E402
from lhotse.image.io import PillowWriter  # noqa: E402
from lhotse.shar.readers.indexed import LazyIndexedSharIterator  # noqa: E402

from aisio.integrations.lhotse import (  # noqa: E402
    AISBatchLoader,
    AISBatchLoaderError,
    registered,
)


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[FaultProxy]:
    """Return a proxy before the cluster."""
    with FaultProxy(bucket.client.endpoint) as proxy:
        yield proxy


def loader(proxy: FaultProxy, **options: bool) -> AISBatchLoader:
    """Return a loader that gives up soon."""
    client = Client(proxy.endpoint, retry=RetryPolicy(attempts=2, first_wait_s=0))
    return AISBatchLoader(**options, client=client)


def batch() -> Any:
    """Return cuts of all recordings, by their URLs."""
    return cuts_of(*(recording(number) for number in range(CUTS)))


def is_loaded(cuts: Any, numbers: Any = range(CUTS)) -> bool:
    """Tell whether cuts are those of these numbers, with their audio in memory."""
    sources = [source.type for cut in cuts for source in cut.recording.sources]
    found = [audio(cut) for cut in cuts]
    return sources == ["memory"] * len(sources) and found == [samples_of(n) for n in numbers]


@pytest.mark.parametrize(
    ("options", "is_batch"),
    [
        ({}, False),
        ({"get_batch": True}, True),
        ({"get_batch": True, "force_individual": True}, False),
    ],
)
def test_all_audio_of_a_batch_is_read(
    proxy: FaultProxy, options: dict[str, bool], *, is_batch: bool
) -> None:
    """By GETs, or by one get-batch; the cuts are the same ones."""
    cuts = batch()
    assert loader(proxy, **options)(cuts) is cuts
    assert is_loaded(cuts)
    paths = {one.path.split("/")[2] for one in proxy.requests if one.path.startswith("/v1/")}
    assert ("ml" in paths, "objects" in paths) == (is_batch, not is_batch)


def test_a_batch_that_breaks_off_is_completed(proxy: FaultProxy) -> None:
    """Also where the GETs that follow break off."""
    proxy.add(Cut(after_bytes=9_000), path="/v1/ml/moss/*", skip=1, times=1)
    proxy.add(Cut(after_bytes=1_000), path="/v1/objects/*", times=1)
    cuts = loader(proxy, get_batch=True)(batch())
    assert is_loaded(cuts)


@pytest.mark.parametrize("get_batch", [False, True])
def test_shar_is_read_by_pointers(
    bucket: Bucket, proxy: FaultProxy, shar: tuple[Path, dict[str, list[str]]], *, get_batch: bool
) -> None:
    """Ranges of a shard that are near come as one; audio and arrays."""
    folder, names = shar
    put_folder(bucket, folder, "shar/")
    fields = {
        field: [f"ais://speech/shar/{one}" for one in found] for field, found in names.items()
    }
    with registered():
        lazy = LazyIndexedSharIterator(fields=fields, lazy=True)
        cuts = lhotse.CutSet([lazy[number] for number in range(CUTS)])
    assert {cut.recording.sources[0].type for cut in cuts} == {"shar_ptr"}
    loader(proxy, get_batch=get_batch)(cuts)
    assert is_loaded(cuts)
    assert [cut.load_embedding().tolist() for cut in cuts] == [[float(n)] * 4 for n in range(CUTS)]
    paths = [one.path for one in proxy.requests if one.status in (200, 206)]
    assert sum("/ml/moss" in path for path in paths) == get_batch
    assert sum(path.endswith(".tar") for path in paths) == (0 if get_batch else 4)


def test_files_in_archives_are_taken_out_by_the_cluster(bucket: Bucket, proxy: FaultProxy) -> None:
    """As NeMo names them."""
    bucket.object("a.tar").put(pack(*((f"{n:02d}.wav", wav(n)) for n in range(3))))
    names = [AudioSource("url", [0], f"ais://speech/a.tar/{n:02d}.wav") for n in range(3)]
    cuts = cuts_of(*(recording(n, source) for n, source in enumerate(names)))
    assert is_loaded(loader(proxy)(cuts), range(3))


def test_arrays_and_images_that_lhotse_wrote_are_loaded(
    bucket: Bucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    """What is in memory is decoded as the file was."""
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    with NumpyFilesWriter(tmp_path / "arrays") as arrays:
        array = arrays.store_array("one", values)
    with PillowWriter(tmp_path / "images") as images:
        image = images.store_image("two", pixels)
    for one in (array, image):
        path = Path(one.storage_path) / one.storage_key
        bucket.object(f"data/{one.storage_key}").put(path.read_bytes())
        one.storage_path = "ais://speech/data"
    cuts = cuts_of(recording(0))
    (cut,) = cuts
    cut.custom = {"array": array, "image": image}
    loader(proxy)(cuts)
    np.testing.assert_array_equal(cut.load_array(), values)
    np.testing.assert_array_equal(cut.load_image(), pixels)


def test_all_audio_of_a_mixed_cut_is_in_memory(bucket: Bucket, proxy: FaultProxy) -> None:
    """What is missing in any of it has the cut left out."""
    first, second = (recording(number).to_cut() for number in range(2))
    cuts = lhotse.CutSet([first.append(second)])
    assert audio(next(iter(loader(proxy)(cuts)))) == samples_of(0) + samples_of(1)
    assert {track.cut.recording.sources[0].type for track in cuts[0].tracks} == {"memory"}
    bucket.object("audio/01.wav").delete()
    fresh = lhotse.CutSet([recording(0).to_cut().append(recording(1).to_cut())])
    assert len(loader(proxy, skip_failed_fetches=True)(fresh)) == 0


@pytest.mark.parametrize("get_batch", [False, True])
def test_a_missing_file_is_an_error_or_left_out(
    bucket: Bucket, proxy: FaultProxy, caplog: pytest.LogCaptureFixture, *, get_batch: bool
) -> None:
    """By name; the others are whole."""
    bucket.object("audio/05.wav").delete()
    with pytest.raises(AISBatchLoaderError, match="audio/05.wav") as caught:
        loader(proxy, get_batch=get_batch)(batch())
    assert isinstance(caught.value.__cause__, NotFoundError)
    skipping = loader(proxy, get_batch=get_batch, skip_failed_fetches=True)
    with caplog.at_level(logging.WARNING, "aisio.lhotse"):
        cuts = skipping(batch())
    assert is_loaded(cuts, [n for n in range(CUTS) if n != 5])
    (record,) = caplog.records
    assert "audio/05.wav" in record.getMessage()
    assert "rec-05" in record.getMessage()


def test_a_batch_of_missing_files_is_empty(bucket: Bucket, proxy: FaultProxy) -> None:
    """As with Lhotse's own loader."""
    bucket.object("audio/05.wav").delete()
    assert len(loader(proxy, skip_failed_fetches=True)(cuts_of(recording(5)))) == 0


def test_an_unreachable_cluster_is_an_error(proxy: FaultProxy) -> None:
    """Whatever is skipped."""
    proxy.add(Refuse(), times=None)
    with pytest.raises(AISBatchLoaderError):
        loader(proxy, skip_failed_fetches=True)(batch())


def test_damaged_bytes_are_an_error(proxy: FaultProxy) -> None:
    """Found by the checksum."""
    proxy.add(Corrupt(at_byte=500), path="*/audio/03.wav", times=None)
    with pytest.raises(AISBatchLoaderError, match="audio/03.wav"):
        loader(proxy, skip_failed_fetches=False)(batch())
    cuts = loader(proxy, skip_failed_fetches=True)(batch())
    assert is_loaded(cuts, [n for n in range(CUTS) if n != 3])


def test_a_damaged_shard_is_an_error(bucket: Bucket, proxy: FaultProxy) -> None:
    """Where the pointer's range has no header."""
    bucket.object("a.tar").put(bytes(range(256)) * 40)
    cuts = cuts_of(recording(0, AudioSource("shar_ptr", [0], "ais://speech/a.tar?o=512&e=2048")))
    with pytest.raises(AISBatchLoaderError, match=r"ais://speech/a\.tar"):
        loader(proxy)(cuts)
    assert len(loader(proxy, skip_failed_fetches=True)(cuts)) == 0


def test_cuts_without_objects_pass_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cluster is needed for them."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    cuts = cuts_of(recording(0, AudioSource("file", [0], str(tmp_path / "a.wav"))))
    assert AISBatchLoader()(cuts) is cuts
    with pytest.raises(ValueError, match="lazy"):
        AISBatchLoader()(batch().repeat())


def test_it_copies_pickles_and_has_lhotses_attributes(proxy: FaultProxy) -> None:
    """NeMo copies a loader, and sets what it skips."""
    ours = loader(proxy)
    for twin in (copy(ours), pickle.loads(pickle.dumps(ours))):
        twin.skip_failed_fetches = True
        assert twin.client == ours.client
        assert is_loaded(twin(batch()))
    assert (ours.force_individual, ours.skip_failed_fetches) == (False, False)


def test_lhotses_audio_samples_use_it(bucket: Bucket) -> None:
    """As a dataset makes them: fault tolerant, mono."""
    with registered():
        strategy = AudioSamples(fault_tolerant=True, use_batch_loader=True)
    assert isinstance(strategy.ais_batch_loader, AISBatchLoader)
    bucket.object("audio/07.wav").delete()
    samples, lengths, cuts = strategy(batch())
    kept = [n for n in range(CUTS) if n != 7]
    assert lengths.tolist() == [len(samples_of(n)) for n in kept]
    assert len(cuts) == CUTS - 1
    assert samples.shape == (CUTS - 1, max(lengths))
