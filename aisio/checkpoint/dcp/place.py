"""CheckpointPlace: where a distributed checkpoint is, and the names of its objects."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import UrlError
from aisio.stores import DirectSettings, Store, store_for
from aisio.urls import FILE, WEB_SCHEMES, ObjectUrl

__all__ = ["CheckpointPlace", "StoreFinder", "can_be_checkpoint", "parse_checkpoint_id"]

METADATA_NAME = ".metadata"
"""Source: torch/distributed/checkpoint/filesystem.py, `_metadata_fn`."""


def parse_checkpoint_id(checkpoint_id: str | os.PathLike[str]) -> ObjectUrl:
    """Return the URL that a checkpoint's objects lie below.

    Args:
        checkpoint_id: A URL, with or without a final "/"; or the path of a local folder as a
            PathLike object.

    Raises:
        UrlError: It is none.
    """
    if not isinstance(checkpoint_id, str):
        text = os.fspath(checkpoint_id)
        if ":/" in text:
            raise UrlError(f"{text!r}: pass a URL as a string: a path joins its two slashes")
        return ObjectUrl.parse(f"{FILE}://{Path(text).absolute()}")
    url = ObjectUrl.parse(checkpoint_id)
    return url.with_name(url.name.rstrip("/"))


def can_be_checkpoint(checkpoint_id: object, *, written: bool = False) -> bool:
    """Tell whether a checkpoint may be at a URL or path.

    Args:
        checkpoint_id: The URL or path.
        written: Whether it is to be written, and not only read.
    """
    if not isinstance(checkpoint_id, (str, os.PathLike)):
        return False
    try:
        url = parse_checkpoint_id(checkpoint_id)
    except (UrlError, TypeError):
        return False
    return not (written and url.provider in WEB_SCHEMES)


@dataclass(frozen=True)
class CheckpointPlace:
    """The objects of one checkpoint; it pickles.

    Attributes:
        store: The store that has them.
        url: What their names begin with, up to a "/".
    """

    store: Store
    url: ObjectUrl

    @property
    def metadata_url(self) -> ObjectUrl:
        """The object that makes the others a checkpoint."""
        return self.url.join(METADATA_NAME)

    def file_url(self, relative_path: str) -> ObjectUrl:
        """Return the address of an object that `.metadata` names.

        Raises:
            UrlError: The name leads out of the checkpoint.
        """
        return self.url.join(relative_path)


class StoreFinder:
    """Finds the store of a checkpoint by its URL; it pickles.

    Args:
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
    """

    def __init__(
        self, client: Client | None, endpoint: str | None, direct: bool | DirectSettings
    ) -> None:
        self._client = explicit_client(client, endpoint)
        self._direct = direct

    def place(self, checkpoint_id: str | os.PathLike[str]) -> CheckpointPlace:
        """Return the place that a URL or path names; errors as for `parse_checkpoint_id`."""
        url = parse_checkpoint_id(checkpoint_id)
        return CheckpointPlace(self.store(url), url)

    def store(self, url: ObjectUrl) -> Store:
        """Return the store that holds a URL."""
        return store_for(url, self._client, direct=self._direct)
