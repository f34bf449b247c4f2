"""Lhotse reads by aisio: drop-ins for its AIStore classes, and its indexes of records.

    import aisio.integrations.lhotse

    aisio.integrations.lhotse.register()
    cuts = CutSet.from_shar(fields=..., indexed=True)  # of ais:// URLs

Importing this package changes nothing in Lhotse; see `aisio.integrations.lhotse.registration` for
what `register` changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.integrations.lhotse.batch_loader import AISBatchLoader, AISBatchLoaderError
    from aisio.integrations.lhotse.index_pack import (
        IndexPack,
        PackedIndexCollection,
        PackedIndexLocation,
    )
    from aisio.integrations.lhotse.index_pack_writer import (
        IndexPackArraySpec,
        IndexPackCollectionSpec,
        write_index_pack,
    )
    from aisio.integrations.lhotse.object_files import open_object
    from aisio.integrations.lhotse.offset_index import (
        create_jsonl_index,
        create_tar_index,
        index_file_path,
        read_index,
    )
    from aisio.integrations.lhotse.range_reader import AISRangeReader
    from aisio.integrations.lhotse.registration import (
        AisioIOBackend,
        is_registered,
        register,
        registered,
        unregister,
    )

__all__ = [
    "AISBatchLoader",
    "AISBatchLoaderError",
    "AISRangeReader",
    "AisioIOBackend",
    "IndexPack",
    "IndexPackArraySpec",
    "IndexPackCollectionSpec",
    "PackedIndexCollection",
    "PackedIndexLocation",
    "create_jsonl_index",
    "create_tar_index",
    "index_file_path",
    "is_registered",
    "open_object",
    "read_index",
    "register",
    "registered",
    "unregister",
    "write_index_pack",
]

# Those of batch_loader and registration need Lhotse, which takes seconds to import.
__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.integrations.lhotse.batch_loader": ("AISBatchLoader", "AISBatchLoaderError"),
        "aisio.integrations.lhotse.index_pack": (
            "IndexPack",
            "PackedIndexCollection",
            "PackedIndexLocation",
        ),
        "aisio.integrations.lhotse.index_pack_writer": (
            "IndexPackArraySpec",
            "IndexPackCollectionSpec",
            "write_index_pack",
        ),
        "aisio.integrations.lhotse.object_files": ("open_object",),
        "aisio.integrations.lhotse.offset_index": (
            "create_jsonl_index",
            "create_tar_index",
            "index_file_path",
            "read_index",
        ),
        "aisio.integrations.lhotse.range_reader": ("AISRangeReader",),
        "aisio.integrations.lhotse.registration": (
            "AisioIOBackend",
            "is_registered",
            "register",
            "registered",
            "unregister",
        ),
    },
)
