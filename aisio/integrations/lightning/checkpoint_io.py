"""AISCheckpointIO: a Trainer's checkpoints as objects of any store."""

from __future__ import annotations

import shutil
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from aisio.checkpoint.streams import Checkpoint
from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.stores import DirectSettings, store_for
from aisio.transport.writer import CONCURRENCY, PART_BYTES
from aisio.urls import FILE, ObjectUrl

try:
    import torch
    from lightning.pytorch.plugins.io import CheckpointIO
except ImportError as error:
    raise missing_extra(error.name or "lightning", "lightning") from error

__all__ = ["AISCheckpointIO"]


class AISCheckpointIO(CheckpointIO):
    """A plugin by which a Trainer stores, loads and removes its checkpoints on any store.

        pl.Trainer(
            plugins=[AISCheckpointIO()],
            callbacks=[ModelCheckpoint("ais://models/run-1", every_n_train_steps=1000)],
        )

    A checkpoint appears whole, or not at all: if its save fails or is killed, the one that was
    there stays. What is no URL is a path of this machine. It holds settings, not connections, and
    pickles. To save while training goes on, pass it to Lightning's AsyncCheckpointIO.

    Args:
        client: The cluster; by default one made from `endpoint`. ModelCheckpoint itself looks for
            files by fsspec, in the cluster that AIS_ENDPOINT names.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        part_bytes: How many bytes a request carries; from 5 MiB on where a cloud is written to.
        concurrency: How many requests are sent at once.

    Raises:
        ConfigError: A number is below 1.
    """

    def __init__(
        self,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        part_bytes: int = PART_BYTES,
        concurrency: int = CONCURRENCY,
    ) -> None:
        super().__init__()
        self._client = explicit_client(client, endpoint)
        self._direct = direct
        self._streams = Checkpoint(
            client=self._client, direct=direct, part_bytes=part_bytes, concurrency=concurrency
        )

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        """Store a checkpoint, replacing one that is there.

        Args:
            checkpoint: What torch.save takes.
            path: Its URL, or the path of a local file.
            storage_options: Not used: there are none.

        Raises:
            ConfigError: There are storage_options.
            StorageError: It could not be stored; what was there stays.
        """
        if storage_options is not None:
            raise ConfigError("AISCheckpointIO takes no storage_options: pass its own arguments")
        with self._streams.writer(str(_url(path))) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self,
        path: str | PathLike[str],
        map_location: Any | None = "cpu",
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Load a checkpoint.

        Args:
            path: Its URL, or the path of a local file.
            map_location: As for torch.load.
            weights_only: As for torch.load; None for its default.

        Raises:
            NotFoundError: There is none.
        """
        with self._streams.reader(str(_url(path))) as file:
            loaded: dict[str, Any] = torch.load(
                file, map_location=map_location, weights_only=weights_only
            )
        return loaded

    def remove_checkpoint(self, path: str | PathLike[str]) -> None:
        """Remove a checkpoint, if it is there.

        Args:
            path: Its URL, or the path of a local file; or of a local folder, such as strategies
                make that save the parts of a model apart.
        """
        url = _url(path)
        if url.provider == FILE and (folder := Path("/", url.name)).is_dir():
            shutil.rmtree(folder)
            return
        store_for(url, self._client, direct=self._direct).delete(url, missing_ok=True)


def _url(path: str | PathLike[str]) -> ObjectUrl:
    """Return the URL of a checkpoint."""
    text = fspath(path)
    if "/file:/" in text and "://" not in text:
        raise ConfigError(
            f"{text!r}: Lightning took a URL of file:// for a relative path: "
            f"pass the path /{text.partition('/file:/')[2].lstrip('/')}"
        )
    if "://" not in text:
        text = f"file://{Path(text).absolute()}"
    return ObjectUrl.parse(text).require_object()
