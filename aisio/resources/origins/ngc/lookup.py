"""Finding a file in NVIDIA's registry: its version, its entry in the list, and where its bytes are.

What is asked, each a GET under the base URL, by the paths of a key or, behind "or", of a guest:

    /v2/org/{org}/team/{team}/models/{name}     or     /v2/models/{org}/{team}/{name}
        {"model": {"latestVersionIdStr": "2.1"}}; only where the target names no version
    .../versions/{version}
        {"modelVersion": {"status": "UPLOAD_COMPLETE"}}; with any other status it cannot be read
    .../versions/{version}/files?page-size=1000
        {"modelFiles": [{"path", "sizeInBytes", "sha256_base64"}], "paginationInfo":
        {"totalPages": 2}}; then the same with &page-number=1 and so on: pages count from 0
    /v2/org/{org}/team/{team}/models/{name}/{version}/files?path={path}
        or     /v2/models/org/{org}/team/{team}/{name}/{version}/files?path={path}
        {"urls": [presigned], "filepath": [path]}

Without a team its part of a path is left out. For resources, "models" is "resources", and model,
modelVersion and modelFiles are recipe, recipeVersion and recipeFiles.

Source:
    ngcsdk 4.37.0, read and run against a server that records the requests.
"""

from __future__ import annotations

import difflib
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from aisio.errors import ConflictError, NotFoundError, StorageError
from aisio.resources.origins.ngc.registry import Registry
from aisio.resources.origins.ngc.signed_url import ListedFile
from aisio.resources.origins.ngc.target import (
    NgcTarget,
    download_path,
    field_of,
    files_path,
    item_path,
    version_path,
)

T = TypeVar("T")

PAGE_SIZE = 1000
"""Files that are asked for at a time; the registry may give fewer."""

_MOST_PAGES = 10_000
_MOST_NAMES_SHOWN = 5
_SHA256_BYTES = 32


class _Item(msgspec.Struct):
    latest: str | None = msgspec.field(name="latestVersionIdStr", default=None)


class _Version(msgspec.Struct):
    status: str | None = None


class _File(msgspec.Struct):
    path: str
    size_bytes: int | None = msgspec.field(name="sizeInBytes", default=None)
    sha256: str | None = msgspec.field(name="sha256_base64", default=None)


class _Pages(msgspec.Struct):
    count: int | None = msgspec.field(name="totalPages", default=None)


class _Address(msgspec.Struct):
    urls: list[str]
    paths: list[str] | None = msgspec.field(name="filepath", default=None)


def readable_version(registry: Registry, target: NgcTarget) -> NgcTarget:
    """Return the target with its version, the latest where it names none.

    Raises:
        NotFoundError: No such model or resource, or no such version of it; the text tells which.
        ConflictError: The version is not complete.
        StorageError: As for `Registry.get`.
    """
    if target.version is None:
        target = target.at(_latest(registry, target))
    try:
        answer = registry.get(version_path, target)
    except NotFoundError as error:
        # Asked without a version, a wrong name is told from a wrong version.
        raise registry.error(
            f"there is no version {target.version}; the latest is {_latest(registry, target)}",
            NotFoundError,
            status=error.status,
        ) from None
    version = _read(registry, _Version, answer.get(field_of(registry.kind, "Version")))
    if version.status != "UPLOAD_COMPLETE":
        raise registry.error(
            f"version {target.version} is not complete, its status is {version.status}: wait until "
            "it is uploaded, or name another version",
            ConflictError,
        )
    return target


def find_file(registry: Registry, target: NgcTarget, filename: str) -> ListedFile:
    """Return the file of that very path, else the only one whose path ends in it.

    Raises:
        NotFoundError: There is none; the text holds names that are near.
        ConflictError: There are several.
        StorageError: As for `Registry.get`, or the list cannot be believed.
    """
    nested: list[_File] = []
    paths: list[str] = []
    for file in _listed(registry, target):
        if file.path == filename:
            return _found(registry, target, file)
        paths.append(file.path)
        if file.path.endswith(f"/{filename}"):
            nested.append(file)
    if not nested:
        raise registry.error(
            f"version {target.version} has no file {filename!r}; {_near(filename, paths)}",
            NotFoundError,
        )
    if len(nested) > 1:
        raise registry.error(
            f"version {target.version} has {len(nested)} files {filename!r}: give the path of one "
            f"of them: {_some(sorted(file.path for file in nested))}",
            ConflictError,
        )
    return _found(registry, target, nested[0])


