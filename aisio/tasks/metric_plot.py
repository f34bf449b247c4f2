"""The metrics of a task as a picture: a curve for each name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aisio.errors import ConfigError
from aisio.pictures.picture_file import check_picture, picture, plain
from aisio.tasks.metrics import Metric

__all__ = ["plot_metrics"]


def plot_metrics(metrics: Sequence[Metric], path: Path, *, title: str = "") -> None:
    """Draw what a task reported on the way over its steps, or over their number without steps.

    Each name, and each rank that reported it, is a curve. Results are lines across the picture. An
    existing file is replaced when the picture is complete.

    Args:
        metrics: As `TrainTask.get_intermediate_metric` has them; several names share the axes.
        path: A file that ends in .png or .svg.
        title: Above the picture.

    Raises:
        ConfigError: The file ends in something else, its folder does not exist, or there are no
            metrics.
        MissingExtraError: The extra `plot` is not installed.
    """
    check_picture(path)
    if not metrics:
        raise ConfigError(f"{path}: there are no metrics to draw")
    with picture(path) as figure:
        axes = figure.add_subplot()
        _draw(axes, metrics)
        axes.set_title(plain(title))
        axes.legend()


def _draw(axes: Any, metrics: Sequence[Metric]) -> None:
    several_ranks = len({metric.rank for metric in metrics if not metric.final}) > 1
    has_steps = all(metric.step is not None for metric in metrics if not metric.final)
    curves: dict[str, list[tuple[int, float]]] = {}
    results: dict[str, float] = {}
    for metric in metrics:
        if metric.final:
            results[metric.name] = metric.value
            continue
        label = f"{metric.name}, rank {metric.rank}" if several_ranks else metric.name
        curve = curves.setdefault(label, [])
        step = metric.step if has_steps and metric.step is not None else len(curve)
        curve.append((step, metric.value))
    for label, curve in curves.items():
        steps, values = zip(*curve, strict=True)
        axes.plot(steps, values, marker=".", label=plain(label))
    for name, value in results.items():
        axes.axhline(value, linestyle="--", color="gray", label=plain(f"{name}, final: {value:g}"))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("step" if has_steps else "number")
