"""Functional datapipes; importing this package registers their names with torch.

Their names are `ais_list_files`, `ais_load_files` and `ais_list_sources`.
"""

from __future__ import annotations

from aisio.datapipes.pipes import AISFileLister, AISFileLoader, AISSourceLister

__all__ = ["AISFileLister", "AISFileLoader", "AISSourceLister"]
