"""A Slurm that is a folder of programs: they answer as those of Slurm 22.05 did, and note how.

The texts were recorded from slurm-wlm 22.05.8 on a cluster of two nodes, without accounting.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

UNKNOWN_JOB = "slurm_load_jobs error: Invalid job id specified"
NO_CONTROLLER = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
NO_CONTROLLER_TO_CANCEL = (
    "scancel: error: Kill job error on job id 12: Unable to contact slurm controller "
    "(connect failure)"
)
NO_ACCOUNTING = "Slurm accounting storage is disabled"
NO_PARTITION = """sbatch: error: invalid partition specified: nope
sbatch: error: Batch job submission failed: Invalid partition name specified"""

_PROGRAM = """#!{python}
import json, os, sys
name = os.path.basename(sys.argv[0])
with open({calls!r}, "a") as calls:
    json.dump([name, *sys.argv[1:]], calls)
    calls.write("\\n")
with open({environment!r}, "w") as environment:
    json.dump(dict(os.environ), environment)
with open({answers!r}) as file:
    answers = json.load(file)
code, output, errors, then = answers[name]
with open({answers!r}, "w") as file:
    json.dump(answers | then, file)
print(output, end="")
print(errors, end="", file=sys.stderr)
sys.exit(code)
"""


_Answer = tuple[int, str, str, dict[str, Any]]  # exit code, output, errors, what follows


class FakeSlurm:
    """Programs that answer what they are told to.

    Args:
        folder: An empty folder, which is to be on PATH.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._state = folder.with_name(f"{folder.name}-state")
        self._state.mkdir()
        self._answers: dict[str, _Answer] = {}
        program = _PROGRAM.format(
            python=sys.executable,
            calls=str(self._state / "calls"),
            environment=str(self._state / "environment"),
            answers=str(self._state / "answers"),
        )
        for name in ("sbatch", "srun", "squeue", "sacct", "scancel", "scontrol"):
            (folder / name).write_text(program)
            (folder / name).chmod(0o755)
        self.answer("sacct", errors=NO_ACCOUNTING, code=1)
        self.answer("scontrol", "ClusterName             = try\n")
        self.answer("scancel")
        self.answer("sbatch", "Submitted batch job 12\n")

    def answer(self, program: str, output: str = "", errors: str = "", code: int = 0) -> None:
        """Have a program answer this from now on."""
        self._set(program, (code, output, errors, {}))

    def has_job(self, task_folder: Path, state: str, reason: str = "None") -> None:
        """Have the controller know the job of a task."""
        self.answer("squeue", _job_line(task_folder, state, reason))

    def on_cancel(self, task_folder: Path) -> None:
        """Have the job of a task be cancelled when `scancel` is called, and not before."""
        cancelled: _Answer = (0, _job_line(task_folder, "CANCELLED", "None"), "", {})
        self._set("scancel", (0, "", "", {"squeue": cancelled}))

    def _set(self, program: str, answer: _Answer) -> None:
        self._answers[program] = answer
        (self._state / "answers").write_text(json.dumps(self._answers))

    def calls(self, program: str) -> list[list[str]]:
        """Return the arguments of all calls of a program."""
        calls = self._state / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [call[1:] for call in map(json.loads, lines) if call[0] == program]

    def environment(self) -> dict[str, str]:
        """Return the environment of the last call."""
        content: dict[str, str] = json.loads((self._state / "environment").read_text())
        return content


def _job_line(task_folder: Path, state: str, reason: str) -> str:
    script = task_folder / "submitit" / ".submission_file_96a6.sh"
    return f"{state}|{reason}|{script}\n"
