"""OssDataObject: an object as a transform of the connector's datasets gets it."""

from __future__ import annotations

import copy

from aisio.integrations.oss.uris import connector_key
from aisio.training.data_object import DataObject

__all__ = ["OssDataObject"]


class OssDataObject(DataObject):
    """A `DataObject` with the connector's key, and its further methods."""

    @property
    def key(self) -> str:
        """/bucket/key; the path of a local file; the name in the tar of a file of one."""
        return connector_key(self._info)

    def copy(self) -> OssDataObject:
        """Return another object at the same position; the two share the bytes."""
        return copy.copy(self)

    def err(self) -> int:
        """Return 0: reading raises its errors."""
        return 0

    def error_msg(self) -> str:
        """Return "": reading raises its errors."""
        return ""
