"""One node of a job: torchrun's agent, which starts the node's processes and watches them.

It is torchrun itself but for its exit code, which here is that of the process that failed first.
"""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

from aisio.config import environment_with, first_set

__all__ = ["WholeLines", "agent_command", "main", "program_environment", "shell_exit_code"]

# What torchrun puts before each line that a process prints.
_PREFIX = {"TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE": "[${rank}] "}
_PREFIX_TEXT = re.compile(r"\[\d+\] ")


def agent_command(
    argv: Sequence[str],
    *,
    num_nodes: int,
    nproc_per_node: int,
    max_restarts: int,
    run_id: str,
    rendezvous: Path | str,
    log_folder: Path,
    is_host: bool = True,
    address: str | None = None,
) -> list[str]:
    """Return the command that runs a program on one node.

    Args:
        argv: The program and its arguments; it need not be Python.
        num_nodes: Number of nodes, each with an agent of its own.
        nproc_per_node: Number of processes that this agent starts.
        max_restarts: How often all processes are started again after one failed.
        run_id: What the agents of this job, and no others, have in common.
        rendezvous: Where they meet: a file that all can write, or "host:port" of the first node.
        log_folder: What each process prints is written there as well.
        is_host: Whether the agents meet at this one, where they do not meet in a file. torchrun
            would guess it from the names of this machine, which need not be known to it.
        address: Address of this machine; by default the one that its name stands for.
    """
    meeting = ["--rdzv-endpoint", str(rendezvous)]
    if isinstance(rendezvous, Path):
        meeting += ["--rdzv-conf", "store_type=file"]
    else:
        meeting += ["--rdzv-conf", f"is_host={int(is_host)}"]
    return [
        *(sys.executable, "-m", "aisio.tasks.engines.elastic_agent"),
        *("--nnodes", str(num_nodes), "--nproc-per-node", str(nproc_per_node)),
        *("--max-restarts", str(max_restarts)),
        *("--rdzv-backend", "c10d", "--rdzv-id", run_id, *meeting),
        *(("--local-addr", address) if address else ()),
        *("--tee", "3", "--log-dir", str(log_folder)),
        "--no-python",
        *argv,
    ]


def program_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that an agent or a program starts in on this machine.

    PATH begins with the folder of this Python, so that `python` is this one.

    Args:
        env: Variables in addition to those of this process.
    """
    path = env.get("PATH") or first_set("PATH") or os.defpath
    first = str(Path(sys.executable).parent)
    return environment_with({**env, **_PREFIX, "PATH": os.pathsep.join((first, path))})


def shell_exit_code(code: int) -> int:
    """Return an exit code as shells have it: 128 + n for what signal n ended."""
    return code if code >= 0 else 128 - code


class WholeLines(io.TextIOBase):
    """A text file that several threads write to, each its own lines, which do not mix.

    A thread of torchrun copies what one process prints, line by line. While the process has not
    ended its line, the thread copies the part that is there, and the rest with the prefix again.

    Args:
        out: Gets the lines; one without its end is written by `flush_rest`.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._begun: dict[int, str] = {}

    def write(self, text: str) -> int:
        """Write the lines of this thread that are whole now."""
        size, thread = len(text), threading.get_ident()
        with self._lock:
            begun = self._begun.pop(thread, "")
            if begun:
                prefix = _PREFIX_TEXT.match(begun)
                text = begun + text.removeprefix(prefix[0] if prefix else "")
            end = text.rfind("\n") + 1
            if end < len(text):
                self._begun[thread] = text[end:]
            self._out.write(text[:end])
            self._out.flush()
        return size

    def fileno(self) -> int:
        """Return the descriptor of the file below."""
        return self._out.fileno()

    def flush_rest(self) -> None:
        """Write the lines that never got their end, each with one."""
        with self._lock:
            for text in self._begun.values():
                self._out.write(f"{text}\n")
            self._begun.clear()
            self._out.flush()


def main(arguments: Sequence[str]) -> int:
    """Run the agent; return the exit code of the process that failed first, or 0."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from aisio.tasks.engines.processes import die_with_parent

    die_with_parent()
    lines = WholeLines(sys.stdout)
    try:
        with redirect_stdout(lines), redirect_stderr(lines):
            run.run(run.parse_args(list(arguments)))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = shell_exit_code(failure.exitcode)
        print(f"aisio: rank {rank} ended with exit code {code}", flush=True)
        return code
    except SignalException as error:
        return 128 + error.sigval
    except FileNotFoundError as error:
        print(f"aisio: {error.filename}: not found", flush=True)
        return 127
    except PermissionError as error:
        print(f"aisio: {error.filename}: cannot be executed", flush=True)
        return 126
    finally:
        lines.flush_rest()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
