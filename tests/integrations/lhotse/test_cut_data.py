"""What manifests refer to, and what takes its place."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch  # noqa: F401 - Lhotse needs it

from aisio.errors import ShardError
from aisio.integrations.lhotse.pieces import Piece
from aisio.urls import ObjectUrl
from tests.integrations.lhotse.conftest import RATE, cuts_of, recording
from tests.tars import pack

lhotse = pytest.importorskip("lhotse")

from lhotse.array import Array, TemporalArray  # noqa: E402
from lhotse.audio import AudioSource  # noqa: E402
from lhotse.features.base import Features  # noqa: E402
from lhotse.image import Image  # noqa: E402
from lhotse.shar.lazy_pointer import encode_pointer  # noqa: E402

from aisio.integrations.lhotse.batch_loader import AISBatchLoaderError  # noqa: E402
from aisio.integrations.lhotse.cut_data import slots_of, tar_files  # noqa: E402

TAR = "ais://speech/shar/rec.000.tar"


def url(text: str) -> ObjectUrl:
    """Return a parsed URL."""
    return ObjectUrl.parse(text)


def pieces(*sources: AudioSource) -> list[Piece]:
    """Return what a recording of these sources refers to."""
    return [slot.piece for slot in slots_of(cuts_of(recording(0, *sources)))]


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("ais://speech/a.wav", Piece(url("ais://speech/a.wav"))),
        ("ais://speech/a.tar", Piece(url("ais://speech/a.tar"))),
        ("ais://speech/a.tarball/b.wav", Piece(url("ais://speech/a.tarball/b.wav"))),
        ("ais://speech/a.tar/d/b.wav", Piece(url("ais://speech/a.tar"), "d/b.wav")),
        ("s3://speech/a.tar.gz/b.wav", Piece(url("s3://speech/a.tar.gz"), "b.wav")),
        ("gs://speech/a.tgz/b.wav", Piece(url("gs://speech/a.tgz"), "b.wav")),
        ("ais://speech/a.tar/b.tar/c.wav", Piece(url("ais://speech/a.tar"), "b.tar/c.wav")),
        ("ais://speech/a b?#%20.wav", Piece(url("ais://speech/a b?#%20.wav"))),
    ],
)
def test_a_url_names_an_object_or_a_file_in_an_archive(text: str, piece: Piece) -> None:
    """Names are literal."""
    assert pieces(AudioSource("url", [0], text)) == [piece]


@pytest.mark.parametrize("text", ["https://host/a.wav", "msc://profile/a.wav", "/local/a.wav"])
def test_other_urls_are_left_to_lhotse(text: str) -> None:
    """And what is in memory or in local files already."""
    assert pieces(AudioSource("url", [0], text), AudioSource("file", [1], "/a.wav")) == []
    assert pieces(AudioSource("memory", [0], b"data")) == []


def test_a_mirrored_file_is_read_from_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Lhotse's own loader does."""
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech" / "a.wav").write_bytes(b"data")
    monkeypatch.setenv("LHOTSE_S3_LOCAL_MIRROR_ROOTS", str(tmp_path))
    source = AudioSource("url", [0], "s3://speech/a.wav")
    assert pieces(source, AudioSource("url", [1], "s3://speech/b.wav")) == [
        Piece(url("s3://speech/b.wav"))
    ]
    assert source.source == f"{tmp_path}/speech/a.wav"


def test_each_source_of_a_recording_has_its_own_bytes() -> None:
    """Lhotse's own loader gives all of them those of the first."""
    channels = [AudioSource("url", [n], f"ais://speech/{n}.wav") for n in range(2)]
    slots = slots_of(cuts_of(recording(0, *channels), recording(1)))
    assert [slot.cut_index for slot in slots] == [0, 0, 1]
    for number, slot in enumerate(slots[:2]):
        slot.fill(b"%d" % number)
    assert [(one.type, one.source) for one in channels] == [("memory", b"0"), ("memory", b"1")]


