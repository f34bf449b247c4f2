"""Every block of code in README.md and docs/ is run.

For writers of documents. Name the language of each block:

    ```python    run as it stands; the blocks of one document share their names, in reading order
    ```bash      run as one script; any command that fails, fails the test
    ```console   lines that begin with "$ " are commands; output written below one must be what it
                 prints, where "..." stands for anything; no output written, none compared
    ```text      and ini, json, yaml, toml: not run

Each document has a gateway of its own, whose address is in AIS_ENDPOINT, with one bucket:

    ais://imagenet/train/000.jpg ... 007.jpg             images
    ais://imagenet/val/000.jpg ... 003.jpg               images
    ais://imagenet/shards/train-000000.tar ... 000003    four samples each: 00000.jpg, 00000.cls ...

and begins in an empty folder but for photos/, which holds 000.jpg, 000.cls ... 007.jpg, 007.cls. A
command in the background (`aisio serve photos &`) is ended with the document.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.typing import Evaluator

from aisio.gateway import Gateway

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "moving").glob("*.md")),
]
NEEDS = {
    "stores.md": "obstore",
    "oss.md": "alibabacloud_oss_v2",
    "secured-clusters.md": "cryptography",
    "lightning.md": "lightning",
    "bionemo-webdatamodule.md": "lightning",
    "who-splits.md": "accelerate",
    "fsspec.md": "pandas",
    "lhotse.md": "lhotse",
    "from-aistore-pytorch.md": "alive_progress",  # its shard reader cannot be imported without
}
"""Packages without which a document cannot be run: there is no obstore for Python 3.10."""
MARKS = {
    "lightning.md": pytest.mark.filterwarnings("ignore"),  # Lightning warns of itself
    "distributed-checkpoints.md": pytest.mark.filterwarnings("ignore:torch.distributed is"),
}
NOT_RUN = frozenset({"text", "ini", "json", "yaml", "toml"})


class Shell:
    """Run commands as a reader would type them, and end what they left running.

    Args:
        output: File that collects what one command prints.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.groups: list[int] = []

    def run(self, script: str) -> str:
        """Run a script in bash and return what it printed, errors included."""
        command = ["bash", "-euo", "pipefail", "-c", script]
        with self.output.open("wb") as output:
            shell = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.groups.append(shell.pid)
        status, printed = shell.wait(), self.output.read_text("utf-8")
        assert status == 0, f"exit status {status} of:\n{script}\nwhich printed:\n{printed}"
        return printed

    def close(self) -> None:
        """End the programs that were started in the background."""
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)

    def bash(self, example: Example) -> None:
        """Run a block as one script."""
        self.run(example.parsed)

    def console(self, example: Example) -> None:
        """Run a block's commands one by one and compare what they print."""
        for command, expected in console_commands(example.parsed):
            printed = self.run(command)
            same = doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS)
            assert same or not expected, f"$ {command}\nprinted:\n{printed}\nnot:\n{expected}"


