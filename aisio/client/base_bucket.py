"""BaseBucket: the calls of a bucket, which need no more than a session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from aisio.client.copying import copy_bucket, rename_bucket
from aisio.client.deletion import delete_listed, delete_names
from aisio.client.listing import list_bucket
from aisio.client.object import Object
from aisio.client.session import Session
from aisio.errors import ConfigError, ConflictError, NotFoundError, UrlError
from aisio.limits import is_whole
from aisio.records import Deleted, ObjectInfo
from aisio.transport.concurrency.delete_each import require_none_missing
from aisio.urls import ObjectUrl
from aisio.wire import messages
from aisio.wire.listing import LISTED_PROPS
from aisio.wire.templates import Template, parse_template

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BaseBucket"]


class BaseBucket(ABC):
    """The base of `aisio.client.client.Bucket`: all that needs no client.

    Args:
        session: Sends the requests.
        url: The bucket.
    """

    def __init__(self, session: Session, url: ObjectUrl) -> None:
        self.session = session
        self.url = url

    @abstractmethod
    def _sibling(self, name: str) -> Self:
        """Return a bucket of the same cluster, by name or URL."""

    @property
    def name(self) -> str:
        """The bucket's name."""
        return self.url.bucket

    def __iter__(self) -> Iterator[Object]:
        """Yield the objects in bytewise order of their names; pages are fetched as for `list`.

        The empty objects with which some tools mark folders ("train/") are left out.
        """
        return (
            self.object(info.name)
            for info in self.list()
            if info.size_bytes or not info.name.endswith("/")
        )

    def __contains__(self, name: Any) -> bool:
        """Tell whether the bucket has an object of this name; it is not listed for that."""
        if isinstance(name, Object):
            return self.object(name.name) == name and name.exists()
        return isinstance(name, str) and self.object(name).exists()

    def create(self, *, exist_ok: bool = False) -> Self:
        """Create the bucket and return it.

        Raises:
            ConflictError: The bucket exists, and exist_ok is false.
        """
        try:
            # After a lost response a second try would find the bucket that the first one made.
            self._call("POST", messages.action("create-bck"), safe=exist_ok)
        except ConflictError:
            if not exist_ok:
                raise
        return self

    def exists(self) -> bool:
        """Tell whether the cluster knows the bucket."""
        try:
            self._call("HEAD")
        except NotFoundError:
            return False
        return True

    def delete(self, *, missing_ok: bool = False) -> None:
        """Destroy the bucket with all that is in it.

        Raises:
            NotFoundError: No such bucket, and missing_ok is false.
        """
        self.session.delete(
            messages.bucket_path(self.name),
            messages.bucket_query(self.url),
            message=messages.action("destroy-bck"),
            about=str(self.url),
            missing_ok=missing_ok,
        )

    def copy(self, to: str | Self, *, prefix: str = "", prepend: str = "") -> Self:
        """Copy the objects to another bucket of the cluster, which is created if need be.

        The bytes stay in the cluster. Size and checksum of what was copied are compared by listings
        of both. Objects of the other bucket that have other names stay.

        Args:
            to: The other bucket, by name or URL.
            prefix: Only objects whose names begin so.
            prepend: What the copies' names have in front, as in "backup/".

        Returns:
            The other bucket.

        Raises:
            NotFoundError: No such bucket, or no name begins with the prefix.
            StorageError: Objects could not be copied, all others are; the text names the first.
            ConfigError: The same bucket without `prepend`, or a bucket of another cluster.
        """
        other = self._other("copy", to)
        if other == self and not prepend:
            raise ConfigError(f"copy {self.url}: to the same bucket, with no prepend=")
        copy_bucket(self.session, self.url, other.url, prefix=prefix, prepend=prepend)
        return other

    def rename(self, to: str) -> Self:
        """Give the bucket another name, and return it. The cluster copies, then removes the old.

        That takes AIStore 14 seconds and longer; this waits for it.

        Args:
            to: The new name.

        Raises:
            NotFoundError: No such bucket.
            ConflictError: There is a bucket of that name.
            ConfigError: An object is named like a folder of others: AIStore would lose those.
            IntegrityError: Not all of it has arrived; the text says how much.
        """
        other = self._other("rename", to)
        if other == self:
            raise ConfigError(f"rename {self.url}: it has that name already")
        if other.exists():
            raise ConflictError(f"rename {self.url}: {other.url} exists already")
        rename_bucket(self.session, self.url, other.url)
        return other

    def _other(self, operation: str, to: str | Self) -> Self:
        """Return another bucket of this cluster."""
        if isinstance(to, str):
            name = to if "://" in to else f"{self.url.root[: -len(self.name)]}{to}"
            return self._sibling(name)
        if to.session.settings.endpoint != self.session.settings.endpoint:
            raise ConfigError(f"{operation} {self.url}: {to!r} is in another cluster")
        return to

    def delete_many(
        self,
        names: Iterable[str] | None = None,
        *,
        prefix: str | None = None,
        template: str | None = None,
        missing_ok: bool = False,
    ) -> Deleted:
        """Delete objects by their names, by a prefix of their names, or by a template of names.

        Thousands of names are deleted by one request to the cluster. Each name is accounted for.

        Args:
            names: Object names.
            prefix: Plain-string prefix of the names; "" for all objects.
            template: As in "s-{000..099}.tar"; see `aisio.wire.templates`.
            missing_ok: Names that do not exist are no error; the result has them.

        Returns:
            How many objects were deleted, and which names did not exist.

        Raises:
            NotFoundError: No such bucket; or names did not exist, all others are deleted; or no
                name begins with the prefix.
            StorageError: Objects could not be deleted; the text names the first, and says how many
                were.
            ConfigError: None of names, prefix and template, several of them, or no name at all.
        """
        session = self.session
        if [names, prefix, template].count(None) != 2:
            raise ConfigError("delete_many needs one of names, prefix= and template=")
        if prefix is not None:
            deleted = delete_listed(session, self.url, prefix)
            if not (deleted.count or missing_ok or not prefix):
                raise NotFoundError(
                    f"delete {self.url}: no name begins with {prefix!r}", url=str(self.url)
                )
            return deleted
        listed = self._names(names, template)
        unique = dict.fromkeys(listed.names() if isinstance(listed, Template) else listed)
        if not unique:
            raise ConfigError(f"delete {self.url}: there are no names")
        deleted = delete_names(session, self.url, unique)
        return deleted if missing_ok else require_none_missing(self.url.root, deleted)

    def _names(
        self, names: Iterable[str] | None, template: str | None, count: int | None = None
    ) -> tuple[str, ...] | Template:
        if (names is None) == (template is None):
            raise ConfigError("a group needs names or template=, and not both")
        if names is None:
            return parse_template(str(template), count=count)
        if isinstance(names, str):
            raise UrlError(f"{names!r} is one name: pass a list of names, or template=")
        return tuple(self.object(name).name for name in names)

    def _call(self, method: str, message: Any = None, *, safe: bool = True) -> None:
        self.session.call(
            method,
            messages.bucket_path(self.name),
            query=messages.bucket_query(self.url),
            message=message,
            about=str(self.url),
            safe=safe,
        )

    def object(self, name: str) -> Object:
        """Return an object of this bucket; whether it exists is not looked up.

        Raises:
            UrlError: No object can have this name.
        """
        return Object(self.session, self.url.with_name(name).require_object())

    def list(
        self,
        prefix: str = "",
        *,
        props: str = "name,size",
        start_after: str = "",
        page_size: int = 0,
        recursive: bool = True,
    ) -> Iterator[ObjectInfo]:
        """List objects in bytewise order of their names; pages are fetched as they are needed.

        Args:
            prefix: Plain-string prefix of the names.
            props: What to list of each object, joined by commas: name, size, checksum, version,
                atime, custom, location. What is not listed is None, "" or 0.0 in the results.
            start_after: Leave out names up to and including this one (ais buckets only).
            page_size: Maximum number of entries of a page; 0 for the server's own limit (10,000 for
                ais).
            recursive: False lists one level; its folders are entries whose names end in "/". In an
                ais bucket a folder of many objects costs a request.

        Raises:
            ConfigError: The page size is negative or no whole number, or `props` has another name.
            NotFoundError: No such bucket; raised at the first item.
            IntegrityError: The server sends the same names again and again; raised at an item.
        """
        if not is_whole(page_size):
            raise ConfigError(f"list {self.url}: page_size={page_size}: 0 or more is needed")
        if not set(LISTED_PROPS).issuperset(props.split(",")):
            known = ", ".join(LISTED_PROPS)
            raise ConfigError(f"list {self.url}: props={props!r}: expected some of {known}")
        return list_bucket(
            self.session,
            self.url,
            lambda name: self.object(name).exists(),
            prefix=prefix,
            props=props,
            start_after=start_after,
            page_size=int(page_size),
            recursive=recursive,
        )
