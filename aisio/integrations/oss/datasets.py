"""OssMapDataset and OssIterableDataset: aisio's datasets of objects by the connector's names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, TypedDict

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.integrations.oss.connection import OssConnection
from aisio.integrations.oss.data_object import OssDataObject
from aisio.integrations.oss.uris import object_url, prefix_url, required
from aisio.records import Concurrency
from aisio.sources.base import Source
from aisio.sources.manifest import ManifestParser
from aisio.training.chunk_shuffle import ChunkShuffle
from aisio.training.member_order import MemberOrder
from aisio.training.missing_objects import OnMissing
from aisio.training.object_constructors import (
    Place,
    manifest_source,
    objects_source,
    prefix_source,
    tar_source,
)
from aisio.training.object_datasets import AISMapDataset
from aisio.training.object_iter_dataset import AISIterDataset
from aisio.training.split_options import Equalize, Ranks, Split

try:
    import torch
except ImportError as error:
    raise missing_extra("torch", "torch") from error
if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["OssIterableDataset", "OssMapDataset", "identity"]

_MAX_DRAWN = 1 << 62
_CONNECTION_OPTIONS = ("cred_path", "cred_provider", "config_path", "region")


def identity(item: OssDataObject | None) -> OssDataObject | None:
    """Return the object itself; the default transform."""
    return item


class _MapOptions(TypedDict, total=False):
    """The options of `OssMapDataset`, which documents them."""

    cred_path: str
    cred_provider: Any
    config_path: str
    region: str
    transform: Callable[[Any], Any]
    on_missing: OnMissing
    skip_empty: bool
    allow_empty: bool
    concurrency: int | Concurrency | None


class _Options(_MapOptions, total=False):
    """The options of `OssIterableDataset`, which documents them."""

    show_progress: bool
    length: int | None
    split: Split
    ranks: Ranks
    equalize: Equalize


@dataclass(frozen=True)
class _ManifestParser:
    """Makes URLs of the keys that a parser finds in a manifest.

    Attributes:
        parser: The caller's parser.
        base_uri: What stands before each key.
        owner: Name of the dataset's class.
        is_local: The URIs name local files.
    """

    parser: ManifestParser
    base_uri: str
    owner: str
    is_local: bool

    def __call__(self, reader: BinaryIO) -> Iterator[tuple[str, str]]:
        return map(self._with_url, self.parser(reader))

    def _with_url(self, pair: Any) -> Any:
        if not (
            isinstance(pair, tuple) and len(pair) == 2 and pair[0] and isinstance(pair[0], str)
        ):
            return pair  # the manifest's source says what is wrong with it
        uri = f"{self.base_uri}{pair[0]}"
        return object_url(self.owner, "oss_base_uri + key", uri, is_local=self.is_local), pair[1]


class _Constructors:
    """The constructors that both datasets have; `OssMapDataset` documents their options."""

    DATA_OBJECT = OssDataObject
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"transform": identity}

    _connection: OssConnection

    if TYPE_CHECKING:

        def __init__(self, ais_source_list: Source, **options: Any) -> None: ...

    @classmethod
    def from_prefix(cls, oss_uri: Place, endpoint: str, **options: Unpack[_Options]) -> Self:
        """Read all objects whose URIs begin with a text, or all files of a local folder.

        Args:
            oss_uri: The text, as in "oss://bucket/train/" or "/bucket/train/".
            endpoint: The bucket's endpoint, a URL or a host; "" where URIs name local files.
            **options: See the class.

        Raises:
            ConfigError: An argument is empty, or an option is not valid.
            UrlError: It is no URI.
        """
        required(cls.__name__, "oss_uri", oss_uri)
        connection, own = cls._opened(endpoint, options)
        url = prefix_url(cls.__name__, "oss_uri", oss_uri, is_local=connection.is_local)
        return cls._made(prefix_source(cls.__name__, url, own), connection, own)

    @classmethod
    def from_objects(
        cls, object_uris: Place | Iterable[Place], endpoint: str, **options: Unpack[_Options]
    ) -> Self:
        """Read these objects, in this order.

        Args:
            object_uris: URIs, or one of them.
            endpoint: See `from_prefix`.
            **options: See the class.

        Raises:
            ConfigError: There is none, or an option is not valid.
            UrlError: One of them is not the URI of an object.
        """
        owner = cls.__name__
        uris = (
            [object_uris]
            if isinstance(object_uris, (str, os.PathLike))
            else list(object_uris or ())
        )
        required(owner, "object_uris", uris)
        connection, own = cls._opened(endpoint, options)
        urls = [object_url(owner, "object_uris", uri, is_local=connection.is_local) for uri in uris]
        return cls._made(objects_source(owner, urls, own), connection, own)

    @classmethod
    def from_manifest_file(
        cls,
        manifest_file_path: Place,
        manifest_parser: ManifestParser,
        oss_base_uri: str,
        endpoint: str,
        **options: Unpack[_Options],
    ) -> Self:
        """Read the objects that a manifest lists, in its order, with its labels.

        Args:
            manifest_file_path: The manifest: the path of a local file, or an oss:// URI.
            manifest_parser: Gets the manifest as a binary file and yields (key, label) of each
                object, as `imagenet_manifest_parser` does.
            oss_base_uri: What stands before each key, literally; "" where the keys are URIs.
            endpoint: See `from_prefix`.
            **options: See the class.

        Raises:
            ConfigError: An argument is empty, or an option is not valid.
            UrlError: A key makes no URI of an object.
        """
        owner = cls.__name__
        required(owner, "manifest_file_path", manifest_file_path)
        required(owner, "manifest_parser", manifest_parser)
        if not callable(manifest_parser):
            raise ConfigError(f"<{owner}> manifest_parser={manifest_parser!r} cannot be called")
        connection, own = cls._opened(endpoint, options)
        place = manifest_file_path
        if isinstance(place, str) and place.startswith("oss://"):
            place = object_url(owner, "manifest_file_path", place, is_local=connection.is_local)
        parser = _ManifestParser(manifest_parser, oss_base_uri or "", owner, connection.is_local)
        return cls._made(manifest_source(owner, place, parser, "", own), connection, own)

    @classmethod
    def _from_tar(
        cls,
        tar_uri: Place,
        tar_index_uri: Place,
        endpoint: str,
        options: _MapOptions,
        order: MemberOrder | None = None,
    ) -> Self:
        owner = cls.__name__
        required(owner, "tar_uri", tar_uri)
        required(owner, "tar_index_uri", tar_index_uri)
        connection, own = cls._opened(endpoint, options)
        is_local = connection.is_local
        tar = object_url(owner, "tar_uri", tar_uri, is_local=is_local)
        index = object_url(owner, "tar_index_uri", tar_index_uri, is_local=is_local)
        if not is_local and tar.split("/")[2] != index.split("/")[2]:
            raise ConfigError(
                f"<{owner}> tar_uri and tar_index_uri must be in the same bucket: {tar}, {index}"
            )
        return cls._made(tar_source(owner, tar, index, own, order), connection, own)

    @classmethod
    def _opened(cls, endpoint: str, options: _MapOptions) -> tuple[OssConnection, Any]:
        """Return the connection that the options say, and the options of aisio's own class."""
        own: dict[str, Any] = {**options}
        said = {name: own.pop(name) for name in _CONNECTION_OPTIONS if name in own}
        connection = OssConnection.of(cls.__name__, endpoint, **said)
        return connection, {**connection.dataset_options(), **cls.DEFAULTS, **own}

    @classmethod
    def _made(cls, source: Source, connection: OssConnection, options: dict[str, Any]) -> Self:
        made = cls(source, **options)
        made._connection = connection  # keeps the log files open
        return made


