"""Programs that run in the interpreter that has anylearn 0.15.5, as its users write them.

It is proprietary, and needs old versions of packages, so it is in an environment of its own: the
variable AISIO_TEST_ANYLEARN_PYTHON names its interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "AISIO_TEST_ANYLEARN_PYTHON"

TRAIN = """
import json, sys
from anylearn import init_sdk, quick_train

given = json.loads(sys.argv[1])
init_sdk(*given["login"], disable_git=given["disable_git"])
task, algorithm, datasets, project = quick_train(**given["arguments"])
while not task.finished():
    task.get_detail()
task.get_detail()
print("RESULT", json.dumps({
    "task": vars(task), "algorithm": vars(algorithm), "project": vars(project),
    "datasets": [vars(dataset) for dataset in datasets],
    "log": task.get_full_log(), "last_log": task.get_last_log(), "status": task.get_status(),
    "stream": list(task.stream_log()), "final_metric": task.get_final_metric(),
    "metrics": task.get_intermediate_metric(),
}, default=str))
"""

RESULTS = """
import json, os, sys
from anylearn import init_sdk
from anylearn.applications.quickstart import resume_unfinished_local_train_tasks
from anylearn.interfaces import Project, QuotaGroup, TrainTask
from anylearn.interfaces.resource.resource_downloader import SyncResourceDownloader

given = json.loads(sys.argv[1])
init_sdk(*given["login"], disable_git=True)
resumed = resume_unfinished_local_train_tasks()
task = TrainTask(id=given["task"], load_detail=True)
os.makedirs(given["folder"])
task.download_results(given["folder"], async_download=False, downloader=SyncResourceDownloader())
model = task.transform_model(file_path=given["file"], name="weights", polling=1)
task.report_final_metric(0.75)
project = Project(name="made", description="by anylearn")
project.save()
print("RESULT", json.dumps({
    "resumed": [vars(one) for one in resumed],
    "results": vars(task.get_results_file()), "model": vars(model),
    "final_metric": task.get_final_metric(), "project": vars(project),
    "projects": [vars(one) for one in Project.get_list()],
    "quota_groups": [vars(one) for one in QuotaGroup.get_list()],
}, default=str))
"""


def run_anylearn(program: str, home: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Run a program with anylearn; return what it prints behind RESULT.

    Args:
        program: The program.
        home: The user's home folder, where anylearn keeps its records; also the working directory.
        given: What the program reads.
    """
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} names no interpreter that has anylearn 0.15.5")
    names = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], **dict.fromkeys(names, "ada")}
    done = subprocess.run(
        [python, "-c", program, json.dumps(given)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    # Of an error its last line: a traceback would show anylearn's source.
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]
    result: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return result
