"""docs/acceptance.md: which test shows that a line of the acceptance list holds.

`python -m tests.acceptance.page` writes the page anew, from the project's folder.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.acceptance.lines import SYSTEMS

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "acceptance.md"
_ID_IN_NAME = re.compile(r"test_([a-z]{3})_(\d\d)_")
_ID_IN_TEXT = re.compile(r"\b([A-Z]{3}-\d\d)\b")

TOP = """# What aisio has in common with other systems

What these systems do, line by line; "!" marks a line that corrects a defect of theirs. Each line
names the tests that show that aisio does it, and is "tested" where there is at least one; "not yet"
means that aisio does not do it. `python -m tests.acceptance.page` makes this page from the tests,
and a test keeps it current.
"""

HEAD = "| ID | what holds | state | tests |\n| --- | --- | --- | --- |\n"


@functools.cache
def lines_with_tests() -> Mapping[str, list[str]]:
    """Return, for each ID, the tests that carry it in their name or docstring."""
    found: dict[str, list[str]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        for function in _functions(ast.parse(file.read_text("utf-8"))):
            for line in sorted(_lines_of(function)):
                name = f"{file.relative_to(TESTS)}::{function.name}"
                found.setdefault(line, []).append(name)
    return found


def _functions(module: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def _lines_of(function: ast.FunctionDef) -> set[str]:
    named = _ID_IN_NAME.match(function.name)
    ids = set(_ID_IN_TEXT.findall(ast.get_docstring(function) or ""))
    return ids | ({f"{named[1].upper()}-{named[2]}"} if named else set())


def page() -> str:
    """Return the page as it should be."""
    tests = lines_with_tests()
    parts = [TOP]
    for system, lines in SYSTEMS.items():
        parts.append(f"\n## {system}\n\n{HEAD}")
        for title, text in lines.items():
            names = tests.get(title.removesuffix(" !"), [])
            shown = "<br>".join(f"`{name}`" for name in names)
            parts.append(f"| {title} | {text} | {'tested' if names else 'not yet'} | {shown} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