class OssMapDataset(_Constructors, AISMapDataset):  # type: ignore[misc]
    """Objects of OSS, or local files, by index: `AISMapDataset` by the connector's names.

    An item is an `OssDataObject`, or what `transform` makes of it. It is made by `from_prefix`,
    `from_objects`, `from_manifest_file` or `from_tar`. Their options:

    Args:
        cred_path: JSON file with the keys; see `OssConnection`.
        cred_provider: An object whose `get_credentials()` returns the keys.
        config_path: The configuration file, by default /etc/oss-connector/config.json if there is
            one.
        region: The bucket's region, as in "cn-hangzhou", where the endpoint does not tell it.
        transform: Called with the `OssDataObject`; what it returns is the item.
        on_missing: As for `AISMapDataset`: "raise" by default.
        skip_empty: Leave out listed objects of no bytes, as the connector does; by default they
            are data. Names that end in "/" are always left out.
        allow_empty: Accept that there is no object.
        concurrency: How many objects of a batch are read at once; by default what the
            configuration file says at most.
    """

    @classmethod
    def from_tar(  # type: ignore[override]
        cls, tar_uri: Place, tar_index_uri: Place, endpoint: str, **options: Unpack[_MapOptions]
    ) -> Self:
        """Read the regular files of a tar by its index; the label of each is its number.

        Args:
            tar_uri: The tar.
            tar_index_uri: Its index, in the same bucket.
            endpoint: See `from_prefix`.
            **options: See the class.

        Raises:
            ConfigError: An argument is empty, or the two are in different buckets.
            UrlError: One of them is not the URI of an object.
            NotFoundError: There is no such tar, or no such index.
            ShardError: The index is damaged, or not that of the tar.
        """
        return cls._from_tar(tar_uri, tar_index_uri, endpoint, options)

    def is_continuous(self, indices: Iterable[int]) -> bool:
        """Return whether each index is the one before it plus 1."""
        numbers = list(indices)
        return numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True


