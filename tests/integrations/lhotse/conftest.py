"""A cluster with recordings, as Lhotse's users have them: audio files, cuts, Shar, indexes."""

from __future__ import annotations

import io
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Bucket, Client
from aisio.gateway import Gateway

CUTS, SHARD_CUTS = 12, 6
RATE = 8_000


def samples_of(number: int) -> list[int]:
    """Return the samples of a recording: of a length and a value of its own."""
    return [100 * (number + 1) + step % 7 for step in range(800 + 40 * number)]


def wav(number: int) -> bytes:
    """Return a small WAV file."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(b"".join(one.to_bytes(2, "little") for one in samples_of(number)))
    return data.getvalue()


def recording(number: int, *sources: Any) -> Any:
    """Return the manifest of a recording; by default its file is in the bucket."""
    lhotse = pytest.importorskip("lhotse")
    from lhotse.audio import AudioSource

    where = sources or (AudioSource("url", [0], f"ais://speech/audio/{number:02d}.wav"),)
    samples = len(samples_of(number))
    return lhotse.Recording(f"rec-{number:02d}", list(where), RATE, samples, samples / RATE)


def cuts_of(*recordings: Any) -> Any:
    """Return an eager CutSet of recordings."""
    lhotse = pytest.importorskip("lhotse")
    return lhotse.CutSet([one.to_cut() for one in recordings])


def audio(cut: Any) -> list[int]:
    """Return the samples of a cut, as they were written."""
    return [round(float(one) * 32768) for one in cut.load_audio()[0]]


def write_shar(folder: Path) -> dict[str, list[str]]:
    """Write recordings and features as uncompressed Shar; return its fields, by file names."""
    import numpy as np

    lhotse = pytest.importorskip("lhotse")
    files = folder / "files"
    files.mkdir(parents=True)
    (folder / "shar").mkdir()
    cuts = []
    for number in range(CUTS):
        (files / f"{number:02d}.wav").write_bytes(wav(number))
        cut = lhotse.Recording.from_file(files / f"{number:02d}.wav").to_cut()
        cuts.append(cut.attach_tensor("embedding", np.full(4, number, np.float32)))
    lhotse.CutSet(cuts).to_shar(
        folder / "shar",
        fields={"recording": "wav", "embedding": "numpy"},
        shard_size=SHARD_CUTS,
        compress_jsonl=False,
    )
    names = sorted(path.name for path in (folder / "shar").iterdir() if path.suffix != ".idx")
    fields: dict[str, list[str]] = {}
    for name in names:
        fields.setdefault(name.partition(".")[0], []).append(name)
    return fields


@pytest.fixture(scope="session")
def shar(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """Return a local folder of Shar, and the names of its files by field."""
    folder = tmp_path_factory.mktemp("written")
    return folder / "shar", write_shar(folder)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        yield gateway.endpoint


@pytest.fixture
def bucket(cluster: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    """Return a bucket with audio files, of the cluster that the environment names."""
    monkeypatch.setenv("AIS_ENDPOINT", cluster)
    # Lhotse keeps the indexes that it reads from URLs there, for ever.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bucket = Client(cluster).bucket("speech").create()
    for number in range(CUTS):
        bucket.object(f"audio/{number:02d}.wav").put(wav(number))
    yield bucket
    bucket.delete()


def put_folder(bucket: Bucket, folder: Path, prefix: str) -> None:
    """Store the files of a folder."""
    for path in sorted(folder.iterdir()):
        bucket.object(f"{prefix}{path.name}").put(path.read_bytes())
