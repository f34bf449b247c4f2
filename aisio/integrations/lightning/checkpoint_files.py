"""What Lightning's ModelCheckpoint asks of a file system, answered for ais:// URLs.

ModelCheckpoint looks through fsspec which checkpoints there are, before it has the CheckpointIO
store one. fsspec knows no ais://, so this registers a file system which can do no more than that.
"""

from __future__ import annotations

from typing import Any

from aisio.errors import NotFoundError
from aisio.extras import missing_extra
from aisio.records import ObjectInfo
from aisio.stores import store_for
from aisio.urls import ObjectUrl

try:
    import fsspec  # type: ignore[import-untyped]
except ImportError as error:
    raise missing_extra(error.name or "fsspec", "lightning") from error

__all__ = ["CheckpointFiles", "register_files"]

SCHEME = "ais"


def register_files() -> None:
    """Have fsspec use it for ais://, unless something else was registered for that."""
    if SCHEME not in fsspec.available_protocols():
        fsspec.register_implementation(SCHEME, CheckpointFiles)


class CheckpointFiles(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Tells which objects there are in the cluster that AIS_ENDPOINT names."""

    protocol = SCHEME
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str | list[str]) -> str | list[str]:
        """Return a URL as it is, without a final "/": a name may be anything."""
        if isinstance(path, list):
            return [str(cls._strip_protocol(one)) for one in path]
        text = path.rstrip("/")
        return text if "://" in text else f"{SCHEME}://{text}"

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Return name, size and type of an object or a folder.

        Raises:
            NotFoundError: There is neither.
        """
        url = ObjectUrl.parse(str(self._strip_protocol(path)))
        if url.name:
            try:
                return _entry(store_for(url).head(url))
            except NotFoundError:
                pass
        found = self.ls(path, detail=False)
        if not found:
            raise NotFoundError(f"there is no {url}", url=str(url))
        return {"name": str(url), "size": 0, "type": "directory"}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """List the objects below a folder, those in folders of it too.

        Args:
            path: The folder.
            detail: Return names, sizes and types; otherwise names.
            kwargs: Not used.
        """
        url = ObjectUrl.parse(str(self._strip_protocol(path)))
        prefix = url.with_name(f"{url.name}/" if url.name else "")
        found = [_entry(info) for info in store_for(prefix).list(prefix)]
        return found if detail else [entry["name"] for entry in found]


def _entry(info: ObjectInfo) -> dict[str, Any]:
    return {"name": info.url, "size": info.size_bytes, "type": "file"}
