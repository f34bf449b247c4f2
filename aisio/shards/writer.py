"""ShardWriter: samples -> tar shards, with their index.

A shard is collected in a temporary file without a name (in TMPDIR), and sent by a thread of its own
while the next one is collected; so two shards are on disk at a time. Memory holds about 100 bytes
for each key, so that none is written twice.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from types import TracebackType
from typing import Any

from xxhash import xxh3_128_intdigest

from aisio.client.client import Client
from aisio.errors import ConfigError, ShardError
from aisio.forks import this_process
from aisio.formats.tar import BLOCK_BYTES
from aisio.formats.tar_write import header_bytes
from aisio.shards.encoders import Encoder, encode_field
from aisio.shards.index_parts import combine_parts
from aisio.shards.open_shard import OpenShard
from aisio.shards.packing import PackedShard
from aisio.shards.plan import DEFAULT_SHARD_BYTES, check_prefix
from aisio.shards.samples import split_name
from aisio.shards.shard_folder import ShardFolder
from aisio.shards.shard_sender import ShardSender
from aisio.stores import store_for
from aisio.urls import ObjectUrl

__all__ = ["ShardWriter"]

_log = logging.getLogger("aisio.shard_writer")

_KEY = "__key__"


class ShardWriter:
    """Writes samples into tar shards `{prefix}-000000.tar` and so on below a URL.

        with aisio.ShardWriter("ais://imagenet/train/", samples_per_shard=10_000) as writer:
            writer.write({"__key__": "0001", "jpg": image, "cls": 7, "json": {"width": 256}})

    A shard appears in the store when it is complete, and the index of the folder when the block
    ends. If the block raises, the shard under way is dropped, and no index is written: the shards
    before it are complete.

    Use one in the process that made it. Several processes may write to one folder at once, each
    with a rank of its own: their shards are `{prefix}-r00003-000000.tar` and so on for rank 3. When
    all of them are closed, `ShardWriter.combine` writes the index.

    Args:
        url: Bucket or folder to write to, as in "ais://digits/train" or "file:///data/train".
        prefix: What shard names begin with.
        samples_per_shard: The maximum number of samples in a shard.
        shard_bytes: The maximum size of a shard; 256 MiB by default if samples_per_shard is not
            given. A sample that is larger gets a larger shard for itself.
        rank: The number of this process among those that write to the folder at the same time.
        overwrite: Replace the shards of an earlier run, and delete those that this one does not
            replace, when it is closed. By default it is an error if there are any.
        encoders: How to encode values that are not bytes, by extension; see
            `aisio.shards.encoders`.
        client: The cluster, for all but file URLs; by default one made from the environment.

    Attributes:
        shards: The shards that are stored, in order.

    Raises:
        ConfigError: An impossible number, prefix or URL.
        ConflictError: Shards of this prefix exist, and overwrite is false.
        NotFoundError: No such bucket.
    """

    _is_closed = True  # until everything is right

    def __init__(
        self,
        url: str | ObjectUrl,
        *,
        prefix: str = "shard",
        samples_per_shard: int | None = None,
        shard_bytes: int | None = None,
        rank: int | None = None,
        overwrite: bool = False,
        encoders: Mapping[str, Encoder] | None = None,
        client: Client | None = None,
    ) -> None:
        self._shard: OpenShard | None = None
        _check_number("samples_per_shard", samples_per_shard, 1)
        _check_number("shard_bytes", shard_bytes, 1)
        _check_number("rank", rank, 0)
        if samples_per_shard is None and shard_bytes is None:
            shard_bytes = DEFAULT_SHARD_BYTES
        self._limits = (samples_per_shard, shard_bytes)
        target = ObjectUrl.parse(url) if isinstance(url, str) else url
        folder = ShardFolder(store_for(target, client), target, check_prefix(prefix), rank)
        self._encoders = dict(encoders or {})
        self._sender = ShardSender(folder, overwrite=overwrite)
        self._digests: set[int] = set()  # of the keys so far
        self._process = this_process()
        self._is_closed = False

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._drop()

    def __repr__(self) -> str:
        return f"<ShardWriter of {self._sender.folder.url}, {len(self.shards):,} shards stored>"

    def __reduce__(self) -> Any:
        raise TypeError("a ShardWriter cannot be pickled: make one in each process, with a rank")

    def __del__(self) -> None:
        if not self._is_closed and self._process.is_current:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            self._drop()

    @property
    def shards(self) -> list[PackedShard]:
        """The shards that are stored so far, in order."""
        return [shard for shard, _ in self._sender.stored]

    def write(self, sample: Mapping[str, Any]) -> None:
        """Write a sample.

        Args:
            sample: `__key__`, and the fields by extension; a dot before the extension may be there
                or not. Other names that begin with "__", as webdataset's `__url__`, are left out.

        Raises:
            ShardError: The sample has no key, one that was there before, or one that would be read
                as another; it has no field, one twice, or one that cannot be encoded. Nothing of
                it is written, and the writer can go on.
            StorageError: The store failed, maybe at an earlier shard, or there is no room for the
                shard; the writer cannot go on.
        """
        self._check_open()
        key = _checked_key(sample, str(self._sender.folder.url))
        members = [
            (f"{key}.{extension}", self._encoded(key, extension, value))
            for extension, value in _fields(sample, key).items()
        ]
        size_bytes = sum(header_bytes(name, len(data)) + _blocks(data) for name, data in members)
        digest = xxh3_128_intdigest(key.encode("utf-8", "surrogateescape"))
        if digest in self._digests:
            raise ShardError(f"{self._sender.folder.url}: the key {key!r} was written before")
        self._digests.add(digest)
        with self._dropped_on_error():
            if self._shard is not None and self._is_full(self._shard, size_bytes):
                self._send()
            if self._shard is None:
                self._shard = OpenShard()
            self._shard.write(key, members)

    def _is_full(self, shard: OpenShard, size_bytes: int) -> bool:
        """Tell whether a sample of this size belongs into the next shard."""
        samples_per_shard, shard_bytes = self._limits
        return shard.samples == samples_per_shard or (
            shard_bytes is not None and shard.size_bytes + size_bytes > shard_bytes
        )

    def close(self) -> None:
        """Store the last shard, delete what is left of an earlier run, and write the index.

        Raises:
            ConfigError: No sample was written, and this is not one of several processes.
            ConflictError: Another process has written shards of these names.
            StorageError: The store failed.
        """
        if self._is_closed:
            return
        self._check_open()
        with self._dropped_on_error():
            if self._shard is not None:
                self._send()
            self._sender.finish()
        self._is_closed = True
        self._sender.close()

    @staticmethod
    def combine(
        url: str | ObjectUrl, *, ranks: int, prefix: str = "shard", client: Client | None = None
    ) -> str:
        """Write the index of the shards that several processes have written, once all are closed.

        Nothing is read but what each of them has noted beside its shards, which is deleted.

        Args:
            url: As it was given to the writers.
            ranks: How many writers there were: their ranks were 0 to ranks - 1.
            prefix: As it was given to the writers.
            client: As for the writers.

        Returns:
            The URL of the index.

        Raises:
            ConflictError: A writer was not closed, or there are shards of others of this prefix,
                as of an earlier run with more ranks.
            ShardError: Two of the writers have written samples of one key.
        """
        target = ObjectUrl.parse(url) if isinstance(url, str) else url
        folder = ShardFolder(store_for(target, client), target, check_prefix(prefix))
        return combine_parts(folder, ranks)

    def _check_open(self) -> None:
        self._process.check("this ShardWriter")
        if self._is_closed:
            raise ConfigError(f"{self!r} is closed")

    def _encoded(self, key: str, extension: str, value: Any) -> bytes:
        try:
            return encode_field(value, extension, self._encoders)
        except ShardError as error:
            raise ShardError(f"sample {key!r}, field {extension!r}: {error}") from error

    def _send(self) -> None:
        assert self._shard is not None
        self._sender.send(self._shard)
        self._shard = None

    @contextmanager
    def _dropped_on_error(self) -> Iterator[None]:
        """End the writer if anything interrupts it, or it would go on without some samples."""
        try:
            yield
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        """Give up the shard under way, and say what is in the store."""
        if self._is_closed or not self._process.is_current:
            return
        self._is_closed = True
        lost, self._shard = self._shard, None
        self._sender.close()
        samples = lost.samples if lost is not None else 0
        if lost is not None:
            lost.close()
        _log.warning(
            "%s: the writer ended by an error: samples of the shard under way that were dropped:"
            " %s; complete shards in the store: %s; no index is written",
            self._sender.folder.url,
            f"{samples:,}",
            f"{len(self._sender.stored):,}",
        )


def _check_number(name: str, value: int | None, at_least: int) -> None:
    if value is not None and (not isinstance(value, Integral) or value < at_least):
        raise ConfigError(f"{name}={value!r}: a whole number of at least {at_least} is needed")


def _checked_key(sample: Mapping[str, Any], where: str) -> str:
    if not isinstance(sample, Mapping):
        raise ShardError(
            f"{where}: a sample is a mapping of fields, not a {type(sample).__name__}: pass a dict"
        )
    key = sample.get(_KEY)
    if not isinstance(key, str) or not key:
        raise ShardError(f"{where}: a sample needs a {_KEY!r}, a text that is not empty: {key!r}")
    parts = key.split("/")
    try:
        key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ShardError(f"{where}: the key {key!r} is no text: {error.reason}") from error
    if "\0" in key or split_name(f"{key}.x") != (key, "x") or {"", ".", ".."} & set(parts):
        raise ShardError(
            f"{where}: the key {key!r} would be read as another: no '.' in its last part, no empty"
            " part, no '.' or '..', no zero byte"
        )
    return key


def _fields(sample: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the fields by extension, sorted."""
    fields: dict[str, Any] = {}
    folded: set[str] = set()
    for name, value in sample.items():
        if isinstance(name, str) and name.startswith("__"):
            continue
        extension = name.removeprefix(".") if isinstance(name, str) else ""
        if split_name(f"{key}.{extension}") != (key, extension) or "/" in extension:
            raise ShardError(f"sample {key!r}: {name!r} cannot be the extension of a file")
        if extension.lower() in folded:
            raise ShardError(f"sample {key!r}: the field {extension!r} is there twice")
        folded.add(extension.lower())
        fields[extension] = value
    if not fields:
        raise ShardError(f"sample {key!r} has no field")
    return dict(sorted(fields.items()))


def _blocks(data: bytes) -> int:
    return -(-len(data) // BLOCK_BYTES) * BLOCK_BYTES
