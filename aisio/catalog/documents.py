"""A catalog file's text -> its entries as they are written, each value with its line.

A file may come from anyone, so nothing in it can cost more than it is long: the events of the
parser are counted first, with what aliases stand for, and only then a tree is made of them. The
tree has no Python objects in it but those of YAML's own scalars.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.constructor import SafeConstructor

from aisio.escapes import one_line

MOST_ALIASED = 100_000
"""Values that the aliases of a file may stand for together; a real catalog has some dozens."""
DEEPEST = 20
"""Levels of lists and mappings; a catalog needs three. PyYAML's C code overflows its stack at some
ten thousand."""
LONGEST = 100
"""Characters of a number or time. YAML 1.1 has numbers to the base of 60, as in 1:30:00, for which
PyYAML takes a time that grows with the square of their length."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_STRING = f"{_TAG}str"
_SCALARS = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "binary")
)
_NUMBERS = frozenset({"int", "float", "timestamp"})
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Problem(NamedTuple):
    """One thing that is wrong, in one line of text.

    Attributes:
        file: The catalog file, or a folder that cannot be read.
        line: Counted from 1; 0 where there is none.
        text: What was wrong, and what is expected.
        tag: The entry it is about, if it is about one.
        field: And the field.
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
    """What a field says.

    Attributes:
        value: str, int, float, bool, None, a date, bytes; a list of such; {} for any mapping.
        line: Where it is written, counted from 1.
        column: Where it begins in that line, counted from 0.
    """

    value: Any
    line: int
    column: int = 0


@dataclass(frozen=True)
class Written:
    """An entry as it is written.

    Attributes:
        file: The catalog file.
        line: Where the entry begins, counted from 1.
        number: Its place in the list, counted from 1.
        fields: Its values by their names; those of merged mappings too.
    """

    file: Path
    line: int
    number: int
    fields: dict[str, Value] = field(default_factory=dict)


class _WrongError(Exception):
    """Something in the text that cannot be meant.

    Args:
        node: Node or event that says where.
        text: What was wrong, and what is expected.
    """

    def __init__(self, node: Any, text: str, name: str | None = None) -> None:
        super().__init__(text)
        self.line = node.start_mark.line + 1
        self.name = name


def read_document(file: Path, problems: list[Problem]) -> list[Written]:
    """Read a catalog file; what is wrong with its form is added to `problems`."""
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


def parse_document(file: Path, text: str, problems: list[Problem]) -> list[Written]:
    """Read a catalog file's text; what is wrong with its form is added to `problems`."""
    try:
        root = _compose(text)
    except yaml.YAMLError as error:
        problems.append(_syntax_problem(file, text, error))
    except _WrongError as error:
        problems.append(Problem(file, error.line, str(error)))
    else:
        return _entries(file, root, problems)
    return []


