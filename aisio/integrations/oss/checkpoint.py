"""OssCheckpoint: aisio's checkpoints by the connector's names."""

from __future__ import annotations

from typing import Any, cast

from aisio.checkpoint.streams import Checkpoint, CheckpointReader
from aisio.integrations.oss.connection import OssConnection
from aisio.integrations.oss.uris import connector_key, object_url, required
from aisio.transport.read_ahead import ReadAheadReader
from aisio.transport.writer import ObjectWriter

__all__ = ["OssCheckpoint", "OssCheckpointReader"]

_OWNER = "OssCheckpoint"


class OssCheckpointReader(CheckpointReader):
    """A `CheckpointReader` that also has the connector's attributes."""

    @property
    def key(self) -> str:
        """/bucket/key."""
        return connector_key(self.info)

    @property
    def size(self) -> int:
        """The same as `size_bytes`."""
        return self.size_bytes

    @property
    def label(self) -> str:
        """Always ""."""
        return ""


class OssCheckpoint:
    """Reads and writes checkpoints on OSS, as `aisio.Checkpoint` does on any store.

    The configuration file says how many requests are sent at once, and of what size.

    Args:
        endpoint: The bucket's endpoint, a URL or a host.
        cred_path: JSON file with the keys; see `OssConnection`.
        config_path: The configuration file.
        cred_provider: An object whose `get_credentials()` returns the keys.
        region: The bucket's region, where the endpoint does not tell it.

    Raises:
        ConfigError: There is no endpoint, or another argument is not valid.
    """

    def __init__(
        self,
        endpoint: str,
        cred_path: str = "",
        config_path: str = "",
        cred_provider: Any = None,
        region: str = "",
    ) -> None:
        required(_OWNER, "endpoint", endpoint)
        self._connection = OssConnection.of(
            _OWNER,
            endpoint,
            cred_path=cred_path,
            cred_provider=cred_provider,
            config_path=config_path,
            region=region,
        )
        said = self._connection.config.checkpoint_config
        direct = self._connection.settings(said.timeout_ms)
        self._reading = Checkpoint(
            direct=direct, part_bytes=said.range_bytes, concurrency=said.prefetch_concurrency
        )
        self._writing = Checkpoint(
            direct=direct, part_bytes=said.part_bytes, concurrency=said.parts_at_once
        )

    def reader(self, oss_uri: str) -> OssCheckpointReader:
        """Open a checkpoint as a seekable binary file; see `Checkpoint.reader`.

        Args:
            oss_uri: The object, as in "oss://bucket/key" or "/bucket/key".

        Raises:
            UrlError: It is no URI of an object.
            NotFoundError: No such object.
        """
        raw = self._reading.reader(_url(oss_uri)).detach()
        return OssCheckpointReader(cast("ReadAheadReader", raw))

    def writer(self, oss_uri: str, *, allow_empty: bool = False) -> ObjectWriter:
        """Open a checkpoint to be written from start to end; see `Checkpoint.writer`.

        The object appears when the writer is closed. If the `with` block raises, nothing is stored.

        Args:
            oss_uri: The object.
            allow_empty: Store an empty object where nothing was written; otherwise that is an error
                of `close`.

        Raises:
            UrlError: It is no URI of an object.
        """
        return self._writing.writer(_url(oss_uri), allow_empty=allow_empty)


def _url(oss_uri: str) -> str:
    return object_url(_OWNER, "oss_uri", oss_uri, is_local=False)
