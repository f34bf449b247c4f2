"""The metrics of a task as a picture: a curve for each name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aisio.atomic_write import atomic_write
from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.tasks.metrics import Metric

__all__ = ["plot_metrics"]

_FORMATS = ("png", "svg")
_SIZE_INCHES = (8.0, 4.5)
_DPI = 150


def plot_metrics(metrics: Sequence[Metric], path: Path, *, title: str = "") -> None:
    """Draw what a task reported on the way over its steps, or over their number without steps.

    Each name, and each rank that reported it, is a curve. Results are lines across the picture. An
    existing file is replaced when the picture is complete.

    Args:
        metrics: As `TrainTask.get_intermediate_metric` has them; several names share the axes.
        path: A file that ends in .png or .svg.
        title: Above the picture.

    Raises:
        ConfigError: The file ends in something else, or there are no metrics.
        MissingExtraError: The extra `plot` is not installed.
    """
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in _FORMATS:
        raise ConfigError(f"{path}: a picture is a .png or .svg file")
    if not metrics:
        raise ConfigError(f"{path}: there are no metrics to draw")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "plot") from error

    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw(axes, metrics)
    axes.set_title(_plain(title))
    axes.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format=suffix, dpi=_DPI)


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
        axes.plot(steps, values, marker=".", label=_plain(label))
    for name, value in results.items():
        axes.axhline(value, linestyle="--", color="gray", label=_plain(f"{name}, final: {value:g}"))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("step" if has_steps else "number")


def _plain(text: str) -> str:
    """Return text that matplotlib does not read as mathematics, and does not leave out."""
    return text.replace("$", r"\$").lstrip("_")