def sign(registry: Registry, target: NgcTarget, file: ListedFile) -> str:
    """Return a presigned URL of a file, good for some minutes. It is a credential.

    Raises:
        StorageError: As for `Registry.get`, or the address is of something else.
    """
    answer = registry.get(download_path, target, path=file.path)
    address = _read(registry, _Address, answer)
    urls = dict(zip(address.paths or [file.path], address.urls, strict=False))
    url = urls.get(file.path)
    if url is None:
        raise registry.error(f"it gives no address of {file.path!r}; try again later")
    if not url.startswith("https://"):
        raise registry.error(f"the address of {file.path!r} is not https")
    return url


def _latest(registry: Registry, target: NgcTarget) -> str:
    answer = registry.get(item_path, target, resolve_labels="false")
    latest = _read(registry, _Item, answer.get(field_of(registry.kind, ""))).latest
    if not latest:
        raise registry.error("it has no version yet", NotFoundError)
    return latest


def _listed(registry: Registry, target: NgcTarget) -> Iterator[_File]:
    """List the files of a version, page by page."""
    seen: set[str] = set()
    first = registry.get(files_path, target, page_size=PAGE_SIZE)
    pages = _pages(registry, first)
    yield from _files(registry, first, seen)
    for number in range(1, pages or 1):
        page = registry.get(files_path, target, page_size=PAGE_SIZE, page_number=number)
        if _pages(registry, page) not in (None, pages):
            raise _unfit(registry, f"page {number} counts other pages than the first")
        files = _files(registry, page, seen)
        if not files:
            raise _unfit(registry, f"page {number} of {pages} is empty")
        yield from files


def _pages(registry: Registry, page: dict[str, Any]) -> int | None:
    count = _read(registry, _Pages, page.get("paginationInfo") or {}).count
    if count is not None and not 0 <= count <= _MOST_PAGES:
        raise _unfit(registry, f"there are {count} pages")
    return count


def _files(registry: Registry, page: dict[str, Any], seen: set[str]) -> list[_File]:
    files = _read(registry, list[_File], page.get(field_of(registry.kind, "Files")) or [])
    for file in files:
        if file.path in seen or (file.size_bytes or 0) < 0:
            raise _unfit(registry, f"{file.path!r} comes twice, or has a size below zero")
        seen.add(file.path)
    return files


def _unfit(registry: Registry, text: str) -> StorageError:
    return registry.error(f"its list of files cannot be right: {text}; try again later")


def _found(registry: Registry, target: NgcTarget, file: _File) -> ListedFile:
    return ListedFile(
        url=registry.url,
        path=file.path,
        size_bytes=file.size_bytes,
        version=str(target),
        sha256=_hexadecimal(file.sha256 or ""),
    )


def _hexadecimal(digest: str) -> str | None:
    """Return the digits of a digest in base64; None for what is no SHA-256."""
    try:
        decoded = b64decode(digest, validate=True)
    except ValueError:
        return None
    return decoded.hex() if len(decoded) == _SHA256_BYTES else None


def _read(registry: Registry, kind: type[T], answer: Any) -> T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise registry.error(f"an answer is not as the registry's are: {error}") from None


def _near(filename: str, paths: Iterable[str]) -> str:
    """Say which files there are, those with a similar name first."""
    names = {path.rpartition("/")[2]: path for path in sorted(paths, reverse=True)}
    near = [names[name] for name in difflib.get_close_matches(filename, names, _MOST_NAMES_SHOWN)]
    if near:
        return f"did you mean {_some(near)}?"
    return f"it has {_some(sorted(names.values())) or 'no file at all'}"


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES_SHOWN
    return ", ".join(names[:_MOST_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
