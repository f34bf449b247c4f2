"""One node of a job: torchrun's agent."""

from __future__ import annotations

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aisio.tasks.engines.elastic_agent import (
    WholeLines,
    agent_command,
    program_environment,
    shell_exit_code,
)


def test_the_command_is_one_of_torchrun():
    """All agents of a job meet in a file, or at the first node."""
    command = agent_command(
        ["python", "train.py", "--lr", "1"],
        num_nodes=2,
        nproc_per_node=4,
        max_restarts=1,
        run_id="TRAI1-0",
        rendezvous=Path("/task/meeting"),
        log_folder=Path("/task/logs"),
    )
    text = " ".join(command[3:])
    assert text == (
        "--nnodes 2 --nproc-per-node 4 --max-restarts 1 --rdzv-backend c10d --rdzv-id TRAI1-0 "
        "--rdzv-endpoint /task/meeting --rdzv-conf store_type=file "
        "--tee 3 --log-dir /task/logs --no-python python train.py --lr 1"
    )
    other = agent_command(
        ["run"],
        num_nodes=1,
        nproc_per_node=1,
        max_restarts=0,
        run_id="i",
        rendezvous="node1:29400",
        log_folder=Path("/x"),
        is_host=False,
        address="10.0.0.1",
    )
    assert (
        "--rdzv-endpoint node1:29400 --rdzv-conf is_host=0 --local-addr 10.0.0.1 --tee"
        in " ".join(other)
    )


def test_exit_codes_are_those_of_shells():
    """A signal is 128 and its number."""
    assert [shell_exit_code(code) for code in (0, 3, -9)] == [0, 3, 137]


def test_python_is_the_one_that_runs_aisio(monkeypatch):
    """PATH is the job's, or that of this machine."""
    first = str(Path(sys.executable).parent)
    assert program_environment({"PATH": "/opt/x"})["PATH"] == f"{first}{os.pathsep}/opt/x"
    monkeypatch.setenv("PATH", "/opt/y")
    assert program_environment({})["PATH"] == f"{first}{os.pathsep}/opt/y"


def test_lines_of_several_processes_do_not_mix() -> None:
    """A thread copies the part of a line that is there, and the rest with the prefix again."""
    out = io.StringIO()
    lines = WholeLines(out)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for pool, text in (
            (first, "[0] loss"),
            (second, "[1] los"),
            (first, "[0] 0.5\n"),
            (second, "[1] s 0.7\n"),
            (second, "[1] [1] is the user's\n"),
            (first, "[0] no end"),
        ):
            assert pool.submit(lines.write, text).result() == len(text)
    lines.flush_rest()
    assert out.getvalue().splitlines() == [
        "[0] loss0.5",
        "[1] loss 0.7",
        "[1] [1] is the user's",
        "[0] no end",
    ]
