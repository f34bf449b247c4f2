"""OssCheckpoint: aisio's checkpoints by the connector's names."""

from __future__ import annotations

from typing import cast

from aisio.checkpoint.streams import Checkpoint, CheckpointReader
from aisio.integrations.oss.connection import OssConnected
from aisio.integrations.oss.uris import connector_key, object_url
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


class OssCheckpoint(OssConnected):
    """Reads and writes checkpoints on OSS, as `aisio.Checkpoint` does on any store.

    Its arguments are those of `OssConnected`: endpoint, keys, configuration file and region.
    """

    def reader(self, oss_uri: str) -> OssCheckpointReader:
        """Open a checkpoint as a seekable binary file; see `Checkpoint.reader`.

        Args:
            oss_uri: The object, as in "oss://bucket/key" or "/bucket/key".

        Raises:
            UrlError: It is no URI of an object.
            NotFoundError: No such object.
        """
        raw = Checkpoint(**self._connection.read_options()).reader(_url(oss_uri)).detach()
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
        writing = Checkpoint(**self._connection.write_options())
        return writing.writer(_url(oss_uri), allow_empty=allow_empty)


def _url(oss_uri: str) -> str:
    return object_url(_OWNER, "oss_uri", oss_uri, is_local=False)
