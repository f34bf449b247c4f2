"""Catalog files as text: what is no list of mappings is told, and no text can do harm."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from aisio.catalog.documents import Problem, parse_document, read_document

LAUGHS = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGES = "- &a0 {k0: 0}\n" + "".join(
    f"- &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], k{n}: 0}}\n" for n in range(1, 12)
)


def parsed(text: str) -> tuple[list[dict[str, object]], list[str]]:
    """Return the fields of the entries, and the problems."""
    problems: list[Problem] = []
    entries = parse_document(Path("team.yaml"), text, problems)
    fields = [{name: said.value for name, said in entry.fields.items()} for entry in entries]
    return fields, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "team.yaml:1: the file has no entry: expected a list of mappings, or [] for none"),
        ("# only words\n", "team.yaml:1: the file has no entry"),
        ("---\n...\n", "team.yaml:2: the file is empty: expected a list"),
        ("null", "team.yaml:1: the file is the value 'null': expected a list"),
        ("\n\ntag: a\n", "team.yaml:3: the file is a mapping: expected a list of mappings"),
        ("- tag: a\n- b\n", "team.yaml:2: entry 2 is the value 'b': expected a mapping"),
        ("- tag: a\n-\n", "team.yaml:2: entry 2 is empty: expected a mapping"),
        ("- - tag: a\n", "team.yaml:1: entry 1 is a list: expected a mapping"),
        ("- tag: a\n\n- tag: [\n", "team.yaml:4: not YAML: "),
        ("- tag: a\n\tb: c\n", "team.yaml:2: not YAML: "),
        ("- a: b\n- a: é\x07\n", "team.yaml:2: not YAML: holds the character U+0007: expected"),
        ("- a: b\n\n- a: \0\n", "team.yaml:3: not YAML: holds the character U+0000: expected"),
        ("- tag: a\n---\n- tag: b\n", "team.yaml:2: not YAML: "),
        ("- a: *nobody\n", "team.yaml:1: not YAML: "),
        ("- tag: a\n  b: 1\n  c: 2\n  b: 3\n", "team.yaml:4: team/a: b: is given twice, first in "),
        ("- tag: a\n  ? [x]\n  : y\n", "team.yaml:2: team/a: a key is a list: expected the name"),
        ("- tag: a\n  b: !new c\n", "team.yaml:2: team/a: b: 'c' has the YAML tag '!new'"),
        ("- tag: a\n  b: !!set {c}\n", "team.yaml:2: team/a: b: has the YAML tag 'tag:yaml"),
        ("- tag: a\n  b: !!int c\n", "team.yaml:2: team/a: b: 'c' is no int, as YAML takes it"),
        ("- tag: a\n  b: 2024-13-01\n", "team.yaml:2: team/a: b: '2024-13-01' is no timestamp"),
        ("- tag: a\n  b: =\n", "team.yaml:2: team/a: b: '=' has the YAML tag"),
        ("- tag: a\n  <<: b\n", "team.yaml:2: team/a: << is the value 'b': expected a mapping"),
        ("- &a {tag: a, <<: *a}\n", "team.yaml:1: alias *a stands for what it is part of"),
    ],
)
def test_the_error_for_another_form_than_a_list_of_mappings_has_its_line(text, expected):
    """The problem has file, line, the form, and what is expected."""
    assert parsed(text)[1][0].startswith(expected)


def test_each_value_has_its_line():
    """Lines are counted from 1; a value on a line of its own has that line."""
    (entry,) = parse_document(Path("a.yaml"), "# note\n- tag: a\n  b:\n    c\n", [])
    assert entry.line == 2
    assert {name: said.line for name, said in entry.fields.items()} == {"tag": 2, "b": 4}


def test_a_problem_is_one_line_of_bounded_names():
    """For any text of a key or tag."""
    problem = Problem(Path("a.yaml"), 3, "is\nwrong", "t" * 100_000, "f\nf")
    assert str(problem) == f"a.yaml:3: {'t' * 77}...: f f: is wrong"


def test_a_problem_shows_control_characters_and_holds_none():
    """A catalog may come from anyone, and a terminal acts on control characters."""
    problem = Problem(Path("a\x1b.yaml"), 3, "é \x9b", "t\x1b[31m", "f\x07")
    assert str(problem) == r"a\x1b.yaml:3: t\x1b[31m: f\x07: é \x9b"


@pytest.mark.parametrize(
    "number",
    ["1" + ":1" * 100_000, "1" + ":1" * 100_000 + ".5", "9" * 5000, "0x" + "f" * 1000, "1_" * 100],
)
def test_a_long_number_is_refused_unread(number):
    """PyYAML takes seconds for some, and Python has no text for others."""
    _, problems = parsed(f"- tag: a\n  b: {number}\n")
    (problem,) = problems
    assert problem.startswith("team.yaml:2: team/a: b: '")
    assert problem.endswith("write it in quotes")


@pytest.mark.parametrize(
    ("written", "read"),
    [("1.10", "1.1"), ("1:30", "90"), ("010", "8"), ("0x10", "16"), ("1_0", "10"), ("1e+3", None)],
)
def test_a_tag_that_yaml_reads_as_another_value_is_an_error(written, read):
    """The version 1.10 is not 1.1; the problem says so, and what to do."""
    _, problems = parsed(f"- tag: {written}\n")
    if read is None:
        assert problems == []
    else:
        assert f"tag: {written} is {read} to YAML" in problems[0]
        assert problems[0].endswith("write it in quotes")
    assert parsed(f"- tag: '{written}'\n") == ([{"tag": written}], [])


@pytest.mark.parametrize("written", ["1", "2.0", "-3", "2024-01-01"])
def test_a_tag_that_yaml_reads_as_it_stands_is_text(written):
    """As in BioNeMo."""
    (entry,), problems = parsed(f"- tag: {written}\n")
    assert (str(entry["tag"]), problems) == (written, [])


@pytest.mark.parametrize("trap", [LAUGHS, MERGES], ids=["billion laughs", "merged laughs"])
def test_aliases_cannot_grow_without_bound(trap):
    """A kilobyte that stands for 10^12 values is refused before a tree is built."""
    entries, problems = parsed(trap)
    assert entries == []
    assert "aliases stand for more than 100,000 values" in problems[0]


@pytest.mark.parametrize("deep", ["[" * 200_000, "[{a: " * 200_000, "- " * 200_000 + "a"])
def test_nesting_cannot_overflow_the_stack(deep):
    """PyYAML's C code would end the process at that depth; libyaml may refuse it by itself."""
    entries, problems = parsed(deep)
    assert entries == []
    assert [problem.startswith("team.yaml:1: ") for problem in problems] == [True]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"- tag: a\n  b: \xff\n", ":2: byte 14 is not UTF-8: expected UTF-8"),
        ("- tag: a\n".encode("utf-16"), ":1: byte 0 is not UTF-8: expected UTF-8"),
    ],
)
def test_other_encodings_are_refused(tmp_path, data, expected):
    """The problem has the line of the first invalid byte."""
    (tmp_path / "a.yaml").write_bytes(data)
    problems: list[Problem] = []
    assert read_document(tmp_path / "a.yaml", problems) == []
    assert str(problems[0]) == f"{tmp_path}/a.yaml{expected}"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    """Some editors write one."""
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf- tag: a\n")
    (entry,) = read_document(tmp_path / "a.yaml", [])
    assert entry.fields["tag"].value == "a"