def test_all_tracks_of_a_mixed_cut_are_read() -> None:
    """Lhotse's own loader reads those of the first track."""
    first, second, noise = (recording(number).to_cut() for number in range(3))
    mixed = first.append(second).mix(noise.pad(duration=1.0), snr=10)
    slots = slots_of([first, mixed])
    assert [(slot.cut_index, str(slot.piece)[-6:]) for slot in slots] == [
        (0, "00.wav"),
        (1, "00.wav"),
        (1, "01.wav"),
        (1, "02.wav"),
    ]


def features(storage_type: str, path: str, key: Any) -> Features:
    """Return the manifest of features."""
    return Features("fbank", 100, 80, 0.01, RATE, 0, 1, storage_type, path, key)


@pytest.mark.parametrize(
    ("kind", "memory_type"),
    [("numpy_files", "memory_npy"), ("lilcom_files", "memory_lilcom")],
)
def test_arrays_and_features_are_held_in_memory(kind: str, memory_type: str) -> None:
    """And images."""
    array = Array(kind, "ais://speech/arrays/", "sub/a.bin", [4])
    inner = Array(kind, "ais://speech/arrays", "b.bin", [4])
    found = features(kind, "ais://speech/f", "c.bin")
    image = Image("pillow_files", "ais://speech/i", "d.png", 1, 1)
    cut = recording(0, AudioSource("file", [0], "/a.wav")).to_cut()
    cut.features = found
    cut.custom = {"one": array, "two": TemporalArray(inner, 0, 1.0, 0.0), "three": image}
    slots = slots_of([cut])
    assert [str(slot.piece) for slot in slots] == [
        "ais://speech/f/c.bin",
        "ais://speech/arrays/sub/a.bin",
        "ais://speech/arrays/b.bin",
        "ais://speech/i/d.png",
    ]
    for slot in slots:
        slot.fill(b"data")
    for one in (array, inner, found):
        assert (one.storage_type, one.storage_path, one.storage_key) == (memory_type, "", b"data")
    assert image.storage_type == "pillow_memory"


def test_a_storage_type_that_memory_has_not_is_an_error() -> None:
    """Of a URL; what is local is left alone."""
    cut = recording(0, AudioSource("file", [0], "/a.wav")).to_cut()
    cut.features = features("lilcom_chunky", "/local", "a")
    assert slots_of([cut]) == []
    cut.features = features("lilcom_chunky", "ais://speech", "a")
    with pytest.raises(AISBatchLoaderError, match="ais://speech/a: storage type 'lilcom_chunky'"):
        slots_of([cut])
    with pytest.raises(AISBatchLoaderError, match="Invalid object URL"):
        pieces(AudioSource("url", [0], "ais://speech/"))


def pointer_to(number: int, name: str | None = None, *, strict: bool = False) -> AudioSource:
    """Return a source that points to a sample of BLOCKS."""
    where = encode_pointer(
        TAR, 1000 * number, 1000 * number + 900, expected_name=name, strict=strict
    )
    return AudioSource("shar_ptr", [0], where)


def test_a_pointer_is_a_range_of_a_tar() -> None:
    """Its payload is that of the first file, whatever extension headers are before that."""
    long = f"{'long' * 40}.wav"
    for name in ("a.wav", long):
        block = pack((name, b"payload"), ("a.json", b"{}"))
        source = pointer_to(3)
        (slot,) = slots_of(cuts_of(recording(0, source)))
        assert slot.piece == Piece(url(TAR), start=3000, stop=3900)
        slot.fill(block)
        assert (source.type, source.source) == ("memory", b"payload")


def test_a_tar_below_a_folder_that_is_named_like_one() -> None:
    """A pointer names an object as it is."""
    source = AudioSource("shar_ptr", [0], "ais://speech/v1.tar/rec.000.tar?o=0&e=900")
    assert pieces(source) == [Piece(url("ais://speech/v1.tar/rec.000.tar"), start=0, stop=900)]


