"""Catalog: the entries of folders of YAML files, by their tags."""

from __future__ import annotations

import difflib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from aisio import config
from aisio.catalog.documents import Problem, read_document
from aisio.catalog.entries import NamedSource, Resource
from aisio.catalog.resolving import Entry, Resolved, resolve
from aisio.errors import CatalogError

ENDINGS = (".yaml", ".yml")
"""Endings of the names of catalog files, in the order in which they are read."""


class Catalog(Mapping[str, Entry]):
    """Resources and sources by their full tags.

    Args:
        entries: Entries by their tags.
        places: File and line of each.
        folders: The folders that were read.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        places: Mapping[str, tuple[Path, int]],
        folders: tuple[Path, ...] = (),
    ) -> None:
        self._entries = dict(entries)
        self._places = dict(places)
        self.folders = folders

    def __repr__(self) -> str:
        return f"Catalog({len(self)} entries of {', '.join(map(str, self.folders)) or 'no folder'})"

    def __getitem__(self, tag: str) -> Entry:
        return self._entries[tag]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def resources(self) -> dict[str, Resource]:
        """The resources alone."""
        return {tag: entry for tag, entry in self._entries.items() if isinstance(entry, Resource)}

    @property
    def sources(self) -> dict[str, NamedSource]:
        """The sources alone."""
        return {
            tag: entry for tag, entry in self._entries.items() if isinstance(entry, NamedSource)
        }

    def where(self, tag: str) -> tuple[Path, int]:
        """Return the file of an entry, and the line where it begins, counted from 1."""
        return self._places[tag]

    def find(self, tag: str) -> Entry:
        """Return an entry.

        Raises:
            CatalogError: There is no such tag; the text has the most similar ones.
        """
        if tag in self._entries:
            return self._entries[tag]
        similar = ", ".join(map(repr, difflib.get_close_matches(tag, self._entries, n=3)))
        hint = f"; did you mean {similar}?" if similar else ""
        raise CatalogError(f"{tag!r} is not in the catalog (read from {self.origin()}){hint}")

    def origin(self) -> str:
        """Return the names of its folders as text, which marks those that do not exist."""
        folders = (f"{folder}{'' if folder.exists() else ' (missing)'}" for folder in self.folders)
        return ", ".join(folders) or "no folder"


_catalogs: dict[tuple[Path, ...], Catalog] = {}


def read_catalog(*folders: Path | str, reload: bool = False) -> Catalog:
    """Read the catalog files of folders, `*.yaml` and then `*.yml`; once in a process.

    Args:
        folders: Folders, not read recursively; a missing one counts as empty.
        reload: Read the files again, although they were read before.

    Raises:
        CatalogError: The files hold errors; `problems` has a line for each.
    """
    # Path.resolve() would raise for a loop of links, without the file that the error is about.
    key = tuple(dict.fromkeys(Path(os.path.realpath(folder)) for folder in folders))
    known = None if reload else _catalogs.get(key)
    if known is None:
        # Two threads may read the same files; the catalog of the last one stays.
        known = _catalogs[key] = _catalog(key)
    return known


def check_catalog(*folders: Path) -> Resolved:
    """Read the catalog files of folders, and return their errors instead of raising one."""
    problems: list[Problem] = []
    files = [file for folder in folders for file in _files(folder, problems)]
    entries = [entry for file in files for entry in read_document(file, problems)]
    resolved = resolve(entries, problems)
    order = {file: number for number, file in enumerate(files)}
    problems.sort(key=lambda problem: (order.get(problem.file, -1), problem.line))
    return resolved


def _catalog(folders: tuple[Path, ...]) -> Catalog:
    resolved = check_catalog(*folders)
    if resolved.problems:
        raise _error(resolved)
    return Catalog(resolved.entries, resolved.places, folders)


def _error(resolved: Resolved) -> CatalogError:
    lines = tuple(map(str, resolved.problems))
    title = f"{len(lines)} problem{'s' * (len(lines) != 1)} in catalog files:"
    if resolved.duplicates:
        title = f"Duplicate resource tags found!: {resolved.duplicates}"
    return CatalogError("\n  ".join([title, *lines]), problems=lines)


def _files(folder: Path, problems: list[Problem]) -> list[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        text = f"cannot be read: {error.strerror}; expected a folder of catalog files"
        problems.append(Problem(folder, 0, text))
        return []
    return [folder / name for ending in ENDINGS for name in names if name.endswith(ending)]


def default_catalog(*, reload: bool = False) -> Catalog:
    """Read the catalog files of the default folders."""
    return read_catalog(*default_folders(), reload=reload)


def default_folders() -> tuple[Path, ...]:
    """Return AISIO_CATALOG's folders, else the user's own and those of bionemo-core."""
    paths = config.first_set("AISIO_CATALOG")
    if paths:
        return tuple(Path(folder) for folder in paths.split(os.pathsep) if folder)
    return (*_user_folders(), *_bionemo_folders())


def _user_folders() -> tuple[Path, ...]:
    import platformdirs

    try:
        folder = platformdirs.user_config_path("aisio") / "catalog"
    except RuntimeError:  # there is no home folder
        return ()
    return (folder,) if folder.is_absolute() else ()


def _bionemo_folders() -> tuple[Path, ...]:
    """Find the folders without importing bionemo, which takes seconds."""
    spec = importlib.util.find_spec("bionemo")
    locations = spec.submodule_search_locations if spec else None
    folders = (Path(folder, "core", "data", "resources") for folder in locations or ())
    return tuple(folder for folder in folders if folder.is_dir())
