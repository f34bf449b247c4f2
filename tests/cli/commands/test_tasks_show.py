"""`aisio tasks ls`, `show` and `abort`."""

from __future__ import annotations

import json
import os

FIELDS = """
    id name state exit_code message entrypoint hyperparams output description num_nodes
    nproc_per_node max_restarts engine project_id algorithm_id algorithm_version files results_id
    final_metric create_time finish_time
"""


def test_tasks_are_listed(run, run_task):
    """Oldest first, those in a state, or of a project."""
    good = run_task("print('x')", "--project-name", "p")
    bad = run_task("raise SystemExit(3)")
    lines = [line.split("\t") for line in run("tasks", "ls").stdout.splitlines()]
    assert [(line[0], line[1], line[4]) for line in lines] == [
        (good, "SUCCESS", "python train.py"),
        (bad, "FAIL", "python train.py"),
    ]
    assert run("tasks", "ls", "--state", "fail").stdout.split("\t")[0] == bad
    assert run("tasks", "ls", "--project-name", "p").stdout.split("\t")[0] == good
    shown = [json.loads(line) for line in run("tasks", "ls", "--json").stdout.splitlines()]
    assert [(one["id"], list(one)) for one in shown] == [
        (good, FIELDS.split()),
        (bad, FIELDS.split()),
    ]


def test_a_task_that_cannot_be_asked_about_is_listed_all_the_same(run, run_task, tasks_home):
    """As it was last seen, with a warning."""
    import sqlite3
    from contextlib import closing

    task_id = run_task("print('x')")
    with closing(sqlite3.connect(tasks_home / "service.db")) as db, db:
        db.execute("UPDATE train_tasks SET state = 1, handle = 'damaged'")
    done = run("tasks", "ls")
    assert done.stdout.split("\t")[:2] == [task_id, "RUNNING"]
    assert f"warning: task {task_id} is shown as it was last seen" in done.stderr
    assert run("tasks", "show", task_id).exit_code == 1
    with closing(sqlite3.connect(tasks_home / "service.db")) as db, db:
        db.execute("UPDATE train_tasks SET state = 2")


def test_there_are_no_tasks(run, tasks_home):
    """Which is no error; a project that does not exist is one."""
    assert (run("tasks", "ls").exit_code, run("tasks", "ls").stdout) == (0, "")
    done = run("tasks", "ls", "--project-name", "none")
    assert done.exit_code == 1
    assert "there is no project 'none'" in done.stderr


def test_a_task_is_described(run, run_task):
    """In lines, or as JSON."""
    task_id = run_task("print('x')", "--hyperparam", "lr=0.1", "--description", "a\tb")
    lines = [line.partition(" ")[::2] for line in run("tasks", "show", task_id).stdout.splitlines()]
    assert [name for name, _ in lines] == FIELDS.split()
    shown = {name: text.strip() for name, text in lines}
    assert (shown["id"], shown["hyperparams"]) == (task_id, '{"lr": "0.1"}')
    assert (shown["output"], shown["description"]) == ("-", "a\\tb")
    shown = json.loads(run("tasks", "show", "--json", task_id).stdout)
    assert (shown["hyperparams"], shown["files"]) == ({"lr": "0.1"}, [])


def test_a_task_is_aborted(run, tasks_home, tmp_path):
    """And stays ABORT when it is aborted again."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "code" / "train.py").write_text("import sys\nopen(sys.argv[1]).read()\n")
    words = ("--algorithm-dir", tmp_path / "code", "--disable-git", "python", "train.py", pipe)
    task_id = run("tasks", "run", *words).stdout.strip()
    assert run("tasks", "abort", task_id).stdout == "ABORT\n"
    shown = json.loads(run("tasks", "abort", "--json", task_id).stdout)
    assert (shown["id"], shown["state"]) == (task_id, "ABORT")


def test_an_id_that_does_not_exist_is_one_line(run, tasks_home):
    """With status 1, for every command that takes one."""
    for command in ("show", "abort", "logs", "metrics", "results"):
        done = run("tasks", command, "TRAInone")
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr == "aisio: error: there is no train task 'TRAInone'\n"


def test_why_a_task_has_not_finished_is_noted(run, run_task, tasks_home):
    """As that it runs on another machine."""
    import sqlite3
    from contextlib import closing

    task_id = run_task("print('x')")
    folder = tasks_home / "tasks" / task_id
    (folder / "result.json").unlink()
    handle = json.loads((folder / "handle.json").read_text())
    away = {"host": "elsewhere", "boot_id": "another-machine"}
    (folder / "handle.json").write_text(json.dumps(handle | away))
    with closing(sqlite3.connect(tasks_home / "service.db")) as db, db:
        db.execute("UPDATE train_tasks SET state = 1, finish_time = NULL")
    assert f"note: task {task_id}: runs on elsewhere" in run("tasks", "ls").stderr
    assert "elsewhere" not in run("tasks", "ls", "--json").stderr
    with closing(sqlite3.connect(tasks_home / "service.db")) as db, db:
        db.execute("UPDATE train_tasks SET state = 2")
