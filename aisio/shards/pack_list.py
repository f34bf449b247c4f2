"""A list of files to pack: CSV or JSON lines, with labels and further columns."""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aisio.errors import ConfigError, NotFoundError, ShardError, StorageError
from aisio.shards.pack_files import (
    FolderFile,
    GeneratedFile,
    PackFile,
    PackSample,
    file_version,
)
from aisio.shards.samples import split_name

__all__ = ["list_samples"]

_FILE, _LABEL = "file", "label"
_COLUMNS_FIELD = "json"
_MAX_LABEL_CHARS = 1000


class _Line(NamedTuple):
    """A line of the list.

    Attributes:
        where: List and number of the line, for errors.
        row: Its columns.
    """

    where: str
    row: dict[str, Any]


def list_samples(folder: Path, files: Path) -> list[PackSample]:
    """Return the samples of a list, one a line, in its order.

    The list is CSV with a line of column names, or JSON with one object a line, by its ending:
    .csv, .tsv or .jsonl. The column `file` has the path of a file below the folder, `label` the
    name or number of its class. If there are others, the sample has them as one more field, `json`.

    Args:
        folder: What the paths in the list are relative to.
        files: The list.

    Raises:
        ConfigError: The list cannot be read as such, a line lacks something, or two lines have
            files of the same key; the text names the line.
        NotFoundError: A file is missing; the text names the line.
        StorageError: A file cannot be looked at.
    """
    lines: dict[str, str] = {}
    samples: list[PackSample] = []
    try:
        for line in _lines(files):
            sample = _sample(folder, line)
            if sample.key in lines:
                raise ConfigError(
                    f"{line.where}: the key {sample.key!r} is that of a file in"
                    f" {lines[sample.key]} too; each line is a sample of its own"
                )
            lines[sample.key] = line.where
            samples.append(sample)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{files} is not UTF-8: {error}") from error
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{files}: {error.strerror or error}") from error
    if not samples:
        raise ConfigError(f"{files}: there is no file in this list")
    with_label = [one for one in samples if one.label is not None]
    if with_label and len(with_label) < len(samples):
        lacking = next(one for one in samples if one.label is None)
        raise ConfigError(f"{lines[lacking.key]}: a label is missing, which other lines have")
    return samples


def _lines(files: Path) -> Iterator[_Line]:
    readers = {".csv": _csv_lines, ".tsv": _tsv_lines, ".jsonl": _json_lines}
    reader = readers.get(files.suffix.lower())
    if reader is None:
        raise ConfigError(f"{files}: a list of files ends in {', '.join(readers)}")
    # newline="": csv does the splitting, as a quoted cell may have line ends in it.
    with files.open(encoding="utf-8-sig", newline="") as text:
        yield from reader(str(files), text)


def _csv_lines(files: str, text: Iterable[str], delimiter: str = ",") -> Iterator[_Line]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        names = next(reader, None)
        _check_columns(names or [], f"{files}, line 1")
        if not names or _FILE not in names or len(set(names)) != len(names) or "" in names:
            raise ConfigError(
                f"{files}, line 1: expected the names of the columns, each once, with {_FILE!r}"
                f" among them; found {names or 'nothing'}"
            )
        for cells in reader:
            where = f"{files}, line {reader.line_num}"
            if not cells:  # an empty line
                continue
            if len(cells) != len(names):
                raise ConfigError(f"{where}: {len(cells)} columns where line 1 names {len(names)}")
            yield _Line(where, dict(zip(names, cells, strict=True)))
    except csv.Error as error:
        raise ConfigError(f"{files}, line {reader.line_num}: {error}") from error


def _tsv_lines(files: str, text: Iterable[str]) -> Iterator[_Line]:
    return _csv_lines(files, text, "\t")


def _json_lines(files: str, text: Iterable[str]) -> Iterator[_Line]:
    for number, line in enumerate(text, 1):
        where = f"{files}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where}: {error}") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{where}: expected an object, as in {{{_FILE!r}: ...}}")
        _check_columns(row, where)
        yield _Line(where, row)


def _sample(folder: Path, line: _Line) -> PackSample:
    where, row = line
    name = row.pop(_FILE, None)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where}: the column {_FILE!r} must have the path of a file")
    name = _name_below(folder, name, where)
    split = split_name(name)
    if split is None:
        raise ConfigError(f"{where}: {name} has no extension, which would name its field")
    key, extension = split
    members: list[PackFile] = [_file(folder, name, where)]
    label = _label(row.pop(_LABEL, None), where)
    if row:
        if extension == _COLUMNS_FIELD:
            raise ShardError(f"{where}: {name} is itself the field {_COLUMNS_FIELD!r}")
        members.append(GeneratedFile(f"{key}.{_COLUMNS_FIELD}", _columns(row, where)))
    members.sort(key=lambda one: one.name)
    return PackSample(key, tuple(members), label)


def _check_columns(names: Iterable[str], where: str) -> None:
    """Raise an error if a column would be no label for its case or a space alone.

    Raises:
        ConfigError: There is one.
    """
    for name in names:
        meant = name.strip().lower()
        if meant in (_FILE, _LABEL) and name != meant:
            raise ConfigError(f"{where}: the column {name!r} is to be named {meant!r}")


def _columns(row: dict[str, Any], where: str) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError) as error:  # NaN, or half of a character
        raise ConfigError(f"{where}: {error}") from error


def _name_below(folder: Path, name: str, where: str) -> str:
    """Return the name of a file as a path from the folder, with "/".

    Raises:
        ConfigError: It is not below the folder.
    """
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(folder.absolute()):
        path = path.relative_to(folder.absolute())
    if path.is_absolute() or ".." in path.parts:
        raise ConfigError(f"{where}: {name} is not below {folder}")
    return path.as_posix()


def _file(folder: Path, name: str, where: str) -> FolderFile:
    try:
        status = os.stat(folder / name)  # noqa: PTH116 - one call a file
    except FileNotFoundError as error:
        raise NotFoundError(f"{where}: there is no file {folder / name}") from error
    except OSError as error:
        raise StorageError(f"{where}: {folder / name}: {error.strerror}") from error
    except ValueError as error:  # a NUL, or half of a character
        raise ConfigError(f"{where}: {name!r} cannot be the path of a file: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{where}: {folder / name} is not a file")
    return FolderFile(name, status.st_size, file_version(status))


def _label(value: Any, where: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise ConfigError(f"{where}: {_LABEL}={value!r} must be a name or a whole number")
    label = str(value)
    if len(label) > _MAX_LABEL_CHARS:
        raise ConfigError(f"{where}: {_LABEL} has over {_MAX_LABEL_CHARS:,} characters")
    if label != label.strip():
        raise ConfigError(f"{where}: {_LABEL}={value!r} has spaces around it")
    return label
