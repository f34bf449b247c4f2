"""Setting one field in a catalog file without changing its comments and layout.

The text is edited at the field, or where the field belongs; it is not generated from a tree. The
result is parsed, and refused if anything except that field has changed: for example, a field that
several entries share through an anchor cannot be set for one of them.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from aisio.atomic_write import atomic_write
from aisio.catalog.documents import Problem, RawEntry, parse_document, read_text
from aisio.catalog.fields import check_tag
from aisio.errors import CatalogError


def pin(file: Path, tag: str, field: str, value: str) -> str:
    """Return the text of a catalog file with a field of an entry set.

    Args:
        file: The catalog file.
        tag: Full tag of the entry.
        field: sha256 or digest.
        value: Its new value.

    Raises:
        CatalogError: The file no longer has such an entry, or its layout is such that the field
            cannot be set without changing others.
        OSError: The file cannot be read.
    """
    try:
        text = read_text(file)
    except UnicodeDecodeError:
        text = ""  # the file has changed: it was UTF-8 when its entries were read
    before = _entries(file, text)
    index = _index(before, tag)
    edited = _edited(text, index, field, value) if index is not None else None
    if index is not None and edited is not None:
        expected = [_values(entry) for entry in before]
        expected[index][field] = value
        if [_values(entry) for entry in _entries(file, edited)] == expected:
            return edited
    line = before[index].line if index is not None else 1
    reason = f"cannot be written without changing more: set it by hand to {value}"
    problem = Problem(file, line, reason, tag, field)
    raise CatalogError(f"pin: {problem}", problems=(str(problem),))


def write_pin(file: Path, tag: str, field: str, value: str) -> None:
    """Set a field of an entry in its catalog file; see `pin` for the arguments.

    If several processes do so at once, each waits for the others.

    Raises:
        CatalogError: As for `pin`, or the file cannot be written.
    """
    try:
        with _locked(file.resolve().parent):
            text = pin(file, tag, field, value)
            with atomic_write(file) as out:
                os.fchmod(out.fileno(), stat.S_IMODE(file.stat().st_mode))
                out.write(text.encode("utf-8"))
    except OSError as error:
        reason = f"cannot be written ({error.strerror}): set it by hand to {value}"
        problem = Problem(file, 0, reason, tag, field)
        raise CatalogError(f"pin: {problem}", problems=(str(problem),)) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder; the lock of a file would be lost when the file is replaced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network file system may have no locks for folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _entries(file: Path, text: str) -> list[RawEntry]:
    problems: list[Problem] = []
    entries = parse_document(file, text, problems)
    return [] if problems else entries


def _values(entry: RawEntry) -> dict[str, Any]:
    return {name: field.value for name, field in entry.fields.items()}


def _index(entries: list[RawEntry], tag: str) -> int | None:
    tags = [f"{entry.file.stem}/{_own_tag(entry)}" for entry in entries]
    return tags.index(tag) if tag in tags else None


def _own_tag(entry: RawEntry) -> str | None:
    tag = entry.fields.get("tag")
    try:
        return check_tag(tag.value) if tag else None
    except ValueError:
        return None


def _edited(text: str, index: int, field: str, value: str) -> str | None:
    """Return the text with a field set; None if the place of the field cannot be found."""
    # PyYAML's own parser, not libyaml: only its marks count the characters of a str.
    try:
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None  # libyaml accepts tabs that PyYAML refuses
    node = root.value[index]
    pairs = {key.value: (key, current) for key, current in node.value}
    written = value if _is_plain(value) else f'"{value}"'
    if field in pairs:
        return _replaced(text, *pairs[field], written)
    if "tag" not in pairs:
        return text
    key, tag = pairs["tag"]
    if node.flow_style:
        end = tag.end_mark.index
        return f"{text[:end]}, {field}: {written}{text[end:]}"
    end = _line_end(text, tag.end_mark.index)
    line_break = "\r\n" if text[end : end + 2] == "\r\n" else "\n"
    indent = " " * key.start_mark.column
    return f"{text[:end]}{line_break}{indent}{field}: {written}{text[end:]}"


def _replaced(text: str, key: Any, current: Any, written: str) -> str:
    """Return the text with a value replaced; the current one may be empty after the colon."""
    colon = text.index(":", key.end_mark.index) + 1
    start, end = current.start_mark.index, current.end_mark.index
    if start >= end:
        return f"{text[:colon]} {written}{text[colon:]}"
    end = start + len(text[start:end].rstrip())  # the mark of a folded text is behind its line ends
    return f"{text[:start]}{written}{text[end:]}"


def _line_end(text: str, start: int) -> int:
    line_feed = text.find("\n", start)
    end = len(text) if line_feed < 0 else line_feed
    return end - 1 if text[end - 1 : end] == "\r" else end


def _is_plain(value: str) -> bool:
    """Tell whether YAML reads the text as a string: it reads a digest of digits as a number."""
    node: Any = yaml.compose(value, Loader=yaml.SafeLoader)
    return bool(node.tag == "tag:yaml.org,2002:str")
