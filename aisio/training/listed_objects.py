"""ListedObjects: what a map dataset knows of its objects without reading one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import ClassVar

from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.records import ObjectInfo
from aisio.sources.digest import ListingDigest
from aisio.sources.listing_table import ListingTable
from aisio.summary import Summarized, counted, size_text
from aisio.training.data_object import DataObject, DataObjects
from aisio.training.sample_names import SampleInfos, SampleNames

__all__ = ["ListedObjects"]


class ListedObjects(Summarized):
    """The base of `AISMapDataset`: number, names, sizes and digest of its objects.

    Args:
        objects: The listing.
        etl_name: The ETL that transforms the objects when they are read.
        source: What was listed, for `repr()`.

    Attributes:
        DATA_OBJECT: Class of the objects that a transform gets.
    """

    DATA_OBJECT: ClassVar[type[DataObject]] = DataObject

    def __init__(self, objects: ListingTable, etl_name: str | None, source: str) -> None:
        self._objects = objects
        self._etl_name = etl_name
        self._source = source

    def __repr__(self) -> str:
        size = objects_size(self._objects)
        return f"<{type(self).__name__} of {', '.join(filter(None, size))}: {self._source}>"

    def _summary(self) -> Mapping[str, object]:
        count, size = objects_size(self._objects)
        summary = {"source": self._source, "objects": count, "size": size, "ETL": self._etl_name}
        return {name: value for name, value in summary.items() if value}

    def __len__(self) -> int:
        return len(self._objects)

    @cached_property
    def data_digest(self) -> str:
        """Identifies the objects and their order: the digest of their listing, by their URLs.

        `aisio.Loader` compares it, so that a state of other data is refused.
        """
        digest = ListingDigest("")
        for _, info in self._objects:
            digest.add(info)
        return digest.text()

    @property
    def names(self) -> Sequence[str]:
        """Names of the objects, in their order, each made when it is looked at."""
        return SampleNames(len(self._objects), partial(_name_of, self._objects))

    @property
    def infos(self) -> Sequence[ObjectInfo]:
        """What the listing says of the objects, in their order: no request is sent.

        Sizes, checksums and versions are those that it has. Each is made when it is looked at.
        """
        return SampleInfos(len(self._objects), partial(_info_of, self._objects))

    @property
    def sizes(self) -> Sequence[int]:
        """Sizes of the objects in bytes, in their order, by the listing: no request is sent.

        They are an array, which takes 8 bytes an object, made anew each time.

        Raises:
            ConfigError: The listing has no size of an object, as of one that is named by its URL.
        """
        sizes = self._objects.sizes()
        if -1 in sizes:
            name = self.names[sizes.index(-1)]
            raise ConfigError(
                f"<{type(self).__name__}> the listing has no size of {one_line(name)}"
            )
        return sizes

    def get_obj_list(self) -> Sequence[DataObject]:
        """Return the objects, in their order, each made when it is looked at.

        The name is that of the official package. Nothing is read before an object is.
        """
        return DataObjects(self._objects, self._etl_name, self.DATA_OBJECT)


def objects_size(objects: ListingTable) -> tuple[str, str]:
    """Return how many objects there are, and how many bytes they have; "" if that is not known."""
    sizes = objects.sizes()
    return counted(len(objects), "object"), "" if -1 in sizes else size_text(sum(sizes))


def _info_of(objects: ListingTable, index: int) -> ObjectInfo:
    return objects[index][1]


def _name_of(objects: ListingTable, index: int) -> str:
    return objects[index][1].name
