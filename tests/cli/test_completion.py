"""Completion: in a real bash, and by what the other shells ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from aisio.cli import main

URL = "ais://cli-data"
ASK = """
source ./script
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
COMP_LINE=$1 COMP_POINT=${#1}
compopt() { echo "option: ${*: -1}"; }
_aisio_completion aisio
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def objects(bucket):
    """Put a few objects and return their bucket."""
    for name in ("train/1", "train/2", "tr,ash", "val/a b", "val/c"):
        bucket.object(name).put(b"")
    return bucket


@pytest.fixture
def bash(environ, tmp_path):
    """Return a function that has bash complete a line."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    program = tmp_path / "bin" / "aisio"
    program.parent.mkdir()
    call = 'from aisio.cli import main; main(prog_name="aisio")'
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{call}' \"$@\"\n")
    program.chmod(0o755)
    (tmp_path / "ask").write_text(ASK)
    script = CliRunner().invoke(main, ["completion", "bash"])
    (tmp_path / "script").write_text(script.stdout)

    def complete(line: str, **variables: str) -> list[str]:
        path = f"{program.parent}{os.pathsep}{environ['PATH']}"
        env = environ | {"PATH": path} | variables
        words = ["bash", "--norc", "ask", line]
        done = subprocess.run(
            words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    return complete


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(run, shell):
    """It calls the program under its name."""
    script = run("completion", shell).stdout
    assert f"_AISIO_COMPLETE={shell}_complete" in script
    program = shutil.which(shell)
    if program and shell != "fish":
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_bash_completes_a_line(objects, bash):
    """What is behind the last colon of a word, as bash wants it."""
    assert bash("aisio l") == ["ls", "load"]
    assert bash("aisio ls ais://cli") == ["option: nospace", "//cli-data/"]
    assert bash(f"aisio ls -l {URL}/t") == [
        "option: nospace",
        *(f"//cli-data/{n}" for n in ("tr,ash", "train/")),
    ]
    assert bash(f"aisio cat {URL}/train/") == ["//cli-data/train/1", "//cli-data/train/2"]
    assert bash("aisio cat /tm") == ["option: default", ""]


@pytest.fixture
def complete(environ, monkeypatch):
    """Return a function that completes the last word as fish asks for it."""

    def complete(*words: str) -> list[str]:
        monkeypatch.setenv("_AISIO_COMPLETE", "fish_complete")
        monkeypatch.setenv("COMP_WORDS", "aisio " + " ".join(words))
        monkeypatch.setenv("COMP_CWORD", words[-1])
        done = CliRunner().invoke(main, [], prog_name="aisio")
        lines = done.stdout.split("\n")
        return [line.split("\t")[0] for line in lines if line]

    return complete


def test_buckets_and_names(complete, objects):
    """One level at a time; of a bucket's place only buckets."""
    assert complete("ls", "ais://") == [f"plain,{URL}/"]
    assert complete("rm", "-r", f"{URL}/v") == [f"plain,{URL}/val/"]
    assert complete("rb", "") == [f"plain,{URL}"]
    assert complete("rb", f"{URL}/") == []
    assert complete("mb", "x") == []
    assert complete("ls", "ai") == ["plain,ais://", "file,ai"]


def test_an_endpoint_on_the_line_is_used(complete, objects, endpoint, monkeypatch):
    """It stands before the command."""
    monkeypatch.delenv("AIS_ENDPOINT")
    assert complete("ls", "ais://") == []
    assert complete("-e", endpoint, "ls", "ais://") == [f"plain,{URL}/"]


def test_errors_are_silent(complete, monkeypatch):
    """A shell that completes a word has no place for them."""
    for url in ("ais://no-such-bucket/a", "https://host/a", "ais://@@/x", "nope://x"):
        assert complete("ls", url) == []
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:1")
    assert complete("ls", "ais://") == []
