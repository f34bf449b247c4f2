"""Manifests: text files that list objects, one a line.

    # shards of the first round
    train/n01440764_18.JPEG<tab>0
    ais://other-bucket/extra.jpg

UTF-8; line ends of any system. The first column, up to a tab, is the URL of an object of any store,
or a name that is relative to the manifest's folder. Further columns, as labels and sizes, are
ignored. Blanks around the first column are stripped, those within it belong to the name. Empty
lines, and lines that begin with "#", are skipped; write an object whose name begins with "#" as a
URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TypeAlias

from aisio.errors import UrlError
from aisio.records import ObjectInfo
from aisio.sources.mixed import MixedSource, StoreFinder
from aisio.stores import Store
from aisio.stores.lazy import Lazy
from aisio.urls import ObjectUrl

__all__ = ["ManifestSource", "parse_manifest"]

_Address: TypeAlias = tuple[str, str]
"""URL of the bucket, and name in it."""


class ManifestSource(MixedSource):
    """The objects that a manifest lists, in its order, and as often as it lists them.

    The manifest is read on first use, once in a process. Whether its objects exist is not looked
    up.

    Args:
        url: The manifest.
        find_store: Returns the store that holds a URL; it must pickle.
        base: What is put before names that are no URLs; by default the manifest's folder.
    """

    def __init__(
        self, url: ObjectUrl, find_store: StoreFinder, *, base: ObjectUrl | None = None
    ) -> None:
        super().__init__(find_store)
        self.url = url.require_object()
        self.base = base or url.with_name(url.name[: url.name.rfind("/") + 1])
        self._objects = Lazy(partial(_read, self.url, self._store_for(url), self.base))

    def __repr__(self) -> str:
        return f"ManifestSource({str(self.url)!r})"

    @property
    def base_url(self) -> str:
        """See `Source.base_url`; the base of the names."""
        return f"{self.base.root}/{self.base.name}"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; sizes are not known.

        Raises:
            NotFoundError: There is no such manifest.
            UrlError: A line is not valid.
        """
        for root, name in self._objects():
            if name.startswith(prefix):
                yield ObjectInfo(root, name)

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`; True for all."""
        return True


def parse_manifest(data: bytes, url: ObjectUrl, base: ObjectUrl) -> Iterator[ObjectUrl]:
    """Yield the objects that a manifest lists.

    Args:
        data: Its bytes.
        url: Its URL, for errors.
        base: What is put before names that are no URLs.

    Raises:
        UrlError: A line is not UTF-8, or names no object; the text says which line.
    """
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            text = line.partition(b"\t")[0].decode("utf-8").strip()
            if text and not text.startswith("#"):
                yield _address(text, base)
        except UnicodeDecodeError as error:
            raise UrlError(
                f"manifest {url}, line {number}: not UTF-8 ({error.reason}): {line[:80]!r}",
                url=str(url),
            ) from None
        except UrlError as error:
            raise UrlError(f"manifest {url}, line {number}: {error}", url=str(url)) from error


def _address(text: str, base: ObjectUrl) -> ObjectUrl:
    address = ObjectUrl.parse(text) if "://" in text else base.with_name(base.name + text)
    return address.require_object()


def _read(url: ObjectUrl, store: Store, base: ObjectUrl) -> tuple[_Address, ...]:
    objects = parse_manifest(store.read(url), url, base)
    return tuple((address.root, address.name) for address in objects)
