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
"""Of catalog files, in the order in which they are read."""


class Catalog(Mapping[str, Entry]):
    """Resources and sources by their full tags.

    Args:
        entries: By their tags.
        places: File and line of each.
        folders: Where they were looked for.
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
        return {tag: one for tag, one in self._entries.items() if isinstance(one, Resource)}

    @property
    def sources(self) -> dict[str, NamedSource]:
        """The sources alone."""
        return {tag: one for tag, one in self._entries.items() if isinstance(one, NamedSource)}

    def where(self, tag: str) -> tuple[Path, int]:
        """Return the file that has an entry, and the line where it begins, counted from 1."""
        return self._places[tag]

    def find(self, tag: str) -> Entry:
        """Return an entry.

        Raises:
            CatalogError: There is none of that tag; the text has the nearest ones.
        """
        if tag in self._entries:
            return self._entries[tag]
        near = ", ".join(map(repr, difflib.get_close_matches(tag, self._entries, n=3)))
        hint = f"; did you mean {near}?" if near else ""
        raise CatalogError(f"{tag!r} is not in the catalog (read from {self.origin()}){hint}")

    def origin(self) -> str:
        """Return the names of its folders, as text; it says which of them do not exist."""
        said = (f"{folder}{'' if folder.exists() else ' (missing)'}" for folder in self.folders)
        return ", ".join(said) or "no folder"


_read: dict[tuple[Path, ...], Catalog] = {}


def read_catalog(*folders: Path | str, reload: bool = False) -> Catalog:
    """Read the catalog files of folders, `*.yaml` and then `*.yml`; once in a process.

    Args:
        folders: Each is looked at without the folders in it; one that is missing counts as empty.
        reload: Read the files anew, though that was done before.

    Raises:
        CatalogError: Something in them is wrong; `problems` has all of it, a line each.
    """
    # Path.resolve() raises where links go round, before there is a file to tell of.
    key = tuple(dict.fromkeys(Path(os.path.realpath(folder)) for folder in folders))
    known = None if reload else _read.get(key)
    if known is None:
        # Two threads may read the same files; the last one's answer stays.
        known = _read[key] = _catalog(key)
    return known


def check_catalog(*folders: Path) -> Resolved:
    """Read the catalog files of folders, and say all that is wrong with them without raising."""
    problems: list[Problem] = []
    files = [file for folder in folders for file in _files(folder, problems)]
    written = [entry for file in files for entry in read_document(file, problems)]
    resolved = resolve(written, problems)
    order = {file: number for number, file in enumerate(files)}
    problems.sort(key=lambda one: (order.get(one.file, -1), one.line))
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
    """Read the catalog files of the folders that are looked in by default."""
    return read_catalog(*default_folders(), reload=reload)


def default_folders() -> tuple[Path, ...]:
    """Return AISIO_CATALOG's folders, else the user's own and those of bionemo-core."""
    given = config.first_set("AISIO_CATALOG")
    if given:
        return tuple(Path(folder) for folder in given.split(os.pathsep) if folder)
    return (*_folders_of_user(), *_folders_of_bionemo())


def _folders_of_user() -> tuple[Path, ...]:
    import platformdirs

    try:
        folder = platformdirs.user_config_path("aisio") / "catalog"
    except RuntimeError:  # there is no home folder
        return ()
    return (folder,) if folder.is_absolute() else ()


def _folders_of_bionemo() -> tuple[Path, ...]:
    """Find them by their files: importing bionemo takes seconds."""
    spec = importlib.util.find_spec("bionemo")
    found = spec.submodule_search_locations if spec else None
    folders = (Path(folder, "core", "data", "resources") for folder in found or ())
    return tuple(folder for folder in folders if folder.is_dir())
