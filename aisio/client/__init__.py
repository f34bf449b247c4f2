"""An AIStore cluster: clients, buckets, objects, batches. Each module is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.client.client import Bucket, Client, ObjectGroup
    from aisio.client.object import Object

__all__ = ["Bucket", "Client", "Object", "ObjectGroup"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.client.client": ("Bucket", "Client", "ObjectGroup"),
        "aisio.client.object": ("Object",),
    },
)
