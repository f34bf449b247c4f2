"""A picture of a run: loss, accuracy and speed."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws to a file, without a window
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .watch import Run

BLUE, GREY = "#1f6feb", "#8b949e"


def draw(run: Run, file: Path, *, goal: float) -> None:
    """Draw a run as a PNG file.

    Args:
        run: The run.
        file: The file to write, in an existing folder.
        goal: Accuracy that the run had to reach, 0 to 1.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    epochs = range(1, len(run.accuracies) + 1)

    steps = range(1, len(run.steps) + 1)
    losses = [step.loss for step in run.steps]
    left.plot([step * len(epochs) / len(steps) for step in steps], losses, color=BLUE)
    left.set(title="Training loss", ylabel="cross-entropy", yscale="log")
    left.yaxis.set_major_formatter("{x:g}")

    middle.plot(epochs, run.accuracies, color=BLUE, marker="o")
    middle.axhline(goal, color=GREY, linestyle="--", label=f"goal: {goal:.0%}")
    middle.annotate(
        f"{run.accuracies[-1]:.1%}",
        (epochs[-1], run.accuracies[-1]),
        xytext=(-8, 4),
        textcoords="offset points",
        ha="right",
    )
    middle.set(title="Accuracy on the held-out digits", ylabel="classified correctly")
    middle.margins(y=0.12)
    middle.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    middle.legend(loc="lower right", frameon=False)

    bars = right.bar(epochs, [run.rate(epoch - 1) for epoch in epochs], color=BLUE, width=0.6)
    right.bar_label(bars, fmt="{:,.0f}", padding=2)
    right.set(title="Speed, reading and training together", ylabel="samples per second")
    right.margins(y=0.12)
    right.yaxis.set_major_formatter("{x:,.0f}")

    for panel in (left, middle, right):
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", alpha=0.3)
        panel.set_axisbelow(True)
    figure.suptitle("Handwritten digits, shuffled from tar shards by aisio.Loader (2 workers)")
    figure.savefig(file, dpi=150)
    plt.close(figure)
