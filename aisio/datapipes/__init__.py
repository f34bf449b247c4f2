"""Functional datapipes; importing this package registers their names with torch.

Their names are `ais_list_files`, `ais_load_files` and `ais_list_sources`. Datapipes also get those
of `aisio.datapipes.words`, where torch has none of that name.
"""

from __future__ import annotations

import aisio.datapipes.words  # noqa: F401 - registers names
from aisio.datapipes.pipes import AISFileLister, AISFileLoader, AISSourceLister

__all__ = ["AISFileLister", "AISFileLoader", "AISSourceLister"]


def __dir__() -> list[str]:
    return sorted(__all__)