def test_a_pointer_with_a_name_is_checked() -> None:
    """Another name stays for Lhotse to look for, unless the pointer is strict."""
    block = pack(("a.wav", b"payload"))
    right, other, strict = (
        pointer_to(0, "a.wav"),
        pointer_to(1, "b.wav"),
        pointer_to(2, "b.wav", strict=True),
    )
    slots = slots_of(cuts_of(*(recording(n, s) for n, s in enumerate((right, other, strict)))))
    slots[0].fill(block)
    slots[1].fill(block)
    assert (right.source, other.type) == (b"payload", "shar_ptr")
    with pytest.raises(ShardError, match=r"expected 'b\.wav', found 'a\.wav'"):
        slots[2].fill(block)


def test_arrays_by_pointer_are_told_by_their_bytes() -> None:
    """NumPy's, or Lilcom's."""
    for payload, kind in ((b"\x93NUMPY...", "memory_npy"), (b"L...", "memory_lilcom")):
        array = Array("shar_ptr_array", TAR, encode_pointer(TAR, 0, 900), [4])
        cut = recording(0, AudioSource("file", [0], "/a.wav")).to_cut()
        cut.custom = {"array": array}
        (slot,) = slots_of([cut])
        slot.fill(pack(("a.npy", payload)))
        assert (array.storage_type, array.storage_key) == (kind, payload)


def test_a_pointer_to_no_payload_is_an_error() -> None:
    """A placeholder, an empty range, what is cut or no tar."""
    source = pointer_to(0)
    (slot,) = slots_of(cuts_of(recording(0, source)))
    with pytest.raises(ShardError, match="'a.nodata' is a placeholder"):
        slot.fill(pack(("a.nodata", b"")))
    with pytest.raises(AISBatchLoaderError, match="an empty range"):
        pieces(AudioSource("shar_ptr", [0], encode_pointer(TAR, 5, 5)))
    with pytest.raises(AISBatchLoaderError, match=r"range \[9, 5\)"):
        pieces(AudioSource("shar_ptr", [0], encode_pointer(TAR, 9, 5)))
    whole = pack(("a.wav", bytes(2000)))
    assert next(tar_files(whole[:2560], "about")) == ("a.wav", bytes(2000))
    with pytest.raises(ShardError, match="about: cut at byte 2000"):
        next(tar_files(whole[:2000], "about"))
    with pytest.raises(ShardError, match="about"):
        next(tar_files(np.random.default_rng(0).bytes(1024), "about"))
    with pytest.raises(ShardError, match="about: there is no file"):
        next(tar_files(pack(), "about"))


def test_the_data_of_another_cut_is_an_error() -> None:
    """Most pointers have no name, but the files in the tar have. A cut may be renamed since."""
    written = pack(("rec-01.wav", b"payload"), ("rec-01.json", b'{"id": "rec-01"}'))

    def fill(cut_id: str, recording_id: str, block: bytes) -> None:
        source = pointer_to(1)
        cut = recording(1, source).to_cut().with_id(cut_id)
        cut.recording.id = recording_id
        slots_of([cut])[0].fill(block)
        assert source.source == b"payload"

    for cut_id, recording_id in (("rec-01_repeat0", "x"), ("x", "rec-01_sp1.1"), ("x", "rec-01")):
        fill(cut_id, recording_id, written)
    fill("x", "x", written[:1024])  # without the metadata, nobody can tell
    for other in ("rec-02", "rec-011"):
        with pytest.raises(
            ShardError, match=rf"'rec-01\.wav', of .* and not that of cut '{other}'"
        ):
            fill(other, other, written)


def test_a_link_is_an_error() -> None:
    """The file behind it is the metadata."""
    link = tarfile.TarInfo("a.wav")
    link.type, link.linkname = tarfile.LNKTYPE, "b.wav"
    block = link.tobuf() + pack(("a.json", b"{}"))
    with pytest.raises(ShardError, match=r"about: 'a\.wav' at byte 0 is a link to 'b\.wav'"):
        next(tar_files(block, "about"))