def test_a_folder_or_broken_link_is_no_catalog_file(tmp_path):
    """A folder, or a link to nothing, under a catalog file's name."""
    (tmp_path / "a.yaml").mkdir()
    (tmp_path / "b.yaml").symlink_to("none")
    problems: list[Problem] = []
    for name in ("a.yaml", "b.yaml"):
        read_document(tmp_path / name, problems)
    assert [problem.text for problem in problems] == [
        "cannot be read: it is no regular file",
        "cannot be read: No such file or directory",
    ]


_WORDS = r"""- tag : [ ] { } , &a *a << ? null ' " | > !! !!int !x % # --- ... = \ \ud800 1 1:2 0x
    .inf .nan 2001-01-01"""
_BLANKS = [" ", "  ", "\n", "\n- ", "\n  ", "\t", "\x85", "\ufeff", "\0", ": ", ", ", "- "]
_TOKENS = st.sampled_from([*_WORDS.split(), *_BLANKS])


@settings(max_examples=200)
@given(
    st.lists(_TOKENS, max_size=40).map("".join)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
)
def test_any_text_gives_entries_or_problems(text):
    """No text raises an error."""
    entries, problems = parsed(text)
    if entries and not problems:
        try:
            loaded = yaml.safe_load(text)
        except (ValueError, TypeError, yaml.YAMLError):
            return  # keys that are lists, and the like
        assert len(loaded) == len(entries)
