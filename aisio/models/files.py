"""Which files a model has: a listing, cut by patterns, as names below a folder."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import NamedTuple

import msgspec

from aisio.errors import ConfigError, IntegrityError, NotFoundError
from aisio.models.options import MemoryOptions
from aisio.records import Checksum, ObjectInfo
from aisio.stores import Store
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.urls import MEMORY, ObjectUrl

MARKER = ".aisio-model.json"
"""The name of the file by which a folder is known to hold a model."""

__all__ = [
    "MARKER",
    "ModelFile",
    "Patterns",
    "is_file_name",
    "list_model",
    "model_key",
    "model_url",
]


class Patterns(NamedTuple):
    """Which files belong to the model, as in huggingface_hub's `snapshot_download`.

    Attributes:
        allow: Patterns of which a name must match one; None for any name.
        ignore: Patterns of which a name may match none.
    """

    allow: tuple[str, ...] | None
    ignore: tuple[str, ...]

    @classmethod
    def of(cls, allow: str | Iterable[str] | None, ignore: str | Iterable[str] | None) -> Patterns:
        """Return patterns as arguments give them: one, several or none.

        Raises:
            ConfigError: No name can match, as `allow` is empty.
        """
        allowed = None if allow is None else _patterns(allow)
        if allowed == ():
            raise ConfigError("allow_patterns is empty: no file could be in the model")
        return cls(allowed, _patterns(() if ignore is None else ignore))

    def match(self, name: str) -> bool:
        """Tell whether a file belongs to the model."""
        if self.allow is not None and not any(fnmatchcase(name, one) for one in self.allow):
            return False
        return not any(fnmatchcase(name, one) for one in self.ignore)


class ModelFile(NamedTuple):
    """One file of a model.

    Attributes:
        name: Its path below the model's URL, and below the folder.
        url: The object.
        info: What the store says of it; the size is known.
        memory_name: Its name in the memory folder; "" for a file that goes to the folder itself.
    """

    name: str
    url: ObjectUrl
    info: ObjectInfo
    memory_name: str = ""

    @property
    def size_bytes(self) -> int:
        """Its size."""
        assert self.info.size_bytes is not None  # list_model asks where a listing does not say
        return self.info.size_bytes


def model_url(url: str) -> ObjectUrl:
    """Return the URL of a model's folder, with its final "/".

    Raises:
        UrlError: It is not a URL.
    """
    parsed = ObjectUrl.parse(url)
    if parsed.name and not parsed.name.endswith("/"):
        return parsed.with_name(parsed.name + "/")
    return parsed


def list_model(
    store: Store, prefix: ObjectUrl, patterns: Patterns, options: MemoryOptions
) -> list[ModelFile]:
    """List the files of a model, in the order of their names; the large ones as they are now.

    Raises:
        NotFoundError: There is none, or none matches the patterns.
        ConfigError: A name cannot be that of a file in a folder.
    """
    listed = [info for info in store.list(prefix) if not info.name.endswith("/")]
    if not listed:
        raise NotFoundError(f"{prefix}: there are no files of a model", url=str(prefix))
    infos = [info for info in listed if patterns.match(_relative(info, prefix))]
    if not infos:
        raise NotFoundError(
            f"{prefix}: none of its {len(listed):,} files matches allow_patterns and "
            f"ignore_patterns; the first is {_relative(listed[0], prefix)!r}",
            url=str(prefix),
        )
    _check_names([_relative(info, prefix) for info in infos], prefix)

    def look(info: ObjectInfo) -> ObjectInfo:
        is_small = info.size_bytes is not None and info.size_bytes < options.from_bytes
        return info if is_small else store.head(prefix.with_name(info.name))

    looked = fetch_in_order(infos, look, size_of=lambda _: 0, result_bytes=lambda _: 0)
    return [_file(number, info, prefix, options) for number, info in enumerate(looked)]


def _file(number: int, info: ObjectInfo, prefix: ObjectUrl, options: MemoryOptions) -> ModelFile:
    name, url = _relative(info, prefix), prefix.with_name(info.name)
    if info.size_bytes is None:
        raise IntegrityError(f"HEAD {url}: the store does not say its size", url=str(url))
    is_large = info.size_bytes >= options.from_bytes
    memory_name = f"{number:04d}{PurePosixPath(name).suffix[:32]}" if is_large else ""
    return ModelFile(name, url, info, memory_name)


def is_file_name(name: str) -> bool:
    """Tell whether a path leads from a folder to a file in it."""
    return bool(name) and "\0" not in name and {"", ".", ".."}.isdisjoint(name.split("/"))


def model_key(prefix: ObjectUrl, files: Sequence[ModelFile], options: MemoryOptions) -> str:
    """Return what tells one model, in the versions that its objects have now, from another.

    Processes with the same key share memory. Where a store does not tell versions apart, the key is
    one of its own.
    """
    identities = [(one.name, one.info.size_bytes, _version_of(one.info)) for one in files]
    is_known = all(_version_of(one.info) for one in files if one.memory_name)
    own = "" if is_known and prefix.provider != MEMORY else f"{os.getpid()}-{secrets.token_hex(8)}"
    memory_names = [one.memory_name for one in files]
    parts = (os.geteuid(), str(prefix), identities, memory_names, os.fspath(options.folder), own)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _version_of(info: ObjectInfo) -> str | tuple[Checksum | None, str] | None:
    """Return what tells one version of an object from another; None if nothing does.

    Of an object of another store, AIStore knows checksum and version only once it has a copy. The
    entity tag is that store's, so where there is one it is enough.
    """
    etag = info.custom.get("ETag", "").strip('"') or info.etag
    return etag or ((info.checksum, info.version) if info.checksum or info.version else None)


def _patterns(patterns: str | Iterable[str]) -> tuple[str, ...]:
    given = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    return tuple(one + "*" if one.endswith("/") else one for one in given)


def _relative(info: ObjectInfo, prefix: ObjectUrl) -> str:
    return info.name[len(prefix.name) :]


def _check_names(names: list[str], prefix: ObjectUrl) -> None:
    """Check that a folder can hold all of the names at once."""
    files = set(names)
    for name in names:
        parents = {str(parent) for parent in PurePosixPath(name).parents}
        is_marker = name == MARKER
        if is_marker or not is_file_name(name) or not parents.isdisjoint(files):
            raise ConfigError(
                f"{prefix}: {name!r} cannot be a file in a folder; leave it out by ignore_patterns="
            )
