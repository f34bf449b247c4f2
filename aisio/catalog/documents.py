"""Parsing a catalog file into raw entries: each field's value with the line where it stands.

A file may come from anyone, so its cost must be linear in its length. The parser's events, and the
values that aliases repeat, are counted before a tree is built from them. The tree holds no Python
objects except those of YAML's own scalars.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.constructor import SafeConstructor

from aisio.escapes import one_line

MAX_ALIASED_VALUES = 100_000
"""Of all aliases of a file together; a real catalog has some dozens."""
MAX_DEPTH = 20
"""Of lists and mappings; a catalog needs three levels. PyYAML's C code overflows its stack at ten
thousand or so."""
MAX_NUMBER_CHARS = 100
"""Of a number or time. YAML 1.1 has numbers to the base of 60, as in 1:30:00, for which PyYAML
takes quadratic time."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_STRING = f"{_TAG}str"
_SCALARS = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "binary")
)
_NUMBERS = frozenset({"int", "float", "timestamp"})
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Problem(NamedTuple):
    """An error in a catalog file, in one line of text.

    Attributes:
        file: The catalog file, or a folder that cannot be read.
        line: Counted from 1; 0 if there is none.
        text: What is wrong, and what is expected.
        tag: The entry, if it is about one.
        field: The field, if it is about one.
    """

    file: Path
    line: int
    text: str
    tag: str | None = None
    field: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        names = (_cut(name) for name in (self.tag, self.field) if name)
        return one_line(": ".join([place, *names, " ".join(self.text.split())]))