class OssIterableDataset(_Constructors, AISIterDataset):  # type: ignore[misc]
    """Objects of OSS, or local files, in order: `AISIterDataset` by the connector's names.

    It is split over DataLoader workers, and over ranks. Constructors and options are those of
    `OssMapDataset`, and further ones:

    Args:
        on_missing: "skip" by default: an object that is gone is left out, and counted.
        split: What divides the dataset; "worker" has each rank read all, as with the connector.
        show_progress, length, ranks, equalize: See `AISIterDataset`.
    """

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"transform": identity, "on_missing": "skip"}

    @classmethod
    def from_tar(  # type: ignore[override]
        cls,
        tar_uri: Place,
        tar_index_uri: Place,
        endpoint: str,
        *,
        shuffle: bool = False,
        shuffle_chunk_size: int = 1000,
        seed: int = 0,
        **options: Unpack[_Options],
    ) -> Self:
        """Read the regular files of a tar by its index; see `OssMapDataset.from_tar`.

        Args:
            tar_uri: The tar.
            tar_index_uri: Its index, in the same bucket.
            endpoint: See `from_prefix`.
            shuffle: Read chunks of files in a random order, which `shuffle()` and `set_epoch`
                change.
            shuffle_chunk_size: Number of files in a chunk.
            seed: Chooses the orders; the same on every rank.
            **options: See the class.
        """
        order = MemberOrder(ChunkShuffle(shuffle_chunk_size, seed) if shuffle else None)
        return cls._from_tar(tar_uri, tar_index_uri, endpoint, options, order)

    def shuffle(  # type: ignore[override]  # the connector's own meaning of the word
        self, generator: torch.Generator | None = None
    ) -> None:
        """Draw another order for the next iterations; it depends on the generator alone.

        Running workers of a DataLoader see it too. With several ranks, pass generators of the same
        state on each: they read parts of one order.

        Args:
            generator: Draws the order; by default torch's own.

        Raises:
            ConfigError: The dataset was not made by `from_tar(shuffle=True)`.
        """
        if self._order is None or not self._order.is_shuffled:
            raise ConfigError(
                f"<{type(self).__name__}> shuffle(): only from_tar(shuffle=True) has an order that"
                " can be changed"
            )
        self.set_epoch(int(torch.randint(_MAX_DRAWN, (), generator=generator)))
