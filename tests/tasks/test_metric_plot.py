"""Metrics as a picture."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.tasks.metric_plot import plot_metrics
from aisio.tasks.metrics import Metric
from tests.svg import texts

pytest.importorskip("matplotlib")


def reported() -> list[Metric]:
    """Return metrics of two names and two ranks, and a result."""
    metrics = [
        Metric(1 / (step + 1), 0.0, name=name, step=step, rank=rank)
        for step in range(3)
        for name in ("loss", "_$x$")
        for rank in range(2)
    ]
    return [*metrics, Metric(0.3, 0.0, final=True)]


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml")])
def test_a_picture_replaces_the_file(tmp_path, name, start):
    """Names are text, and not mathematics."""
    (tmp_path / name).write_bytes(b"old")
    plot_metrics(reported(), tmp_path / name, title="task $x$")
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_each_name_and_rank_is_a_curve(tmp_path):
    """Without ranks, a name alone is; what is not a number is a gap."""
    plot_metrics(reported(), tmp_path / "a.svg")
    assert {"loss, rank 0", "loss, rank 1", "metric, final: 0.3"} <= set(texts(tmp_path / "a.svg"))
    metrics = [Metric(1.0, 0.0), Metric(float("nan"), 0.0), Metric(2.0, 0.0)]
    plot_metrics(metrics, tmp_path / "b.svg")
    assert "metric" in texts(tmp_path / "b.svg")


def test_what_cannot_be_drawn_is_an_error(tmp_path):
    """And leaves no file."""
    with pytest.raises(ConfigError, match=r"a.gif: a picture is a .png or .svg file"):
        plot_metrics(reported(), tmp_path / "a.gif")
    with pytest.raises(ConfigError, match="there are no metrics to draw"):
        plot_metrics([], tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
