"""The service of a task, and its values as JSON."""

from __future__ import annotations

import json

import pytest

from aisio.cli.task_service import metric_fields, service_for
from aisio.errors import NotFoundError
from aisio.tasks.metrics import Metric


def test_the_engine_is_that_of_the_task(run_task, tasks_home, monkeypatch):
    """Whatever engine the settings name now."""
    task_id = run_task("print('x')")
    monkeypatch.setenv("AISIO_TASKS_ENGINE", "slurm")
    pytest.importorskip("submitit")
    assert service_for(None, task_id).engine.name == "local"
    with pytest.raises(NotFoundError, match="there is no train task 'x'"):
        service_for(tasks_home, "x")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, 0.5), (float("inf"), "inf"), (float("nan"), "nan")]
)
def test_json_has_no_number_for_some_values(value, shown):
    """They are text."""
    fields = metric_fields(Metric(value, 0.0))
    assert json.loads(json.dumps(fields, allow_nan=False))["value"] == shown
