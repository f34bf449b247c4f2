"""`aisio tasks logs`, `metrics` and `results`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

REPORTS = """
from aisio.tasks import report_final_metric, report_intermediate_metric
for step in range(3):
    report_intermediate_metric(1 / (step + 1), name="loss", step=step)
report_intermediate_metric(float("nan"), name="odd")
report_final_metric(0.5)
"""
WRITES = "import pathlib\npathlib.Path('out').mkdir()\npathlib.Path('out/w').write_bytes(b'123')\n"


def test_logs_are_shown(run, run_task):
    """All of them, or the last ones; control characters are escaped."""
    task_id = run_task(r"print('one\ntwo\nthree \x1b[2J')")
    assert run("tasks", "logs", task_id).stdout == "one\ntwo\nthree \\x1b[2J\n"
    assert run("tasks", "logs", "-f", task_id).stdout == "one\ntwo\nthree \\x1b[2J\n"
    assert run("tasks", "logs", "--last", "2", task_id).stdout.splitlines()[0] == "two"
    lines = run("tasks", "logs", "--json", task_id).stdout.splitlines()
    assert [json.loads(line) for line in lines][2] == {"line": "three \x1b[2J"}
    assert run("tasks", "logs", "-f", "--last", "1", task_id).exit_code == 2


def test_metrics_are_shown(run, run_task, tmp_path):
    """By name, or only results; as lines, JSON or a picture."""
    task_id = run_task(REPORTS)
    lines = [line.split("\t")[1:] for line in run("tasks", "metrics", task_id).stdout.splitlines()]
    assert lines[0] == ["loss", "0", "1.0"]
    assert lines[3:] == [["odd", "-", "nan"], ["metric", "-", "0.5", "final"]]
    shown = run("tasks", "metrics", "--json", "--name", "odd", task_id).stdout
    assert list(json.loads(shown)) == ["name", "value", "step", "rank", "final", "time"]
    assert json.loads(shown)["value"] == "nan"
    assert run("tasks", "metrics", "--final", task_id).stdout.endswith("0.5\tfinal\n")
    done = run("tasks", "metrics", "--name", "none", task_id)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "has reported no metric 'none'" in done.stderr


def test_metrics_are_drawn(run, run_task, tmp_path):
    """Into a file; nothing is printed then. Another kind of file is refused."""
    pytest.importorskip("matplotlib")
    task_id = run_task(REPORTS)
    done = run("tasks", "metrics", task_id, "--plot", tmp_path / "curve.svg")
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    assert "<svg" in (tmp_path / "curve.svg").read_text()
    done = run("tasks", "metrics", task_id, "--plot", tmp_path / "curve.gif")
    assert done.exit_code == 1
    assert "curve.gif: a picture is a .png or .svg file" in done.stderr


def test_results_are_written(run, run_task, tmp_path):
    """As a zip, whose path is printed; or their names are."""
    task_id = run_task(WRITES, "--output", "out")
    assert run("tasks", "results", "--list", task_id).stdout == "w\n"
    listed = run("tasks", "results", "--list", "--json", task_id).stdout
    assert json.loads(listed) == {"name": "w", "size_bytes": 3}
    shown = json.loads(run("tasks", "results", "--json", task_id, tmp_path).stdout)
    path = Path(shown["path"])
    assert (path.parent, path.stat().st_size) == (tmp_path, shown["size_bytes"])
    with zipfile.ZipFile(path) as archive:
        assert archive.read("w") == b"123"
    assert Path(
        run("tasks", "results", task_id, tmp_path / "new" / "folder").stdout.strip()
    ).is_file()


def test_a_task_without_results_is_one_line(run, run_task):
    """With status 1."""
    done = run("tasks", "results", run_task("print('x')"))
    assert done.exit_code == 1
    assert "has no results: it was started without output=" in done.stderr
