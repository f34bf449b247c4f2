"""Lhotse reads by aisio from a server: batches, manifests, Shar, indexes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - Lhotse needs it

from aisio import Bucket
from tests.integrations.lhotse.conftest import (
    CUTS,
    audio,
    put_folder,
    recording,
    samples_of,
    wav,
    write_shar,
)
from tests.tars import pack

lhotse = pytest.importorskip("lhotse")

from lhotse.audio import AudioSource  # noqa: E402
from lhotse.shar import lazy_pointer  # noqa: E402
from lhotse.shar.readers.indexed import LazyIndexedSharIterator  # noqa: E402

from aisio.integrations.lhotse import (  # noqa: E402
    AISBatchLoader,
    AISBatchLoaderError,
    IndexPack,
    IndexPackCollectionSpec,
    create_jsonl_index,
    create_tar_index,
    registered,
    write_index_pack,
)

EVERY = list(range(CUTS))


@pytest.fixture
def speech(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a bucket with recordings; Lhotse reads by aisio."""
    monkeypatch.setenv("AIS_ENDPOINT", bucket.client.endpoint)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for number in EVERY:
        bucket.object(f"audio/{number:02d}.wav").put(wav(number))
    with registered():
        yield str(bucket.url)


def cuts_of(*sources: tuple[str, str]) -> Any:
    """Return cuts of recordings with these sources."""
    found = (AudioSource(kind, [0], url) for kind, url in sources)
    return lhotse.CutSet([recording(n, source).to_cut() for n, source in enumerate(found)])


def numbers(cuts: Any) -> list[int]:
    """Return which recordings cuts have, by their audio."""
    known = {tuple(samples_of(number)): number for number in EVERY}
    return [known[tuple(audio(cut))] for cut in cuts]


@pytest.mark.parametrize("get_batch", [False, True])
def test_batches_by_url(speech: str, bucket: Bucket, *, get_batch: bool) -> None:
    """Objects, and files in archives; what is missing is an error, or left out."""
    bucket.object("a.tar").put(pack(*((f"{n:02d}.wav", wav(n)) for n in EVERY[6:])))
    urls = [f"{speech}/audio/{n:02d}.wav" for n in EVERY[:6]]
    urls += [f"{speech}/a.tar/{n:02d}.wav" for n in EVERY[6:]]
    cuts = cuts_of(*(("url", url) for url in urls))
    assert numbers(AISBatchLoader(get_batch=get_batch)(cuts)) == EVERY
    urls[3], urls[8] = f"{speech}/audio/none.wav", f"{speech}/a.tar/none.wav"
    cuts = cuts_of(*(("url", url) for url in urls))
    with pytest.raises(AISBatchLoaderError, match="none.wav"):
        AISBatchLoader(get_batch=get_batch)(cuts)
    skipping = AISBatchLoader(get_batch=get_batch, skip_failed_fetches=True)
    assert numbers(skipping(cuts)) == [n for n in EVERY if n not in (3, 8)]


def test_manifests(speech: str) -> None:
    """Written and read, compressed, and shuffled by their index."""
    cuts = cuts_of(*(("url", f"{speech}/audio/{n:02d}.wav") for n in EVERY))
    for name in ("cuts.jsonl", "cuts.jsonl.gz"):
        cuts.to_file(f"{speech}/{name}")
        assert numbers(lhotse.CutSet.from_jsonl_lazy(f"{speech}/{name}")) == EVERY
    shuffled = lhotse.CutSet.from_jsonl_lazy(f"{speech}/cuts.jsonl", shuffle=True, seed=3)
    assert sorted(numbers(shuffled)) == EVERY


def test_shar_and_its_indexes(speech: str, bucket: Bucket, tmp_path: Path) -> None:
    """As a stream, by indexes, and by pointers in batches; and an index pack of it."""
    names = write_shar(tmp_path / "written")
    put_folder(bucket, tmp_path / "written" / "shar", "shar/")
    fields = {field: [f"{speech}/shar/{one}" for one in found] for field, found in names.items()}
    for url in fields["recording"] + fields["embedding"]:
        create_tar_index(url)
    for url in fields["cuts"]:
        create_jsonl_index(url)
    assert numbers(lhotse.CutSet.from_shar(fields=fields, indexed=False)) == EVERY
    shuffled = lhotse.CutSet.from_shar(fields=fields, indexed=True, shuffle_shards=True, seed=1)
    assert sorted(numbers(shuffled)) == EVERY
    lazy = LazyIndexedSharIterator(fields=fields, lazy=True)
    assert numbers(AISBatchLoader(get_batch=True)(lhotse.CutSet([lazy[n] for n in EVERY]))) == EVERY
    records = IndexPackCollectionSpec("cuts", "jsonl", "shar", fields["cuts"])
    write_index_pack(f"{speech}/x.idxpack", [records])
    with IndexPack(f"{speech}/x.idxpack") as pack_of_cuts:
        assert b'"id"' in pack_of_cuts.collection(records.key).read(7)
    lazy_pointer.close_all()


def test_a_pointer_behind_the_end_is_an_error(speech: str, bucket: Bucket) -> None:
    """A cluster may send the whole object for it; near pointers are read all the same."""
    bucket.object("a.tar").put(pack(*((f"{n}.wav", wav(n)) for n in range(2))))
    size = 512 + -(-len(wav(0)) // 512) * 512
    pointers = [f"{speech}/a.tar?o={start}&e={start + size}" for start in (0, size, 20_480)]
    cuts = cuts_of(*(("shar_ptr", pointer) for pointer in pointers))
    with pytest.raises(AISBatchLoaderError, match=r"a\.tar"):
        AISBatchLoader(get_batch=True)(cuts)
    assert numbers(AISBatchLoader(get_batch=True, skip_failed_fetches=True)(cuts)) == [0, 1]
