"""What the manifests of a cut refer to in object stores, and how bytes take its place.

    Recording                  sources of type url: an object, or a file in an archive
                               sources of type shar_ptr: a range of a tar
    Features, Array, Image     storage_path/storage_key, or shar_ptr_array: a range of a tar
    TemporalArray              its array
    MixedCut                   those of all its tracks

URLs of web servers, and of schemes that aisio does not read, are left to Lhotse.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from aisio.errors import ShardError, UrlError
from aisio.extras import missing_extra
from aisio.formats.tar import NEED_DATA, TarMember, TarParser
from aisio.integrations.lhotse.object_files import split_archived
from aisio.integrations.lhotse.offset_index import is_file
from aisio.integrations.lhotse.pieces import Piece
from aisio.urls import ALIASES, OSS, ObjectUrl

try:
    from lhotse import Features, Recording
    from lhotse.ais.batch_loader import AISBatchLoaderError
    from lhotse.array import Array, TemporalArray
    from lhotse.audio.source import resolve_s3_to_local_mirror
    from lhotse.cut import MixedCut
    from lhotse.image import Image
    from lhotse.shar.lazy_pointer import decode_pointer_with_name, resolve_pointer_path
except ImportError as error:
    raise missing_extra("lhotse", "lhotse") from error

__all__ = ["Owner", "Slot", "is_read", "slots_of", "tar_files"]

_SCHEMES = frozenset({*ALIASES, OSS})
_PLACEHOLDERS = (".nodata", ".nometa")
_PILLOW = "pillow_memory"
_MEMORY_TYPES = {
    "numpy_files": "memory_npy",  # Lhotse's own loader says memory_raw, which is read by pickle
    "lilcom_files": "memory_lilcom",
    "pillow_files": _PILLOW,  # it says memory_pillow, which nothing reads
}


class Owner(NamedTuple):
    """Whose data is read.

    Attributes:
        cut_id: Of the cut.
        recording_id: Of the recording, or of the one that features are of; "" for other data.
    """

    cut_id: str
    recording_id: str


class Slot(NamedTuple):
    """A place in a manifest that bytes are read for.

    Attributes:
        cut_index: Position of the cut in the batch.
        piece: What to read.
        fill: Puts the bytes into the manifest.
    """

    cut_index: int
    piece: Piece
    fill: Callable[[bytes], None]


def is_read(url: object) -> bool:
    """Tell whether a URL is one of an object store, and so is read by aisio."""
    return str(url).partition("://")[0] in _SCHEMES


def slots_of(cuts: Iterable[Any]) -> list[Slot]:
    """Return all that the cuts refer to in object stores.

    Raises:
        AISBatchLoaderError: A URL is not that of an object, or a storage type cannot be held in
            memory.
    """
    return [
        Slot(index, piece, fill)
        for index, cut in enumerate(cuts)
        for part in _parts_of(cut)
        for _, manifest in part.iter_data()
        for piece, fill in _pieces_of(manifest, part.id)
    ]


def _parts_of(cut: Any) -> list[Any]:
    """Return the cuts that a cut is mixed of; a mixed one iterates over the data of the first."""
    return [track.cut for track in cut.tracks] if isinstance(cut, MixedCut) else [cut]


_Wanted = tuple[Piece, Callable[[bytes], None]]


def _pieces_of(manifest: Any, cut_id: str) -> Iterator[_Wanted]:
    if isinstance(manifest, Recording):
        for source in manifest.sources:
            yield from _pieces_of_source(source, Owner(cut_id, manifest.id))
    elif isinstance(manifest, TemporalArray):
        yield from _pieces_of_array(manifest.array, Owner(cut_id, ""))
    elif isinstance(manifest, (Array, Features, Image)):
        recording_id = getattr(manifest, "recording_id", None) or ""
        yield from _pieces_of_array(manifest, Owner(cut_id, recording_id))


def _pieces_of_source(source: Any, owner: Owner) -> Iterator[_Wanted]:
    if source.type == "url":
        url = str(source.source)
        mirrored = resolve_s3_to_local_mirror(url)
        if mirrored != url:
            source.source = mirrored
        elif is_read(url):
            yield _piece_of_url(url), partial(_fill_source, source)
    elif source.type == "shar_ptr":
        piece = _piece_of_pointer(source.source)
        if piece is not None:
            fill = partial(_fill_source, source)
            yield piece, partial(_fill_by_pointer, source.source, owner, fill)


def _pieces_of_array(array: Any, owner: Owner) -> Iterator[_Wanted]:
    key = array.storage_key
    if array.storage_type == "shar_ptr_array":
        piece = _piece_of_pointer(key)
        if piece is not None:
            yield piece, partial(_fill_by_pointer, key, owner, partial(_fill_array, array, None))
    elif is_read(array.storage_path):
        url = f"{str(array.storage_path).rstrip('/')}/{str(key).lstrip('/')}"
        if array.storage_type not in _MEMORY_TYPES:
            known = ", ".join(_MEMORY_TYPES)
            raise AISBatchLoaderError(
                f"{url}: storage type {array.storage_type!r} cannot be held in memory: expected"
                f" one of {known}"
            )
        fill = partial(_fill_array, array, _MEMORY_TYPES[array.storage_type])
        yield _piece_of_url(url), fill


def _piece_of_url(url: str) -> Piece:
    return Piece(*split_archived(_object_url(url)))


def _object_url(url: str) -> ObjectUrl:
    try:
        return ObjectUrl.parse(url).require_object()
    except UrlError as error:
        raise AISBatchLoaderError(f"Invalid object URL: {error}") from error


def _piece_of_pointer(pointer: str) -> Piece | None:
    """Return the range that a Shar pointer names; None if it is left to Lhotse."""
    try:
        path, start, stop, _ = decode_pointer_with_name(pointer)
    except ValueError as error:
        raise AISBatchLoaderError(str(error)) from error
    if not is_read(path) or resolve_pointer_path(path) != path:
        return None
    if start >= stop:
        raise AISBatchLoaderError(f"Shar pointer {pointer!r}: an empty range of bytes")
    return Piece(_object_url(path), "", start, stop)


def _fill_source(source: Any, data: bytes) -> None:
    source.type = "memory"
    source.source = data


def _fill_array(array: Any, memory_type: str | None, data: bytes) -> None:
    if memory_type is None:
        memory_type = "memory_npy" if data.startswith(b"\x93NUMPY") else "memory_lilcom"
    array.storage_type = memory_type
    array.storage_path = ""
    array.storage_key = pickle.dumps(data) if memory_type == _PILLOW else data


def _fill_by_pointer(
    pointer: str, owner: Owner, fill: Callable[[bytes], None], block: bytes
) -> None:
    """Put the payload of a range of a tar into a manifest.

    A manifest that was filtered or reordered may point to another sample than its own. Where the
    pointer has a name, Lhotse looks for that in the whole tar, and the pointer stays for it to do
    so. Most have none.
    """
    files = tar_files(block, pointer)
    name, payload = next(files)
    expected = decode_pointer_with_name(pointer)[3]
    if expected is None:
        _check_owner(pointer, owner, name, files)
    if expected is None or name == expected:
        if payload is None:
            raise ShardError(f"Shar pointer {pointer!r}: {name!r} is a placeholder without data")
        fill(payload)
    elif pointer.endswith("&s=1"):
        raise ShardError(f"Shar pointer {pointer!r}: expected {expected!r}, found {name!r}")


def _check_owner(
    pointer: str, owner: Owner, name: str, rest: Iterator[tuple[str, bytes | None]]
) -> None:
    """Check that a sample of Shar is that of the cut that points to it.

    Its files have the name of the cut that was written, and the second one has its manifest. One of
    these is enough: since then the cut may have got another id.

    Raises:
        ShardError: It is the sample of another cut.
    """
    path = PurePosixPath(name)
    if _is_of(owner.cut_id, str(path.parent / path.stem)) or not owner.recording_id:
        return
    try:
        manifest = json.loads(next(rest)[1] or b"{}")
        written = str(manifest.get("recording_id") or manifest.get("id") or "")
    except (ShardError, ValueError, AttributeError):
        return  # the range has the data alone, or the file behind it is no manifest
    if written and not _is_of(owner.recording_id, written):
        raise ShardError(
            f"Shar pointer {pointer!r}: there is {name!r}, of recording {written!r}, and not that"
            f" of cut {owner.cut_id!r}, recording {owner.recording_id!r}: the tar or its index is"
            " of another version than the manifest of cuts",
            url=pointer,
        )


def _is_of(now: str, written: str) -> bool:
    """Tell whether an id is one that was written, perhaps with a suffix: "a" is now "a_sp1.1"."""
    return now.startswith(written) and not now[len(written) :][:1].isalnum()


def tar_files(block: bytes, about: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield the names and payloads of the files in a range of a tar.

    The payload is None if the file is one of Lhotse's placeholders.

    Args:
        block: The bytes; the first are those of a header.
        about: What errors name.

    Raises:
        ShardError: There is no other whole file, or a link is before it.
    """
    parser = TarParser(about)
    parser.feed(block)
    parser.finish()
    while True:
        event = parser.next_event()
        if isinstance(event, TarMember) and is_file(event, about):
            if PurePosixPath(event.name).suffix in _PLACEHOLDERS:
                parser.skip_payload()
                yield event.name, None
                continue
            payload = parser.read_payload()
            assert payload is not NEED_DATA, "finish() was called"
            yield event.name, payload
        elif not isinstance(event, (TarMember, bytes)):
            raise ShardError(f"{about}: there is no file in this range of the tar", url=about)
