"""SlurmEngine on a real Slurm cluster: AISIO_TEST_SLURM=1 make torch.

One machine is enough, with Debian's slurm-wlm and munge (22.05 was tried). /etc/slurm/slurm.conf:

    ClusterName=try
    SlurmctldHost=NAME(127.0.0.1)
    SlurmUser=root
    StateSaveLocation=/var/lib/slurm/slurmctld
    SlurmdSpoolDir=/var/lib/slurm/slurmd
    SlurmdParameters=config_overrides
    ProctrackType=proctrack/linuxproc
    SelectType=select/cons_tres
    SelectTypeParameters=CR_CPU
    ReturnToService=2
    NodeName=NAME NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
    PartitionName=main Nodes=NAME Default=YES MaxTime=INFINITE State=UP

where NAME is what `hostname` prints. Then start munged (as the user munge), slurmctld and slurmd.
All nodes must see pytest's --basetemp.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="needs submitit")
pytest.importorskip("torch", reason="needs torch")

from aisio.tasks.engines.base import Status
from aisio.tasks.engines.processes import find_processes
from aisio.tasks.engines.slurm import SlurmEngine
from aisio.tasks.states import TaskState
from tests.tasks.engines.programs import WAITS, finish, python_job, wait_for

# Not wherever a cluster answers: it may be one that others pay for.
if not os.environ.get("AISIO_TEST_SLURM"):
    pytest.skip("AISIO_TEST_SLURM is not set", allow_module_level=True)

PLACE = """
import json, os, sys
place = [os.environ[name] for name in ("RANK", "WORLD_SIZE", "DSET1", "SLURM_JOB_NAME")]
print(json.dumps([*place, *sys.argv[1:]]), flush=True)
raise SystemExit(int(os.environ["RANK"]) * 5)
"""
TEXTS = ("a b", "$HOME", "'q'", '"d"', "new\nline", "ünï ☃", "%j", "`x`", "*")


def job_id(folder: Path) -> str:
    """Return the ID of the job of a task."""
    return str(json.loads((folder / "task/handle.json").read_text())["job_id"])


def slurm_state(folder: Path) -> str:
    """Return what the controller says of the job of a task."""
    command = ["squeue", "--noheader", "--states=all", f"--jobs={job_id(folder)}", "--format=%T"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_arguments_variables_and_the_exit_code_pass_unharmed(tmp_path):
    """Slurm knows the exit code as well."""
    env = {"DSET1": "x y,$z\n'\""}
    job = python_job(tmp_path, PLACE, *TEXTS, nproc_per_node=2, env=env)
    engine = SlurmEngine(timeout_min=5)
    status, lines = finish(engine, engine.start(job))
    assert status == Status(TaskState.FAIL, 5, "exit code 5"), lines
    printed = [json.loads(line[4:]) for line in lines if line[:6] in ('[0] ["', '[1] ["')]
    assert sorted(printed) == [[rank, "2", env["DSET1"], "TRAI1", *TEXTS] for rank in "01"]
    assert slurm_state(tmp_path) in ("FAILED", "COMPLETING")


def test_a_task_that_succeeds(tmp_path):
    """What watches the processes is not ended together with them."""
    engine = SlurmEngine(timeout_min=5)
    status, lines = finish(engine, engine.start(python_job(tmp_path, "print('done')")))
    assert status == Status(TaskState.SUCCESS, 0), lines
    assert "[0] done" in lines


def test_a_job_that_is_held_is_aborted(tmp_path):
    """Until then its state says why it waits."""
    engine = SlurmEngine(timeout_min=5, slurm_additional_parameters={"hold": True})
    handle = engine.start(python_job(tmp_path, WAITS))
    assert engine.poll(handle) == Status(TaskState.CREATED, None, "waits in Slurm: JobHeldUser")
    assert engine.abort(handle) == Status(TaskState.ABORT, None, "aborted")
    assert slurm_state(tmp_path) == "CANCELLED"


def test_a_job_that_runs_is_aborted(tmp_path):
    """No process of it is left."""
    engine = SlurmEngine(timeout_min=5)
    handle = engine.start(python_job(tmp_path, WAITS))
    wait_for(engine.follow(handle), "[0] started")
    assert engine.abort(handle) == Status(TaskState.ABORT, None, "aborted")
    mark = json.loads((tmp_path / "task/handle.json").read_text())["mark"]
    assert find_processes(f"{mark}-0") == []


def test_a_job_that_somebody_cancels(tmp_path):
    """As by scancel."""
    engine = SlurmEngine(timeout_min=5)
    handle = engine.start(python_job(tmp_path, WAITS))
    wait_for(engine.follow(handle), "[0] started")
    subprocess.run(["scancel", job_id(tmp_path)], check=True)
    assert finish(engine, handle)[0] == Status(TaskState.ABORT, None, "cancelled in Slurm")


def test_two_nodes(tmp_path):
    """The failure of one ends the other, and is the one that is reported."""
    command = ["sinfo", "--noheader", "--Node", "--states=idle,mixed", "--format=%N"]
    nodes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if len(set(nodes)) < 2:
        pytest.skip("the cluster has one node")
    code = "import os, time\nif os.environ['RANK'] == '1': raise SystemExit(7)\ntime.sleep(600)"
    engine = SlurmEngine(timeout_min=5)
    handle = engine.start(python_job(tmp_path, code, num_nodes=2))
    assert finish(engine, handle)[0] == Status(TaskState.FAIL, 7, "exit code 7")