def console_commands(block: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output written below it."""
    before, *commands = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert commands, f"a console block has a line that begins with '$ ', not:\n{block}"
    assert not before.strip(), f"output before the first command:\n{before}"
    for text in commands:
        command, _, expected = text.partition("\n")
        yield command, expected


def blocks(document: Document, shell: Shell) -> Iterator[Region]:
    """Find the fenced blocks of a document and who runs each.

    Raises:
        AssertionError: A block names no language, or one that is not known here.
    """
    evaluators: dict[str, Evaluator] = {
        "python": PythonEvaluator(),
        "bash": shell.bash,
        "console": shell.console,
    }
    for region in RawFencedCodeBlockLexer(re.compile(r"(?P<language>[^\n]*)\n"))(document):
        language = region.lexemes["language"].strip()
        where = f"{document.path}, {document.line_column(region.start)}"
        known = language in evaluators or language in NOT_RUN
        assert known, f"{where}: no such language: {language!r}"
        if language in evaluators:
            region.parsed = region.lexemes["source"]
            region.evaluator = evaluators[language]
            yield region


def run_document(path: Path, shell: Shell) -> int:
    """Run the blocks of a document in reading order and return how many there were."""
    document = Document.parse(str(path), lambda document: blocks(document, shell))
    document.namespace["__name__"] = "__main__"
    count = 0
    for count, example in enumerate(document, 1):  # noqa: B007 - the last one is the answer
        try:
            example.evaluate()
        except AssertionError as error:
            raise AssertionError(f"{path.name}, line {example.line}: {error}") from error
    return count


def image(number: int) -> bytes:
    """Return a small JPEG image of one colour."""
    encoded = io.BytesIO()
    Image.new("RGB", (32, 32), (number * 29 % 256, 128, 64)).save(encoded, "JPEG")
    return encoded.getvalue()


def pairs(numbers: Iterable[int], *, digits: int) -> Iterator[tuple[str, bytes]]:
    """Yield file names and contents of samples: an image and its class."""
    for number in numbers:
        yield f"{number:0{digits}d}.jpg", image(number)
        yield f"{number:0{digits}d}.cls", str(number % 10).encode()


def write_shard(path: Path, numbers: Iterable[int]) -> None:
    """Write samples as a tar archive."""
    with tarfile.open(path, "w") as shard:
        for name, data in pairs(numbers, digits=5):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))


def write_bucket(bucket: Path) -> None:
    """Write the sample bucket that the text at the top promises."""
    for folder, count in (("train", 8), ("val", 4)):
        (bucket / folder).mkdir(parents=True)
        for number in range(count):
            (bucket / folder / f"{number:03d}.jpg").write_bytes(image(number))
    (bucket / "shards").mkdir()
    for shard in range(4):
        write_shard(bucket / "shards" / f"train-{shard:06d}.tar", range(shard * 4, shard * 4 + 4))


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """Stand in a new folder that holds photos/ and nothing else."""
    folder = tmp_path / "work"
    (folder / "photos").mkdir(parents=True)
    for name, data in pairs(range(8), digits=3):
        (folder / "photos" / name).write_bytes(data)
    monkeypatch.chdir(folder)
    programs = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([programs, os.environ["PATH"]]))
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "user-cache"))
    monkeypatch.setenv("AISIO_CATALOG", "")  # unset, also behind a page that sets it
    return folder


@pytest.fixture
def shell(tmp_path, workplace) -> Iterator[Shell]:
    """Return a shell that ends its programs with the test."""
    shell = Shell(tmp_path / "printed")
    yield shell
    shell.close()


@pytest.fixture
def forked_workers() -> Iterator[None]:
    """Have workers forked: other ways to start them import the program, and a page is no module."""
    usual = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(usual, force=True)


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.name, marks=MARKS.get(path.name, ())) for path in DOCUMENTS]
)
def test_every_block_of_code_runs(path, tmp_path, shell, monkeypatch):
    """What a reader copies works."""
    if path.name in NEEDS and importlib.util.find_spec(NEEDS[path.name]) is None:
        pytest.skip(f"needs {NEEDS[path.name]}")
    write_bucket(tmp_path / "store" / "imagenet")
    with Gateway(tmp_path / "store") as gateway:
        monkeypatch.setenv("AIS_ENDPOINT", gateway.endpoint)
        run_document(path, shell)


@pytest.mark.parametrize(
    ("block", "trouble"),
    [
        ("```ruby\nputs 1\n```\n", "no such language: 'ruby'"),
        ("```\nputs 1\n```\n", "no such language: ''"),
        ("```python\nassert not 'two'\n```\n", "wrong.md, line 2"),
        ("```bash\nfalse\ntrue\n```\n", "exit status 1"),
        ("```console\n$ echo one\ntwo\n```\n", "wrong.md, line 2: $ echo one"),
        ("```console\necho one\n```\n", "begins with"),
    ],
)
def test_a_block_that_is_wrong_fails(block, trouble, tmp_path, shell):
    """The test above can fail, and says where and why."""
    document = tmp_path / "wrong.md"
    document.write_text("Some words.\n" + block)
    with pytest.raises(AssertionError, match=re.escape(trouble)):
        run_document(document, shell)


def test_blocks_share_names_and_output_may_be_left_out(tmp_path, shell):
    """Blocks that are right pass; one that is not to be run is passed over."""
    document = tmp_path / "right.md"
    document.write_text(
        "```python\nnumber = 1\n```\n```python\nassert number == 1\n```\n"
        "```text\n<any words>\n```\n```bash\nsleep 60 &\ntest -f photos/000.jpg\n```\n"
        "```console\n$ echo one two three\none ... three\n$ echo four\n```\n"
    )
    assert run_document(document, shell) == 4