def _cut(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


class Value(NamedTuple):
    """The value of a field.

    Attributes:
        value: str, int, float, bool, None, a date, bytes; a list of these; {} for any mapping.
        line: Its line, counted from 1.
        column: Where it begins in that line, counted from 0.
    """

    value: Any
    line: int
    column: int = 0


@dataclass(frozen=True)
class RawEntry:
    """An entry as the file has it, before it is checked.

    Attributes:
        file: The catalog file.
        line: Where the entry begins, counted from 1.
        number: Its position in the list, counted from 1.
        fields: Values by their names, also those of merged mappings.
    """

    file: Path
    line: int
    number: int
    fields: dict[str, Value] = field(default_factory=dict)


class _NodeError(Exception):
    """A node is not valid.

    Args:
        node: Node or event, for its line.
        text: What is wrong, and what is expected.
        name: The field, if it is about one.
    """

    def __init__(self, node: Any, text: str, name: str | None = None) -> None:
        super().__init__(text)
        self.line = node.start_mark.line + 1
        self.name = name


def read_document(file: Path, problems: list[Problem]) -> list[RawEntry]:
    """Read the entries of a catalog file; errors in its form are added to `problems`."""
    try:
        text = read_text(file)
    except OSError as error:
        problems.append(Problem(file, 0, f"cannot be read: {error.strerror or error}"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(Problem(file, line, f"byte {error.start} is not UTF-8: expected UTF-8"))
    else:
        return parse_document(file, text, problems)
    return []


def parse_document(file: Path, text: str, problems: list[Problem]) -> list[RawEntry]:
    """Parse the text of a catalog file; errors in its form are added to `problems`."""
    try:
        root = _compose(text)
    except yaml.YAMLError as error:
        problems.append(_syntax_problem(file, text, error))
    except _NodeError as error:
        problems.append(Problem(file, error.line, str(error)))
    else:
        return _entries(file, root, problems)
    return []


def read_text(file: Path) -> str:
    """Return the text of a catalog file, with its line ends unchanged.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is not UTF-8.
    """
    if file.exists() and not file.is_file():
        raise OSError("it is no regular file")
    return file.read_bytes().decode("utf-8")


def _syntax_problem(file: Path, text: str, error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        return _character_problem(file, text, error)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [getattr(error, name, None) for name in ("context", "problem")]
    reason = ", ".join(str(part) for part in parts if part) or str(error)
    return Problem(file, mark.line + 1 if mark else 1, f"not YAML: {reason}")


def _character_problem(file: Path, text: str, error: yaml.reader.ReaderError) -> Problem:
    code = error.character if isinstance(error.character, int) else ord(error.character)
    line = text[: max(text.find(chr(code)), 0)].count("\n") + 1
    return Problem(file, line, f"not YAML: holds the character U+{code:04X}: expected text")


def _compose(text: str) -> Any:
    """Return the root node of the only document, after a check of its cost."""
    _check_size(text)
    root = yaml.compose(text, Loader=_Loader)
    if root is None:
        start = yaml.Mark("", 0, 0, 0, None, 0)
        raise _NodeError(
            yaml.Node(_STRING, None, start, start),
            "the file has no entry: expected a list of mappings, or [] for none",
        )
    return root


def _check_size(text: str) -> None:
    """Refuse a document that is nested too deep, or that aliases make too large."""
    total = aliased = 0
    sizes: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in (anchor for anchor, _ in stack):
                raise _NodeError(event, f"alias *{event.anchor} stands for what it is part of")
            size = sizes.get(str(event.anchor), 1)
            aliased += size
            total += size
            if aliased > MAX_ALIASED_VALUES:
                raise _NodeError(
                    event, f"aliases stand for more than {MAX_ALIASED_VALUES:,} values"
                )
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append((event.anchor, total))
            total += 1
            if len(stack) > MAX_DEPTH:
                raise _NodeError(event, f"more than {MAX_DEPTH} levels of lists and mappings")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = stack.pop()
            if anchor:
                sizes[anchor] = total - before


def _entries(file: Path, root: Any, problems: list[Problem]) -> list[RawEntry]:
    line = root.start_mark.line + 1
    if not isinstance(root, yaml.SequenceNode):
        expected = "a list of mappings, each line as '- tag: name'"
        text = f"the file is {_describe(root)}: expected {expected}"
        problems.append(Problem(file, line, text))
        return []
    entries = []
    for number, node in enumerate(root.value, 1):
        entry = RawEntry(file, node.start_mark.line + 1, number)
        if isinstance(node, yaml.MappingNode):
            _fill(entry, node, problems)
            entries.append(entry)
        else:
            text = f"entry {number} is {_describe(node)}: expected a mapping, as in '- tag: name'"
            problems.append(Problem(file, entry.line, text))
    return entries


def _fill(entry: RawEntry, node: Any, problems: list[Problem]) -> None:
    seen = set()
    merged: list[tuple[str, Value]] = []
    for key, value in node.value:
        try:
            if key.tag == _MERGE:
                merged.extend(_merged(value))
                continue
            name = _key(key)
            if name in seen:
                text = f"is given twice, first in line {entry.fields[name].line}: expected once"
                raise _NodeError(key, text, name)
            seen.add(name)
            entry.fields[name] = _value(value, name)
        except _NodeError as error:
            tag = f"{entry.file.stem}/{_tag_text(node) or f'(entry {entry.number})'}"
            problems.append(Problem(entry.file, error.line, str(error), tag, error.name))
            if error.name:
                seen.add(error.name)
                entry.fields[error.name] = Value(UNREADABLE, error.line)
    for name, merged_value in merged:
        entry.fields.setdefault(name, merged_value)


class Unreadable:
    """The type of UNREADABLE, which replaces a value for which there is already a problem."""


UNREADABLE = Unreadable()


def _merged(node: Any) -> Iterator[tuple[str, Value]]:
    """Yield the fields that `<<` merges; the first of several mappings wins, as in YAML 1.1."""
    parents = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for parent in parents:
        if not isinstance(parent, yaml.MappingNode):
            raise _NodeError(
                node, f"<< is {_describe(parent)}: expected a mapping, as in <<: *name"
            )
        inherited = []
        for key, value in parent.value:
            if key.tag == _MERGE:
                inherited.append(value)
            else:
                name = _key(key)
                yield name, _value(value, name)
        for value in inherited:
            yield from _merged(value)


def _tag_text(node: Any) -> str | None:
    """Return the tag that an entry has, for messages."""
    texts = (value.value for key, value in node.value if key.value == "tag")
    return next((text for text in texts if isinstance(text, str)), None)


def _key(node: Any) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _NodeError(node, f"a key is {_describe(node)}: expected the name of a field")
    return str(node.value)


def _value(node: Any, name: str) -> Value:
    mark = node.start_mark
    return Value(_python_value(node, name), mark.line + 1, mark.column)


def _python_value(node: Any, name: str) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, name)
    if node.tag not in (f"{_TAG}seq", f"{_TAG}map"):
        raise _NodeError(node, f"has the YAML tag {node.tag!r}: expected none", name)
    return (
        {}
        if isinstance(node, yaml.MappingNode)
        else [_python_value(item, name) for item in node.value]
    )


def _scalar(node: Any, name: str) -> Any:
    if node.tag == _STRING:
        return _unicode(node, name)
    if node.tag not in _SCALARS:
        text = f"{node.value!r} has the YAML tag {node.tag!r}: expected none; write it in quotes"
        raise _NodeError(node, text, name)
    kind = node.tag.removeprefix(_TAG)
    try:
        if len(node.value) > MAX_NUMBER_CHARS and kind in _NUMBERS:
            raise ValueError
        value = _construct(node)
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        text = f"{_short(node.value)} is no {kind}, as YAML takes it for one: write it in quotes"
        raise _NodeError(node, text, name) from None
    if name == "tag" and kind in _NUMBERS and str(value) != node.value:
        text = f"{node.value} is {value} to YAML, which takes it for a {kind}: write it in quotes"
        raise _NodeError(node, text, name)
    return value


def _construct(node: Any) -> Any:
    return SafeConstructor.yaml_constructors[node.tag](SafeConstructor(), node)


def _unicode(node: Any, name: str) -> str:
    r"""Return a string; refuse "\ud800", which PyYAML's scanner accepts and libyaml does not."""
    text = str(node.value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _NodeError(node, "holds half a surrogate pair: expected Unicode", name) from None
    return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _describe(node: Any) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"the value {_short(node.value)}" if node.value else "empty"
