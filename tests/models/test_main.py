"""`python -m aisio.models`: a program that runs beside a model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aisio import ConfigError, MemoryOptions
from tests.models.models import Case

ROOT = Path(__file__).parents[2]
WAITING = "import os, signal; print(os.getpid(), flush=True); signal.pause()"


def start(case: Case, *program: str) -> subprocess.Popen[str]:
    """Run a program beside the model; all of its files are small."""
    command = [sys.executable, "-m", "aisio.models", "--url", f"file://{case.source}"]
    command += ["--dir", str(case.path), "--ignore", "*.bin", *program]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def test_options_behind_the_program_are_its_own(case: Case) -> None:
    """Also those that look like ours."""
    code = "import sys; print(sys.argv[1:])"
    with start(case, sys.executable, "-c", code, "--url", "x", "--", "-h") as process:
        output, errors = process.communicate()
    assert (process.returncode, output) == (0, "['--url', 'x', '--', '-h']\n"), errors
    assert not case.path.exists()


def test_what_cannot_run_is_told_in_one_line(case: Case) -> None:
    """A program that is not there, a model that is not there."""
    with start(case, "no-such-program") as process:
        assert process.communicate() == ("", "no-such-program: no such program\n")
    assert process.returncode == 127
    missing = case._replace(source=case.source / "absent")
    with start(missing, "true") as process:
        assert "there is no folder" in process.communicate()[1]
    assert process.returncode == 1
    assert not case.path.exists()


def test_a_signal_goes_to_the_program(case: Case) -> None:
    """Then the folder is emptied; the status says which signal it was."""
    with start(case, sys.executable, "-c", WAITING) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert (case.path / "config.json").exists()
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not case.path.exists()


def test_a_program_keeps_the_folder_if_its_runner_is_killed(case: Case) -> None:
    """Until it has ended."""
    with start(case, sys.executable, "-c", WAITING) as process:
        assert process.stdout is not None
        program = int(process.stdout.readline())
        process.kill()
        process.wait()
        with pytest.raises(ConfigError, match="other processes use it"):
            case.directory().prepare()
        os.kill(program, signal.SIGKILL)
        process.stdout.read()  # it ends with the program
    # With the runner's own memory, of which it removes what the program has left.
    with case.directory(memory=MemoryOptions()):
        opened = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.exists()]
        [memory] = [path for path in opened if path.name.startswith("aisio-model-owned-")]
    assert not case.path.exists()
    assert not memory.exists()
