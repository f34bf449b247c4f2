"""The metrics of a task as a run of trackio, for people who look at their runs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from aisio.errors import ConfigError, ConflictError, MissingExtraError
from aisio.tasks.metrics import Metric

__all__ = ["export_to_trackio"]


def export_to_trackio(
    metrics: Sequence[Metric], project: str, *, run: str, config: Mapping[str, Any] | None = None
) -> None:
    """Copy what a task has reported into a project of trackio, as a run.

    Numbers of one step are logged together. Results are logged as "final/" and their name. A metric
    of another rank than 0 has "rank 1/" before its name. trackio gives all numbers the time of the
    export.

    Source: `init`, `log` and `finish` of trackio 0.43.

    Args:
        metrics: The metrics of the task.
        project: Name of the project; made if there is none.
        run: Name of the run.
        config: Hyperparameters, shown with the run.

    Raises:
        ConfigError: There are no metrics, or no name of a project.
        ConflictError: The project has such a run already.
        MissingExtraError: trackio is not installed.
    """
    if not project.strip():
        raise ConfigError("the name of trackio's project is empty")
    if not metrics:
        raise ConfigError(f"task {run} has reported no metrics that trackio could show")
    try:
        trackio = import_module("trackio")
    except ImportError as error:
        # No extra: trackio 0.43 needs an older Pillow than the newest that aisio is tested with.
        raise MissingExtraError(
            "this needs the package trackio, which is not installed: pip install 'trackio>=0.43'"
        ) from error
    _check_is_new(trackio, project, run)
    trackio.init(
        project,
        name=run,
        config=dict(config or {}),
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    try:
        for step, values in _by_step(metrics):
            trackio.log(values, step=step)
    finally:
        trackio.finish()


def _check_is_new(trackio: Any, project: str, run: str) -> None:
    runs: Any = ()
    with suppress(ValueError):  # there is no such project
        runs = trackio.Api().runs(project)
    if any(one.name == run for one in runs):
        raise ConflictError(
            f"project {project!r} of trackio has a run {run} already: delete that one first, or "
            f"name another project"
        )


def _by_step(metrics: Sequence[Metric]) -> list[tuple[int, dict[str, float]]]:
    """Return the numbers by step; one without a step belongs to the one after that name's last."""
    steps: dict[int, dict[str, float]] = {}
    after: dict[str, int] = {}
    for metric in metrics:
        if metric.final:
            continue
        name = _name(metric)
        step = after.get(name, 0) if metric.step is None else metric.step
        after[name] = step + 1
        steps.setdefault(step, {})[name] = metric.value
    results = {_name(metric): metric.value for metric in metrics if metric.final}
    if results:
        steps.setdefault(max(steps, default=0), {}).update(results)
    return sorted(steps.items())


def _name(metric: Metric) -> str:
    name = f"final/{metric.name}" if metric.final else metric.name
    return f"rank {metric.rank}/{name}" if metric.rank else name
