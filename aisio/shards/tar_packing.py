"""Pack files or objects into one tar, and write the index of a tar.

The index is that of Alibaba's OSS connector (`aisio.formats.tar_index_file`), by which its programs
read the members of a tar, and so does `AISMapDataset.from_tar`.

The plan of an archive has names and sizes alone, so both its size and its index are known before
the first byte is read, and the archive is streamed into its store. The same files give the same
bytes: members are sorted by name, and have no owner and no time.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import msgspec

from aisio.client.client import Client
from aisio.errors import ConfigError, ConflictError, NotFoundError, ShardError, StorageError
from aisio.folder_walk import walk
from aisio.formats.tar import BLOCK_BYTES, TarMember, TarParser
from aisio.formats.tar_index_file import encode_tar_index
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from aisio.records import Checksum, ObjectInfo, may_be_same_object
from aisio.shards.pack_files import FolderFile, file_version
from aisio.shards.shard_file import ShardFile
from aisio.stores import DirectSettings, Store, store_for
from aisio.stores.tar_index import refuse_global_records, walk_members
from aisio.urls import FILE, ObjectUrl

__all__ = ["PackedTar", "index_tar", "pack_tar"]

_MODE_OF_OBJECTS = 0o644
_CHUNK_BYTES = 1 << 20


class PackedTar(msgspec.Struct, frozen=True):
    """A tar and its index.

    Attributes:
        url: URL of the tar.
        index_url: URL of the index.
        members: Number of files in the tar that have an entry in the index.
        size_bytes: Size of the tar.
        checksum: Of the tar; None if it was there before.
    """

    url: str
    index_url: str
    members: int
    size_bytes: int
    checksum: Checksum | None = None


class _Member(msgspec.Struct, frozen=True):
    """A file or object that goes into a tar.

    Attributes:
        file: Name in the tar, and size.
        mode: Its permission bits.
        info: What a listing says of the object; None for a local file.
    """

    file: FolderFile
    mode: int
    info: ObjectInfo | None = None

    @property
    def header(self) -> bytes:
        """Its header in the tar, extension headers included."""
        return header(self.file.name, self.file.size_bytes, mode=self.mode)


def pack_tar(
    source: str | os.PathLike[str],
    tar_url: str | os.PathLike[str],
    index_url: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
) -> PackedTar:
    """Pack a local folder, or all objects below a prefix, into one tar, and write its index.

    Members are sorted by their names, which are relative to the folder, or to the prefix up to its
    last "/". They have the modes of the files, 0o644 for objects. Links in a folder are followed.

    The tar is written first, then its index, each of them whole or not at all.

    Args:
        source: A folder, by its path or URL; or the URL of a prefix, as in "s3://bucket/train/".
        tar_url: The tar to write, as a URL or a path.
        index_url: The index to write.
        overwrite: Replace what is there.
        client: The cluster; by default one made from the environment.
        direct: Reach clouds (s3://, gs://, az://) without the cluster; settings say how.

    Raises:
        ConfigError: The source has no file, the tar would be part of it, or two of the three are
            the same.
        NotFoundError: There is no such folder, or no object with the prefix.
        ConflictError: The tar or the index exists, and `overwrite` is false.
        StorageError: A file or object changed or vanished meanwhile, or a store failed.
    """
    start = _parsed(source, is_folder=True)
    tar, index = _targets(tar_url, index_url)
    for url in (tar, index):
        if _is_within(url, start):
            raise ConfigError(
                f"pack {start}: {url} is among the objects to pack, so that the next run would pack"
                " it too: write to another place"
            )
    stores = [store_for(url, client, direct=direct) for url in (start, tar, index)]
    members = _plan(stores[0], start)
    if not overwrite:
        for store, url in ((stores[1], tar), (stores[2], index)):
            _check_new(store, url)
    sizes = [_member_bytes(member) for member in members]
    bounds = array("Q", accumulate(sizes, initial=0))
    file = _TarFile(stores[0], start, members, bounds[-1] + len(END_OF_ARCHIVE))
    index_bytes = encode_tar_index(bounds[:-1], bounds[-1])
    stores[1].put(tar, cast(BinaryIO, file))
    stores[2].put(index, index_bytes)
    size_bytes = bounds[-1] + len(END_OF_ARCHIVE)
    return PackedTar(str(tar), str(index), len(members), size_bytes, file.checksum())


def index_tar(
    tar_url: str | os.PathLike[str],
    index_url: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
) -> PackedTar:
    """Write the index of a tar that exists. Its headers are read, and long payloads are not.

    Args:
        tar_url: The tar, as a URL or a path.
        index_url: The index to write.
        overwrite: Replace an index that is there.
        client: The cluster; by default one made from the environment.
        direct: Reach clouds (s3://, gs://, az://) without the cluster; settings say how.

    Raises:
        ShardError: The tar is compressed, cut, damaged, or none; or it has no regular file, or a
            member that cannot be read by its own bytes alone.
        NotFoundError: There is no such tar.
        ConflictError: The index exists, and `overwrite` is false.
        IntegrityError: The tar was replaced while it was read.
    """
    tar, index = _targets(tar_url, index_url)
    stores = [store_for(url, client, direct=direct) for url in (tar, index)]
    if not overwrite:
        _check_new(stores[1], index)
    info = stores[0].head(tar)
    parser = TarParser(str(tar), allow_unreadable=True)
    starts = array("Q", _starts(walk_members(parser, stores[0], tar, info), tar))
    refuse_global_records(parser)
    if not starts:
        raise ShardError(f"{tar}: nothing to index: the tar has no regular file", url=str(tar))
    assert parser.end_offset is not None, "walk_members() came to the end"
    stores[1].put(index, encode_tar_index(starts, parser.end_offset))
    return PackedTar(str(tar), str(index), len(starts), info.size_bytes or 0)


def _starts(members: Iterator[TarMember], tar: ObjectUrl) -> Iterator[int]:
    """Yield where the regular files begin.

    What is between two members belongs to the second one: with the original, a global PAX header
    too.
    """
    stop: int | None = 0
    for member in members:
        if member.unreadable:
            raise ShardError(
                f"{tar}: {member.describe_unreadable()}", url=str(tar), offset=member.offset
            )
        if member.kind == "file":
            yield member.offset if stop is None else stop
        padded = member.size_bytes + -member.size_bytes % BLOCK_BYTES
        # Some folders, and some rare kinds, have data whose size a TarMember does not say.
        has_known_end = member.kind in ("file", "symlink", "hardlink")
        stop = member.data_offset + padded if has_known_end else None


class _TarFile(ShardFile):
    """A tar of the members of a plan, generated while it is read; see `ShardFile`.

    Args:
        store: The store that has the members.
        url: The folder, or the prefix, that they are below.
        members: The members, in order.
        size_bytes: Size of the whole archive.
    """

    def __init__(
        self, store: Store, url: ObjectUrl, members: Sequence[_Member], size_bytes: int
    ) -> None:
        self._store = store
        self._url = url
        self._planned = members
        super().__init__(Path("/", url.name), [member.file for member in members], size_bytes)

    def _archive(self) -> Iterator[bytes]:
        for member in self._planned:
            yield member.header
            yield from self._content(member)
            if zeros := padding(member.file.size_bytes):
                yield zeros
        yield END_OF_ARCHIVE

    def _content(self, member: _Member) -> Iterator[bytes]:
        if member.info is None:
            return self._payload(member.file)
        return self._object(member.info)

    def _object(self, info: ObjectInfo) -> Iterator[bytes]:
        url = self._url.with_name(info.name)
        with closing(self._store.get(url)) as body:
            if not may_be_same_object(info, body.info):
                raise StorageError(
                    f"pack {url}: the object was replaced since it was listed; pack it again when"
                    " nothing writes there",
                    url=str(url),
                )
            while data := body.read(_CHUNK_BYTES):
                yield data


def _plan(store: Store, start: ObjectUrl) -> list[_Member]:
    """Return what goes into the tar, sorted by name."""
    members = list(_files(start) if start.provider == FILE else _objects(store, start))
    if not members:
        what = "the folder has no file" if start.provider == FILE else "no name begins with it"
        raise NotFoundError(f"pack {start}: nothing to pack: {what}", url=str(start))
    return members


def _files(start: ObjectUrl) -> Iterator[_Member]:
    try:
        for file in walk(f"/{start.name}"):
            found = FolderFile(file.name, file.stat.st_size, file_version(file.stat))
            yield _Member(found, file.stat.st_mode & 0o7777)
    except FileNotFoundError as error:
        raise NotFoundError(f"pack {start}: there is no such folder", url=str(start)) from error
    except NotADirectoryError as error:
        raise ConfigError(f"pack {start}: a file, and no folder", url=str(start)) from error
    except OSError as error:
        raise StorageError(f"pack {start}: {error.strerror}: {error.filename}") from error


def _objects(store: Store, start: ObjectUrl) -> Iterator[_Member]:
    folder = start.name[: start.name.rfind("/") + 1]
    for info in store.list(start):
        if info.name.endswith("/") and not info.size_bytes:
            continue  # some tools mark a folder with an empty object
        if info.size_bytes is None:
            info = store.head(start.with_name(info.name))
        if info.size_bytes is None:
            _refuse_unknown_size(info)
        name = info.name.removeprefix(folder)
        yield _Member(FolderFile(name, info.size_bytes), _MODE_OF_OBJECTS, info)


def _refuse_unknown_size(info: ObjectInfo) -> NoReturn:
    raise StorageError(f"pack {info.url}: the store does not tell its size", url=info.url)


def _member_bytes(member: _Member) -> int:
    size_bytes = member.file.size_bytes
    return len(member.header) + size_bytes + -size_bytes % BLOCK_BYTES


def _targets(
    tar_url: str | os.PathLike[str], index_url: str | os.PathLike[str]
) -> tuple[ObjectUrl, ObjectUrl]:
    tar, index = (_parsed(url).require_object() for url in (tar_url, index_url))
    if tar == index:
        raise ConfigError(f"{tar}: the tar and its index need different names", url=str(tar))
    return tar, index


def _is_within(url: ObjectUrl, start: ObjectUrl) -> bool:
    """Tell whether an object will be one of those that begin with `start`."""
    if start.provider == url.provider == FILE:
        return Path("/", url.name).resolve().is_relative_to(Path("/", start.name).resolve())
    return url.root == start.root and url.name.startswith(start.name)


def _check_new(store: Store, url: ObjectUrl) -> None:
    try:
        store.head(url)
    except NotFoundError:
        return
    raise ConflictError(
        f"{url} exists; overwrite it (overwrite=True, --overwrite), or choose another name",
        url=str(url),
    )


def _parsed(place: str | os.PathLike[str], *, is_folder: bool = False) -> ObjectUrl:
    if isinstance(place, str) and "://" in place:
        url = ObjectUrl.parse(place)
        is_open = is_folder and url.provider == FILE and not url.name.endswith("/")
        return url.with_name(f"{url.name}/") if is_open else url
    if not os.fspath(place):
        raise ConfigError("a path or URL must be non-empty")
    # Not resolved: the last part may be a link, which stays one.
    path = os.path.abspath(place)  # noqa: PTH100
    return ObjectUrl.parse(f"file://{path}{'/' * (is_folder and path != '/')}")
