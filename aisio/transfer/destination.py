"""Destination: where copies go, and under which names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aisio.client.client import Bucket, Client
from aisio.errors import ConfigError, NotFoundError
from aisio.sources.kinds import PrefixSource
from aisio.stores import AisStore, Store, store_for
from aisio.transfer.jobs import Copy
from aisio.transfer.local_folder import LocalFolder
from aisio.transfer.trees import Entry, Tree, existing, folder_of, list_folder
from aisio.urls import FILE, MEMORY, ObjectUrl

__all__ = ["Destination"]


@dataclass(frozen=True)
class Destination:
    """A folder or bucket that gets all copies, or the name of the only one.

    Attributes:
        url: A folder's ends in "/"; a bucket's has no name.
        store: The store that holds it.
        folder: The local folder; None in another store.
        is_folder: Copies go below it, under the names that they have in their trees.
    """

    url: ObjectUrl
    store: Store
    folder: LocalFolder | None
    is_folder: bool

    @classmethod
    def of(
        cls, url: ObjectUrl, client: Client | None, *, is_folder: bool, path: Path | None = None
    ) -> Destination:
        """Return the destination at a URL.

        Args:
            url: The URL. One of a bucket, of an existing local folder, or with a final "/" is a
                folder.
            client: The cluster.
            is_folder: There are several copies: it is a folder.
            path: A local destination as the user wrote it, for errors.

        Raises:
            NotADirectoryError: A local file is where a folder is needed.
        """
        store = store_for(url, client)
        if url.provider != FILE:
            is_folder = is_folder or not url.name or url.name.endswith("/")
            return cls(folder_of(url) if is_folder else url, store, None, is_folder)
        path = path or Path("/", url.name)
        is_folder = is_folder or url.name.endswith("/") or path.is_dir()
        # The name of a single copy is the user's own: a link of this name may lead anywhere.
        folder = LocalFolder(path if is_folder else Path("/"))
        return cls(folder_of(url) if is_folder else url, store, folder, is_folder)

    def job(self, entry: Entry) -> Copy:
        """Return the copy of an entry to this destination.

        Raises:
            UrlError: The store accepts no such name.
        """
        url = self.url.with_name(self.url.name + entry.name) if self.is_folder else self.url
        if self.folder is None:
            return Copy(entry, url)
        path = f"{self.folder.path}/{entry.name}" if self.is_folder else f"/{url.name}"
        return Copy(entry, url, path)

    def entries(self) -> Iterator[Entry]:
        """List what is there; nothing where there is no such folder, bucket or object."""
        if self.is_folder:
            return existing(list_folder(self.store, self.url))
        return existing(self._single())

    def _single(self) -> Iterator[Entry]:
        info = self.store.head(self.url)
        yield Entry("", info, PrefixSource(self.store, self.url.with_name("")))

    def check_apart_from(self, tree: Tree, *, delete: bool = False) -> None:
        """Check that copies of a tree do not go into the tree itself.

        Args:
            tree: The source.
            delete: What the source does not have is deleted here: it may not be inside either.

        Raises:
            ConfigError: They would.
        """
        if tree.folder is None or not self.is_folder or tree.folder.root != self.url.root:
            return
        source, destination = tree.folder.name, self.url.name
        if self.folder is not None:
            source = f"{Path('/', source).resolve()}/"
            destination = f"{self.folder.path.resolve()}/"
        if destination.startswith(source):
            raise ConfigError(f"{tree.about}: the destination {self.url} is inside of it")
        if delete and source.startswith(destination):
            raise ConfigError(
                f"{tree.about} is inside of the destination {self.url}: --delete would delete it"
            )

    def prepare(self, *, create_bucket: bool) -> None:
        """Create the bucket, or check that there is one.

        Raises:
            NotFoundError: There is none.
            ConfigError: It cannot be created from here.
        """
        if isinstance(self.store, AisStore):
            bucket = Bucket(self.store.client, self.url.with_name(""))
            if create_bucket:
                bucket.create(exist_ok=True)
            elif not bucket.exists():
                raise NotFoundError(f"{self.url.root}: there is no such bucket", url=self.url.root)
        elif create_bucket and self.url.provider not in (FILE, MEMORY):
            raise ConfigError(
                f"{self.url.root} cannot be created from here: use the cloud's own tools"
            )
