"""Names of objects that become names of local files: checked before anything is written."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.errors import ConfigError

__all__ = ["check_local_names", "folds_case", "unusable_name"]

_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 4095
"""Source: NAME_MAX and PATH_MAX of Linux and macOS without the final NUL, limits.h."""

_SHOWN_PROBLEMS = 5


def folds_case(folder: Path) -> bool:
    """Tell whether the file system of a folder takes "a" and "A" for one name.

    Args:
        folder: The folder, which need not exist yet.
    """
    absolute = folder.absolute()
    for place in (absolute, *absolute.parents):
        other = place.with_name(place.name.swapcase()) if place.name else place
        if place.exists() and other != place:
            return other.exists() and other.samefile(place)
    return False


def check_local_names(
    names: Iterable[tuple[str, str]], folder: Path, *, case_folds: bool | None = None
) -> None:
    """Check that all names can be files below one folder at the same time.

    Args:
        names: Names relative to the folder, each with the URL of its object.
        folder: The folder.
        case_folds: Names that differ in case, or in the composition of accents, are one; by default
            as the file system of the folder has it.

    Raises:
        ConfigError: Some cannot; the text has the first of them.
    """
    case_folds = folds_case(folder) if case_folds is None else case_folds
    problems = list(_problems(names, folder, case_folds))
    if problems:
        more = f"; and {len(problems) - _SHOWN_PROBLEMS:,} more" * (len(problems) > _SHOWN_PROBLEMS)
        raise ConfigError(
            f"{'; '.join(problems[:_SHOWN_PROBLEMS])}{more}: nothing was written; --exclude leaves "
            f"names out, and an object that is got alone may have another name"
        )


def _problems(names: Iterable[tuple[str, str]], folder: Path, case_folds: bool) -> Iterator[str]:
    used: dict[str, tuple[str, str]] = {}
    room = _MAX_PATH_BYTES - len(os.fsencode(folder.absolute())) - 1
    for name, url in names:
        if problem := _problem(name, room):
            yield _cannot_be(name, url, problem)
            continue
        other_name, other_url = used.setdefault(_key(name, case_folds), (name, url))
        if other_url != url:
            same = "" if name == other_name else ", as the file system takes the two names for one"
            yield f"get {url}: {folder / name} is where {other_url} would be written{same}"
    for key, (_, url) in used.items():
        for end in (index for index, character in enumerate(key) if character == "/"):
            if (above := used.get(key[:end])) is not None:
                where = folder / above[0]
                yield f"get {url}: {where} would be a folder, and {above[1]} is a file there"
                break


def unusable_name(name: str, url: str) -> ConfigError:
    """Return the error for a name that leads out of its folder, or is none."""
    problem = _problem(name, _MAX_PATH_BYTES) or "no store has such names"
    return ConfigError(f"{_cannot_be(name, url, problem)}: nothing was written")


def _cannot_be(name: str, url: str, problem: str) -> str:
    return f"get {url}: {name!r} cannot be a file inside a folder: {problem}"


def _problem(name: str, room: int) -> str:
    parts = name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        return "it has an empty, '.' or '..' part"
    if "\0" in name:
        return "it has a NUL character"
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        return "the file system's encoding lacks one of its characters"
    if len(encoded) > room or any(len(part) > _MAX_NAME_BYTES for part in encoded.split(b"/")):
        return f"a part of it has more than {_MAX_NAME_BYTES} bytes, or all of it is too long"
    if name.endswith(PARTIAL_SUFFIX):
        return f"{PARTIAL_SUFFIX} ends the names of temporary files"
    return ""


def _key(name: str, case_folds: bool) -> str:
    return unicodedata.normalize("NFC", name).casefold() if case_folds else name
