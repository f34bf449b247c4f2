"""Find a file in NVIDIA's registry: its version, its entry in the list, and its presigned URL.

The requests, each a GET under the base URL, with a key or, behind "or", of a guest:

    /v2/org/{org}/team/{team}/models/{name}     or     /v2/models/{org}/{team}/{name}
        {"model": {"latestVersionIdStr": "2.1"}}; only where the target names no version
    .../versions/{version}
        {"modelVersion": {"status": "UPLOAD_COMPLETE"}}; with any other status it cannot be read
    .../versions/{version}/files?page-size=1000
        {"modelFiles": [{"path", "sizeInBytes", "sha256_base64"}], "paginationInfo":
        {"totalPages": 2}}; then the same with &page-number=1 and so on: the first page is 0
    /v2/org/{org}/team/{team}/models/{name}/{version}/files?path={path}
        or     /v2/models/org/{org}/team/{team}/{name}/{version}/files?path={path}
        {"urls": [presigned], "filepath": [path]}

Without a team, /team/{team} or /{team} is omitted. For resources, "models" is "resources", and
model, modelVersion and modelFiles are recipe, recipeVersion and recipeFiles.

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
from aisio.escapes import first_and_count
from aisio.resources.origins.ngc.registry import Registry
from aisio.resources.origins.ngc.signed_url import ListedFile
from aisio.resources.origins.ngc.target import (
    NgcTarget,
    download_path,
    files_path,
    item_path,
    response_field,
    version_path,
)

T = TypeVar("T")

PAGE_SIZE = 1000
"""Files that are requested at a time; the registry may send fewer."""

_MAX_PAGES = 10_000
_MAX_NAMES_SHOWN = 5
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


class _SignedUrls(msgspec.Struct):
    urls: list[str]
    paths: list[str] | None = msgspec.field(name="filepath", default=None)


def resolve_version(registry: Registry, target: NgcTarget) -> NgcTarget:
    """Return the target with its version, the latest if it names none.

    Raises:
        NotFoundError: No such model or resource, or no such version of it; the text says which.
        ConflictError: The version is not complete.
        StorageError: As for `Registry.get`.
    """
    if target.version is None:
        target = target.with_version(_latest_version(registry, target))
    try:
        answer = registry.get(version_path, target)
    except NotFoundError as error:
        # If the name is wrong, this request says so.
        latest = _latest_version(registry, target)
        raise registry.error(
            f"there is no version {target.version}; the latest is {latest}",
            NotFoundError,
            status=error.status,
        ) from None
    version = _parse(registry, _Version, answer.get(response_field(registry.kind, "Version")))
    if version.status != "UPLOAD_COMPLETE":
        raise registry.error(
            f"version {target.version} is not complete, its status is {version.status}: wait until "
            "it is uploaded, or name another version",
            ConflictError,
        )
    return target


def find_file(registry: Registry, target: NgcTarget, filename: str) -> ListedFile:
    """Return the file with exactly this path, else the only file whose path ends with it.

    Raises:
        NotFoundError: There is none; the text has similar names.
        ConflictError: There are several.
        StorageError: As for `Registry.get`, or the list contradicts itself.
    """
    nested: list[_File] = []
    paths: list[str] = []
    for file in _list_files(registry, target):
        if file.path == filename:
            return _listed_file(registry, target, file)
        paths.append(file.path)
        if file.path.endswith(f"/{filename}"):
            nested.append(file)
    if not nested:
        raise registry.error(
            f"version {target.version} has no file {filename!r}; {_similar_names(filename, paths)}",
            NotFoundError,
        )
    if len(nested) > 1:
        raise registry.error(
            f"version {target.version} has {len(nested)} files {filename!r}: give the path of one "
            f"of them: {_first_names(sorted(file.path for file in nested))}",
            ConflictError,
        )
    return _listed_file(registry, target, nested[0])


def get_signed_url(registry: Registry, target: NgcTarget, file: ListedFile) -> str:
    """Return a presigned URL of a file, valid for some minutes. It is a credential.

    Raises:
        StorageError: As for `Registry.get`, or the URL is of another file or not https.
    """
    answer = registry.get(download_path, target, path=file.path)
    signed = _parse(registry, _SignedUrls, answer)
    urls = dict(zip(signed.paths or [file.path], signed.urls, strict=False))
    url = urls.get(file.path)
    if url is None:
        raise registry.error(f"it gives no address of {file.path!r}; try again later")
    if not url.startswith("https://"):
        raise registry.error(f"the address of {file.path!r} is not https")
    return url


def _latest_version(registry: Registry, target: NgcTarget) -> str:
    answer = registry.get(item_path, target, resolve_labels="false")
    latest = _parse(registry, _Item, answer.get(response_field(registry.kind, ""))).latest
    if not latest:
        raise registry.error("it has no version yet", NotFoundError)
    return latest


def _list_files(registry: Registry, target: NgcTarget) -> Iterator[_File]:
    """List the files of a version, page by page."""
    seen: set[str] = set()
    first = registry.get(files_path, target, page_size=PAGE_SIZE)
    pages = _page_count(registry, first)
    yield from _files(registry, first, seen)
    for number in range(1, pages or 1):
        page = registry.get(files_path, target, page_size=PAGE_SIZE, page_number=number)
        if _page_count(registry, page) not in (None, pages):
            raise _list_error(registry, f"page {number} counts other pages than the first")
        files = _files(registry, page, seen)
        if not files:
            raise _list_error(registry, f"page {number} of {pages} is empty")
        yield from files


def _page_count(registry: Registry, page: dict[str, Any]) -> int | None:
    count = _parse(registry, _Pages, page.get("paginationInfo") or {}).count
    if count is not None and not 0 <= count <= _MAX_PAGES:
        raise _list_error(registry, f"there are {count} pages")
    return count


def _files(registry: Registry, page: dict[str, Any], seen: set[str]) -> list[_File]:
    files = _parse(registry, list[_File], page.get(response_field(registry.kind, "Files")) or [])
    for file in files:
        if file.path in seen or (file.size_bytes or 0) < 0:
            raise _list_error(registry, f"{file.path!r} comes twice, or has a size below zero")
        seen.add(file.path)
    return files


def _list_error(registry: Registry, text: str) -> StorageError:
    return registry.error(f"its list of files cannot be right: {text}; try again later")


def _listed_file(registry: Registry, target: NgcTarget, file: _File) -> ListedFile:
    return ListedFile(
        url=registry.url,
        path=file.path,
        size_bytes=file.size_bytes,
        version=str(target),
        sha256=_hexadecimal(file.sha256 or ""),
    )


def _hexadecimal(digest: str) -> str | None:
    """Return the digits of a SHA-256 in base64; None for anything else."""
    try:
        decoded = b64decode(digest, validate=True)
    except ValueError:
        return None
    return decoded.hex() if len(decoded) == _SHA256_BYTES else None


def _parse(registry: Registry, kind: type[T], answer: Any) -> T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise registry.error(f"an answer is not as the registry's are: {error}") from None


def _similar_names(filename: str, paths: Iterable[str]) -> str:
    """Name the files with a similar name; if there are none, the first files."""
    path_by_name = {path.rpartition("/")[2]: path for path in sorted(paths, reverse=True)}
    similar = difflib.get_close_matches(filename, path_by_name, _MAX_NAMES_SHOWN)
    if similar:
        return f"did you mean {_first_names([path_by_name[name] for name in similar])}?"
    return f"it has {_first_names(sorted(path_by_name.values())) or 'no file at all'}"


def _first_names(names: list[str]) -> str:
    return first_and_count(names, _MAX_NAMES_SHOWN)
