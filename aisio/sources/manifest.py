"""Manifests: text files that list objects, one a line.

    # shards of the first round
    train/n01440764_18.JPEG<tab>0
    ais://other-bucket/extra.jpg

UTF-8; line ends of any system. The first column, up to a tab, is the URL of an object of any store,
or a name that is relative to the manifest's folder. Further columns, as labels and sizes, are
ignored. Blanks around the first column are stripped, those within it belong to the name. Empty
lines, and lines that begin with "#", are skipped; write an object whose name begins with "#" as a
URL.

A program may read manifests of another form with a parser of its own.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, TypeAlias

from aisio.errors import ConfigError, UrlError, add_note
from aisio.records import ObjectInfo
from aisio.sources.mixed import MixedSource, StoreFinder
from aisio.stores import Store
from aisio.stores.lazy import Lazy
from aisio.summary import shown
from aisio.urls import ObjectUrl

__all__ = ["ManifestParser", "ManifestSource", "parse_manifest"]

ManifestParser: TypeAlias = Callable[[BinaryIO], Iterable[tuple[str, str]]]
"""Reads a manifest and yields (key, label) of each object; "" where there is no label."""

_Entry: TypeAlias = tuple[str, str, str]
"""URL of the bucket, name in it, and label."""


class ManifestSource(MixedSource):
    """The objects that a manifest lists, in its order, and as often as it lists them.

    The manifest is read on first use, once in a process. Whether its objects exist is not looked
    up.

    Args:
        url: The manifest.
        find_store: Returns the store that holds a URL; it must pickle.
        base: What is put before names that are no URLs; by default the manifest's folder.
        parser: Reads the manifest, if it has another form; it must pickle.
        key_base: What is put before the keys of that parser, to make them URLs.
    """

    why_empty = "the manifest lists no object"

    def __init__(
        self,
        url: ObjectUrl,
        find_store: StoreFinder,
        *,
        base: ObjectUrl | None = None,
        parser: ManifestParser | None = None,
        key_base: str = "",
    ) -> None:
        super().__init__(find_store)
        self.url = url.require_object()
        self.base = base or url.with_name(url.name[: url.name.rfind("/") + 1])
        parse = (
            partial(_parse_lines, base=self.base)
            if parser is None
            else partial(_parse_by, parser=parser, key_base=key_base)
        )
        self._entries = Lazy(partial(_read, self.url, self._store_for(url), parse))

    def __repr__(self) -> str:
        return f"ManifestSource({shown(self.url)!r})"

    def _summary(self) -> Mapping[str, object]:
        return {"manifest": self.url, "objects in": self.base_url}

    @property
    def base_url(self) -> str:
        """See `Source.base_url`; the base of the names."""
        return f"{self.base.root}/{self.base.name}"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; sizes are not known.

        Raises:
            NotFoundError: There is no such manifest.
            UrlError: A line is not valid, or a key makes no URL of an object.
            ConfigError: The parser yields something else than pairs of texts.
        """
        for root, name, label in self._entries():
            if name.startswith(prefix):
                yield ObjectInfo(root, name, label=label)

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


def _parse_lines(data: bytes, url: ObjectUrl, base: ObjectUrl) -> Iterator[tuple[ObjectUrl, str]]:
    return ((address, "") for address in parse_manifest(data, url, base))


def _parse_by(
    data: bytes, url: ObjectUrl, parser: ManifestParser, key_base: str
) -> Iterator[tuple[ObjectUrl, str]]:
    """Yield the objects, with their labels, that the caller's parser finds in a manifest."""
    for number, pair in enumerate(_pairs(data, url, parser), 1):
        key, label = _checked(pair, url, number)
        try:
            yield ObjectUrl.parse(key_base + key).require_object(), label
        except UrlError as error:
            raise UrlError(
                f"manifest {url}, entry {number}, key {key!r}: {error}", url=str(url)
            ) from error


def _pairs(data: bytes, url: ObjectUrl, parser: ManifestParser) -> Iterator[Any]:
    """Yield what the parser yields; its errors name the manifest."""
    count = 0
    try:
        for pair in parser(io.BytesIO(data)):
            count += 1
            yield pair
    except UrlError as error:
        raise UrlError(f"manifest {url}: {error}", url=str(url)) from error
    except Exception as error:
        add_note(error, f"the parser of manifest {url} raised this behind {count:,} entries")
        raise


def _checked(pair: Any, url: ObjectUrl, number: int) -> tuple[str, str]:
    if isinstance(pair, tuple) and len(pair) == 2 and pair[0]:
        key, label = pair
        if isinstance(key, str) and isinstance(label, str):
            return key, label
    raise ConfigError(
        f"manifest {url}, entry {number}: the parser yielded {pair!r:.200}: (key, label) is needed,"
        ' both of them str, the key not empty, the label "" where there is none',
        url=str(url),
    )


def _read(
    url: ObjectUrl,
    store: Store,
    parse: Callable[[bytes, ObjectUrl], Iterator[tuple[ObjectUrl, str]]],
) -> tuple[_Entry, ...]:
    objects = parse(store.read(url), url)
    return tuple((address.root, address.name, label) for address, label in objects)
