"""Lists of files to pack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aisio.errors import AisioError, ConfigError, NotFoundError
from aisio.shards.pack_files import GeneratedFile
from aisio.shards.pack_list import list_samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of files."""
    folder = tmp_path / "in"
    for name in ("b/2.jpg", "a/1.jpg", "c.json", "none"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def write(folder: Path, text: str, name: str = "list.csv") -> Path:
    """Write a list beside the folder."""
    path = folder.parent / name
    path.write_bytes(text.encode())
    return path


def test_each_line_of_csv_is_a_sample(folder: Path) -> None:
    """In its order; other columns are the field json."""
    text = '\ufefffile,label,"size, px",note\r\nb/2.jpg,dog,3,"two\nlines"\r\na/1.jpg,cat,,\r\n'
    second, first = list_samples(folder, write(folder, text))
    assert (second.key, second.label, second.extensions) == ("b/2", "dog", ["jpg", "json"])
    assert second.members[0].size_bytes == 7
    (columns,) = [one.data for one in second.members if isinstance(one, GeneratedFile)]
    assert json.loads(columns) == {"size, px": "3", "note": "two\nlines"}
    assert (first.key, first.label) == ("a/1", "cat")


def test_json_lines_keep_their_types(folder: Path) -> None:
    """And a label may be a number."""
    text = '{"file": "a/1.jpg", "label": 7, "box": [1, 2.5], "é": null}\n\n'
    (sample,) = list_samples(folder, write(folder, text, "list.jsonl"))
    assert sample.label == "7"
    assert sample.members[1] == GeneratedFile("a/1.json", '{"box": [1, 2.5], "é": null}'.encode())


def test_tabs_separate_too(folder: Path) -> None:
    """By the ending of the list; without further columns there is no further field."""
    (sample,) = list_samples(folder, write(folder, "label\tfile\n1\tb/2.jpg\n", "list.tsv"))
    assert (sample.label, sample.extensions) == ("1", ["jpg"])


def test_absolute_paths_may_lead_into_the_folder(folder: Path) -> None:
    """The sample has the path from there."""
    (sample,) = list_samples(folder, write(folder, f"file\n{folder}/a/1.jpg\n"))
    assert sample.key == "a/1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: expected the names of the columns.*found nothing"),
        ("path,label\n", "line 1: expected the names of the columns, each once, with 'file'"),
        ("file,a,a\n", "line 1: expected the names"),
        ("file\n", "there is no file in this list"),
        ("file, label\na/1.jpg, cat\n", "line 1: the column ' label' is to be named 'label'"),
        ("File,label\na/1.jpg,cat\n", "line 1: the column 'File' is to be named 'file'"),
        ("file,label\na/1.jpg\n", "line 2: 1 columns where line 1 names 2"),
        ("file\na/1.jpg\n\nb/2.jpg,x\n", "line 4: 2 columns"),
        ('file\n"a/1.jpg\n', "line 2: "),
        ("file\nnone\n", "line 2: none has no extension"),
        ("file\n../list.csv\n", "line 2: ../list.csv is not below"),
        ("file\n/etc/hosts.x\n", "line 2: /etc/hosts.x is not below"),
        ("file\na\n", "line 2: a has no extension"),
        ('file\n""\n', "line 2: the column 'file' must have the path"),
        ("file,label\na/1.jpg,\n", "line 2: label='' must be"),
        ("file,label\na/1.jpg, cat\n", "line 2: label=' cat' has spaces around it"),
        ("file\na/1.jpg\na/1.jpg\n", "line 3: the key 'a/1' is that of a file in .*line 2 too"),
        ("file,label\na/1.jpg," + "9" * 5000, "line 2: label has over 1,000 characters"),
        ("file\na/\0.jpg\n", "line 2: 'a/.x00.jpg' cannot be the path of a file"),
        ("file,x\nc.json,1\n", "line 2: c.json is itself the field 'json'"),
    ],
)
def test_what_is_wrong_with_a_csv_list_names_the_line(folder: Path, text: str, says: str) -> None:
    """Nothing is left out in silence."""
    with pytest.raises(AisioError, match=says):
        list_samples(folder, write(folder, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1: "),
        ("[1]", "line 1: expected an object"),
        ('{"file": "a/1.jpg", "x": NaN}', "line 1: Out of range"),
        ('{"file": "a/1.jpg", "x": "\\ud800"}', "line 1: 'utf-8' codec"),
        ('{"file": 3}', "line 1: the column 'file'"),
        ('{"file": "\\ud800.jpg"}', "line 1: '.ud800.jpg' cannot be the path of a file"),
        ('{"file": "a/1.jpg", "x": ' + "[" * 100_000, "line 1: maximum recursion depth"),
        ('{"file": "a/1.jpg", "Label": 3}', "line 1: the column 'Label' is to be named 'label'"),
        ('\n{"file": "a/1.jpg", "label": true}', "line 2: label=True must be"),
        ('{"file": "a/1.jpg", "label": 1.5}', "line 1: label=1.5"),
        ('{"file": "a/1.jpg", "label": 1}\n{"file": "b/2.jpg"}', "line 2: a label is missing"),
    ],
)
def test_what_is_wrong_with_json_lines_names_the_line(folder: Path, text: str, says: str) -> None:
    """As for CSV."""
    with pytest.raises(ConfigError, match=says):
        list_samples(folder, write(folder, text, "list.jsonl"))


def test_a_missing_file_names_the_line(folder: Path) -> None:
    """And the path."""
    with pytest.raises(NotFoundError, match=r"list.csv, line 3: there is no file .*/in/gone.jpg"):
        list_samples(folder, write(folder, "file\na/1.jpg\ngone.jpg\n"))


def test_a_folder_is_no_file(folder: Path) -> None:
    """Nor would it be packed."""
    (folder / "d.x").mkdir()
    with pytest.raises(ConfigError, match=r"line 2: .*d.x is not a file"):
        list_samples(folder, write(folder, "file\nd.x\n"))


def test_the_ending_says_what_a_list_is(folder: Path) -> None:
    """Others are not guessed."""
    with pytest.raises(ConfigError, match="ends in .csv, .tsv, .jsonl"):
        list_samples(folder, write(folder, "file\na/1.jpg\n", "list.txt"))
    path = folder.parent / "list.csv"
    path.write_bytes(b"file\n\xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        list_samples(folder, path)
