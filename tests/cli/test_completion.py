"""Completion: in a real bash, zsh and fish where there is one, and by what they ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial

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


ASK_ZSH = """
compdef() { : }
compadd() { print -r -- "compadd $@"; print -rl -- ${(P)@[-1]} }
_describe() { print -r -- "_describe $@"; print -rl -- ${(P)@[3]} }
_path_files() { print -r -- "_path_files $@" }
source ./script
line=$1
words=("${(@z)line}")
[[ $line == *" " ]] && words+=("")
CURRENT=$#words
_aisio_completion
"""
"""As zsh's own completion calls the function, with what it would do to the line printed."""

ASK_FISH = """
function __fish_complete_path; echo "path $argv"; end
source ./script
complete -C $argv[1]
"""


@pytest.fixture
def objects(bucket):
    """Put a few objects and return their bucket."""
    for name in ("train/1", "train/2", "tr,ash", "val/a b", "val/c", "val/d:e,f", "val/new\nline"):
        bucket.object(name).put(b"")
    return bucket


@pytest.fixture
def complete_in(environ, tmp_path):
    """Return a function that has a real shell complete a line, and returns what it is told."""
    program = tmp_path / "bin" / "aisio"
    program.parent.mkdir()
    call = 'from aisio.cli import main; main(prog_name="aisio")'
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{call}' \"$@\"\n")
    program.chmod(0o755)
    shells = {
        "bash": (["bash", "--norc"], ASK),
        "zsh": (["zsh", "-f"], ASK_ZSH),
        "fish": (["fish", "-N"], ASK_FISH),
    }

    def complete(shell: str, line: str) -> list[str]:
        words, ask = shells[shell]
        if shutil.which(shell) is None:
            pytest.skip(f"there is no {shell}")
        (tmp_path / "ask").write_text(ask)
        (tmp_path / "script").write_text(CliRunner().invoke(main, ["completion", shell]).stdout)
        done = subprocess.run(
            [*words, "ask", line],
            cwd=tmp_path,
            env=environ | {"PATH": f"{program.parent}{os.pathsep}{environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    return complete


@pytest.fixture
def bash(complete_in):
    """Return a function that has bash complete a line."""
    return partial(complete_in, "bash")


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


def test_bash_completes_inside_quotation_marks(bucket, bash):
    """What it inserts there is read literally, but for a few signs."""
    for name in ("q/a b", "q/it's $5"):
        bucket.object(name).put(b"")
    assert bash(f"aisio cat '{URL}/q/a") == [f"{URL}/q/a b"]
    assert bash(f"aisio cat '{URL}/q/a ") == [f"{URL}/q/a b"]
    assert bash(f'aisio cat "{URL}/q/a') == [f"{URL}/q/a b"]
    assert bash(f"aisio cat '{URL}/q/i") == [rf"{URL}/q/it'\''s $5"]
    assert bash(f'aisio cat "{URL}/q/i') == [rf"{URL}/q/it's \$5"]
    assert bash(rf"aisio cat {URL}/q/a\ ") == [r"//cli-data/q/a\ b"]
    assert bash(f"aisio cat 'x' {URL}/q/a") == [r"//cli-data/q/a\ b"]
    assert bash(rf"aisio cat x\' {URL}/q/a") == [r"//cli-data/q/a\ b"]


def test_zsh_completes_a_line(objects, complete_in):
    """Whole words with their colons and commas, and behind a folder no space."""
    zsh = partial(complete_in, "zsh")
    names, folders = "compadd -U -V unsorted -a names", "compadd -U -V unsorted -S  -a folders"
    assert zsh("aisio ls ais://cli") == [folders, f"{URL}/"]
    assert zsh(f"aisio ls {URL}/t") == [folders, f"{URL}/train/", names, f"{URL}/tr,ash"]
    assert zsh(f"aisio ls {URL}/val/d:") == [names, f"{URL}/val/d:e,f"]
    assert zsh("aisio ls --lon")[1:] == ["--long:Size, checksum and version as well."]
    assert zsh("aisio cat ") == ["_path_files "]


def test_fish_completes_a_line(objects, complete_in):
    """The same."""
    fish = partial(complete_in, "fish")
    assert fish("aisio ls ais://cli") == [f"{URL}/"]
    assert fish(f"aisio ls {URL}/t") == [f"{URL}/tr,ash", f"{URL}/train/"]
    assert fish(f"aisio ls {URL}/val/d:") == [f"{URL}/val/d:e,f"]
    assert fish("aisio ls --lon") == ["--long\tSize, checksum and version as well."]
    assert fish("aisio cat /tm") == ["path /tm"]


def test_a_name_with_a_line_break_is_left_out(objects, complete):
    """Shells read a completion a line, and would take it for two."""
    names = ("a b", "c", "d:e,f")
    assert complete("ls", f"{URL}/val/") == [f"plain,{URL}/val/{name}" for name in names]


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
    """Before the command or behind it."""
    monkeypatch.delenv("AIS_ENDPOINT")
    assert complete("ls", "ais://") == []
    assert complete("-e", endpoint, "ls", "ais://") == [f"plain,{URL}/"]
    assert complete("ls", "--endpoint", endpoint, "ais://") == [f"plain,{URL}/"]
    assert complete("rb", "-e", endpoint, "ais://") == [f"plain,{URL}"]


def test_errors_are_silent(complete, monkeypatch):
    """A shell that completes a word has no place for them."""
    for url in ("ais://no-such-bucket/a", "https://host/a", "ais://@@/x", "nope://x"):
        assert complete("ls", url) == []
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:1")
    assert complete("ls", "ais://") == []
