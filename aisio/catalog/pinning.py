"""Writing one field into a catalog file's text, whose comments and layout stay as they are.

The text is edited where the field stands, or where it belongs; nothing is written anew from a tree.
What comes out is read again, and refused if anything but that field has changed: a field that
several entries share by an anchor, say, cannot be set for one of them.
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
from aisio.catalog.documents import Problem, Written, parse_document, read_text
from aisio.catalog.fields import check_tag
from aisio.errors import CatalogError


def pin(file: Path, tag: str, field: str, value: str) -> str:
    """Return the text of a catalog file with a field of an entry set.

    Args:
        file: The catalog file.
        tag: Full tag of the entry.
        field: sha256 or digest.
        value: What it is set to.

    Raises:
        CatalogError: The file has changed and has no such entry any more, or is laid out so that
            the field cannot be set without changing others.
        OSError: The file cannot be read.
    """
    try:
        text = read_text(file)
    except UnicodeDecodeError:
        text = ""  # it was UTF-8 when its entries were read
    before = _entries(file, text)
    number = _number(before, tag)
    edited = _edited(text, number, field, value) if number is not None else None
    if number is not None and edited is not None:
        expected = [_values(entry) for entry in before]
        expected[number][field] = value
        if [_values(entry) for entry in _entries(file, edited)] == expected:
            return edited
    line = before[number].line if number is not None else 1
    said = f"cannot be written without changing more: set it by hand to {value}"
    problem = Problem(file, line, said, tag, field)
    raise CatalogError(f"pin: {problem}", problems=(str(problem),))


def write_pin(file: Path, tag: str, field: str, value: str) -> None:
    """Set a field of an entry in its catalog file; see `pin` for the arguments.

    Where several processes do so at once, each waits for the others.

    Raises:
        CatalogError: As for `pin`, or the file cannot be written.
    """
    try:
        with _alone(file.resolve().parent):
            text = pin(file, tag, field, value)
            with atomic_write(file) as out:
                os.fchmod(out.fileno(), stat.S_IMODE(file.stat().st_mode))
                out.write(text.encode("utf-8"))
    except OSError as error:
        said = f"cannot be written ({error.strerror}): set it by hand to {value}"
        problem = Problem(file, 0, said, tag, field)
        raise CatalogError(f"pin: {problem}", problems=(str(problem),)) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock a folder: of a file the lock would go with the file that is replaced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network file system may have no locks for folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _entries(file: Path, text: str) -> list[Written]:
    problems: list[Problem] = []
    entries = parse_document(file, text, problems)
    return [] if problems else entries


def _values(entry: Written) -> dict[str, Any]:
    return {name: said.value for name, said in entry.fields.items()}


def _number(entries: list[Written], tag: str) -> int | None:
    tags = [f"{entry.file.stem}/{_own_tag(entry)}" for entry in entries]
    return tags.index(tag) if tag in tags else None


def _own_tag(entry: Written) -> str | None:
    said = entry.fields.get("tag")
    try:
        return check_tag(said.value) if said else None
    except ValueError:
        return None


def _edited(text: str, number: int, field: str, value: str) -> str | None:
    """Return the text with a field set; None where it cannot be told where that belongs."""
    # PyYAML's own parser, not libyaml: only its marks count the characters of a str.
    try:
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None  # libyaml lets tabs stand where PyYAML does not
    node = root.value[number]
    pairs = {key.value: (key, said) for key, said in node.value}
    written = value if _is_plain(value) else f'"{value}"'
    if field in pairs:
        return _replaced(text, *pairs[field], written)
    if "tag" not in pairs:
        return text
    key, said = pairs["tag"]
    if node.flow_style:
        end = said.end_mark.index
        return f"{text[:end]}, {field}: {written}{text[end:]}"
    end = _line_end(text, said.end_mark.index)
    line_break = "\r\n" if text[end : end + 2] == "\r\n" else "\n"
    indent = " " * key.start_mark.column
    return f"{text[:end]}{line_break}{indent}{field}: {written}{text[end:]}"


def _replaced(text: str, key: Any, said: Any, written: str) -> str:
    """Put a value in the place of another, which may be nothing at all behind the colon."""
    colon = text.index(":", key.end_mark.index) + 1
    start, end = said.start_mark.index, said.end_mark.index
    if start >= end:
        return f"{text[:colon]} {written}{text[colon:]}"
    end = start + len(text[start:end].rstrip())  # a folded text has its line ends too
    return f"{text[:start]}{written}{text[end:]}"


def _line_end(text: str, start: int) -> int:
    found = text.find("\n", start)
    end = len(text) if found < 0 else found
    return end - 1 if text[end - 1 : end] == "\r" else end


def _is_plain(value: str) -> bool:
    """Tell whether YAML takes bare text for text: a digest of digits alone is a number to it."""
    node: Any = yaml.compose(value, Loader=yaml.SafeLoader)
    return bool(node.tag == "tag:yaml.org,2002:str")