def read_text(file: Path) -> str:
    """Return what a catalog file holds, its line ends as they are.

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
    said = [getattr(error, name, None) for name in ("context", "problem")]
    why = ", ".join(str(part) for part in said if part) or str(error)
    return Problem(file, mark.line + 1 if mark else 1, f"not YAML: {why}")


def _character_problem(file: Path, text: str, error: yaml.reader.ReaderError) -> Problem:
    code = error.character if isinstance(error.character, int) else ord(error.character)
    line = text[: max(text.find(chr(code)), 0)].count("\n") + 1
    return Problem(file, line, f"not YAML: holds the character U+{code:04X}: expected text")


def _compose(text: str) -> Any:
    """Return the root node of the only document, once it is known not to be a trap."""
    _check_size(text)
    root = yaml.compose(text, Loader=_Loader)
    if root is None:
        start = yaml.Mark("", 0, 0, 0, None, 0)
        raise _WrongError(
            yaml.Node(_STRING, None, start, start),
            "the file has no entry: expected a list of mappings, or [] for none",
        )
    return root


def _check_size(text: str) -> None:
    """Refuse what is nested too deep, or grows too large by its aliases, before a tree is made."""
    total = aliased = 0
    sizes: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in (anchor for anchor, _ in stack):
                raise _WrongError(event, f"alias *{event.anchor} stands for what it is part of")
            size = sizes.get(str(event.anchor), 1)
            aliased += size
            total += size
            if aliased > MOST_ALIASED:
                raise _WrongError(event, f"aliases stand for more than {MOST_ALIASED:,} values")
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append((event.anchor, total))
            total += 1
            if len(stack) > DEEPEST:
                raise _WrongError(event, f"more than {DEEPEST} levels of lists and mappings")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = stack.pop()
            if anchor:
                sizes[anchor] = total - before


def _entries(file: Path, root: Any, problems: list[Problem]) -> list[Written]:
    line = root.start_mark.line + 1
    if not isinstance(root, yaml.SequenceNode):
        text = f"the file is {_form(root)}: expected a list of mappings, each line as '- tag: name'"
        problems.append(Problem(file, line, text))
        return []
    written = []
    for number, node in enumerate(root.value, 1):
        entry = Written(file, node.start_mark.line + 1, number)
        if isinstance(node, yaml.MappingNode):
            _fill(entry, node, problems)
            written.append(entry)
        else:
            text = f"entry {number} is {_form(node)}: expected a mapping, as in '- tag: name'"
            problems.append(Problem(file, entry.line, text))
    return written


def _fill(entry: Written, node: Any, problems: list[Problem]) -> None:
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
                raise _WrongError(key, text, name)
            seen.add(name)
            entry.fields[name] = _value(value, name)
        except _WrongError as error:
            tag = f"{entry.file.stem}/{_tag_text(node) or f'(entry {entry.number})'}"
            problems.append(Problem(entry.file, error.line, str(error), tag, error.name))
            if error.name:
                seen.add(error.name)
                entry.fields[error.name] = Value(UNREADABLE, error.line)
    for name, said in merged:
        entry.fields.setdefault(name, said)


class Unreadable:
    """Stands for a value about which a problem is noted already."""


UNREADABLE = Unreadable()


def _merged(node: Any) -> Iterator[tuple[str, Value]]:
    """Yield the fields that `<<` takes over; the first of several mappings wins, as in YAML 1.1."""
    parents = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for parent in parents:
        if not isinstance(parent, yaml.MappingNode):
            raise _WrongError(node, f"<< is {_form(parent)}: expected a mapping, as in <<: *name")
        deeper = []
        for key, value in parent.value:
            if key.tag == _MERGE:
                deeper.append(value)
            else:
                name = _key(key)
                yield name, _value(value, name)
        for value in deeper:
            yield from _merged(value)


def _tag_text(node: Any) -> str | None:
    """Return what an entry gives as its tag, for messages."""
    texts = (value.value for key, value in node.value if key.value == "tag")
    return next((text for text in texts if isinstance(text, str)), None)


def _key(node: Any) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _WrongError(node, f"a key is {_form(node)}: expected the name of a field")
    return str(node.value)


def _value(node: Any, name: str) -> Value:
    mark = node.start_mark
    return Value(_plain(node, name), mark.line + 1, mark.column)


def _plain(node: Any, name: str) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, name)
    if node.tag not in (f"{_TAG}seq", f"{_TAG}map"):
        raise _WrongError(node, f"has the YAML tag {node.tag!r}: expected none", name)
    return {} if isinstance(node, yaml.MappingNode) else [_plain(item, name) for item in node.value]


def _scalar(node: Any, name: str) -> Any:
    if node.tag == _STRING:
        return _unicode(node, name)
    if node.tag not in _SCALARS:
        text = f"{node.value!r} has the YAML tag {node.tag!r}: expected none; write it in quotes"
        raise _WrongError(node, text, name)
    kind = node.tag.removeprefix(_TAG)
    try:
        if len(node.value) > LONGEST and kind in _NUMBERS:
            raise ValueError
        value = _construct(node)
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        text = f"{_short(node.value)} is no {kind}, as YAML takes it for one: write it in quotes"
        raise _WrongError(node, text, name) from None
    if name == "tag" and kind in _NUMBERS and str(value) != node.value:
        text = f"{node.value} is {value} to YAML, which takes it for a {kind}: write it in quotes"
        raise _WrongError(node, text, name)
    return value


def _construct(node: Any) -> Any:
    return SafeConstructor.yaml_constructors[node.tag](SafeConstructor(), node)


def _unicode(node: Any, name: str) -> str:
    r"""PyYAML's own scanner, not libyaml, lets "\ud800" through, which no file can hold."""
    text = str(node.value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _WrongError(node, "holds half a surrogate pair: expected Unicode", name) from None
    return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _form(node: Any) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"the value {_short(node.value)}" if node.value else "empty"
