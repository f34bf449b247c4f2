"""`aisio tasks run`."""

from __future__ import annotations

import json
import os
import signal

import pytest

from aisio.cli.commands.tasks_run import exit_status
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.states import TaskState

RUN = ("tasks", "run", "--disable-git")
WAITS = "import sys\nprint('begun', flush=True)\nopen(sys.argv[1]).read()\nprint('done')\n"
"""Ends when a pipe is written to."""


def test_the_command_gets_hyperparameters_and_data(run, tasks_home, files, tmp_path):
    """And what follows it is the command's, as in torchrun; values are quoted for no shell."""
    program = tmp_path / "code" / "train.py"
    program.write_text("import os, sys\nprint(sys.argv[1:-1], os.listdir(sys.argv[-1]))\n")
    data = files({"one.bin": b"1"}, "data")
    options = ("--hyperparam", "lr=0.1; a b", "--hyperparam", "flag=", "--dataset-dir", data)
    words = ("--wait", "--algorithm-dir", tmp_path / "code", *options)
    done = run(*RUN, *words, "python", "train.py", "--wait", "$HOME 'x'")
    assert done.exit_code == 0, done.stderr
    arguments = ["--wait", "$HOME 'x'", "--lr", "0.1; a b", "--flag", "--dataset"]
    assert done.stdout == f"{arguments} ['one.bin']\n"


def test_it_prints_the_id_of_a_task(run, tasks_home, tmp_path, monkeypatch):
    """The code is the current directory by default."""
    monkeypatch.chdir(tmp_path / "code")
    task_id = run(*RUN, "python", "train.py").stdout.strip()
    assert run("tasks", "logs", "-f", task_id).stdout == "trained\n"
    assert json.loads(run("tasks", "show", "--json", task_id).stdout)["state"] == "SUCCESS"


def test_numbers_of_processes_reach_the_task(run, tasks_home, tmp_path):
    """And so do its restarts."""
    numbers = {"num_nodes": 1, "nproc_per_node": 2, "max_restarts": 3}
    options = [word for name, number in numbers.items() for word in (_option(name), number)]
    words = ("--json", "--algorithm-dir", tmp_path / "code", *options)
    shown = json.loads(run(*RUN, *words, "python", "train.py").stdout)
    run("tasks", "abort", shown["id"])
    assert {name: shown[name] for name in numbers} == numbers


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def test_run_wait_ends_with_the_exit_code_of_the_task(run, tasks_home, tmp_path):
    """Stderr says what has happened."""
    (tmp_path / "code" / "train.py").write_text("raise SystemExit(3)\n")
    done = run(*RUN, "--wait", "--algorithm-dir", tmp_path / "code", "python", "train.py")
    assert (done.exit_code, done.stdout) == (3, "")
    assert ": FAIL" in done.stderr
    words = ("--wait", "--json", "--algorithm-dir", tmp_path / "code", "python", "train.py")
    done = run(*RUN, *words)
    shown = json.loads(done.stdout)
    assert (done.exit_code, shown["state"], shown["exit_code"]) == (3, "FAIL", 3)


@pytest.mark.parametrize(
    ("state", "exit_code", "status"),
    [
        (TaskState.SUCCESS, 0, 0),
        (TaskState.FAIL, 137, 137),
        (TaskState.FAIL, None, 1),
        (TaskState.FAIL, 256, 1),
        (TaskState.ABORT, None, 1),
        (TaskState.ABORT, 0, 1),
    ],
)
def test_the_exit_status_of_a_task(state, exit_code, status):
    """Is 0 after success alone."""
    row = TrainTaskRow("TRAI1", "t", "PROJ1", "ALGO1", "ada", state=state, exit_code=exit_code)
    assert exit_status(row) == status


@pytest.mark.parametrize("command", ["run", "run --json", "logs"])
def test_ctrl_c_leaves_the_task_running(command, tasks_home, start, run, tmp_path):
    """And says so. Ctrl-C reaches all processes of the terminal's group, as here."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "code" / "train.py").write_text(WAITS)
    words = (*RUN, "--algorithm-dir", tmp_path / "code")
    if command == "logs":
        task_id = run(*words, "python", "train.py", pipe).stdout.strip()
        program = start("tasks", "logs", "-f", task_id, start_new_session=True)
    else:
        more = command.split()[1:]
        command_line = (*words, "--wait", *more, "python", "train.py", pipe)
        program = start(*command_line, start_new_session=True)
        task_id = program.stderr.readline().decode().split()[2]
    if "--json" not in command:
        assert program.stdout.readline() == b"begun\n"
    os.killpg(program.pid, signal.SIGINT)
    errors = program.stderr.read().decode()
    assert program.wait() == 130, errors
    assert f"task {task_id} runs on: 'aisio tasks logs -f {task_id}' shows it" in errors
    assert "Traceback" not in errors
    pipe.write_text("go")
    assert run("tasks", "logs", "-f", task_id).stdout == "begun\ndone\n"
    assert json.loads(run("tasks", "show", "--json", task_id).stdout)["state"] == "SUCCESS"


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        (("--hyperparam", "lr", "python"), "'lr': expected NAME=VALUE"),
        (("--hyperparam", "=1", "python"), "expected NAME=VALUE"),
        (("--hyperparam", "a=1", "--hyperparam", "a=2", "python"), "'a' is given twice"),
        (("--algorithm-id", "x", "--algorithm-dir", ".", "python"), "exclude each other"),
        (("--engine", "moon", "python"), "'moon' is not one of"),
        (("--nproc-per-node", "0", "python"), "0 is not in the range"),
        ((), "Missing argument"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, trouble, run, tasks_home):
    """With status 2, and no task."""
    done = run(*RUN, *words)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert trouble in done.stderr
    assert run("tasks", "ls").stdout == ""


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        (("--dataset-id", "DSETnone"), "there is no resource 'DSETnone'"),
        (("--dataset-id", "team/none"), "team/none"),
        (("--pretrain-task-id", "TRAInone"), "there is no train task 'TRAInone'"),
        (("--output", "../out"), "Invalid output path"),
    ],
)
def test_what_does_not_exist_is_one_line(words, trouble, run, tasks_home, tmp_path):
    """With status 1."""
    done = run(*RUN, "--algorithm-dir", tmp_path / "code", *words, "python", "train.py")
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert trouble in done.stderr


def test_the_program_reads_a_source_of_the_catalog(run, tasks_home, files, tmp_path, monkeypatch):
    """By its name, which is passed as it is."""
    data = files({"a.bin": b"1", "b.bin": b"22"}, "data")
    entry = f"- tag: train\n  prefix: file://{data}/\n  owner: Toys <toys@example.com>\n"
    catalog = files({"toys.yaml": entry.encode()}, "catalog")
    monkeypatch.setenv("AISIO_CATALOG", str(catalog))
    (tmp_path / "code" / "train.py").write_text(
        "import sys, aisio\nprint(len(list(aisio.source(sys.argv[-1]).list())), sys.argv[-1])\n"
    )
    words = ("--wait", "--algorithm-dir", tmp_path / "code", "--dataset-id", "toys/train")
    done = run(*RUN, *words, "python", "train.py")
    assert (done.exit_code, done.stdout) == (0, "2 toys/train\n"), done.stderr
