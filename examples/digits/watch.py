"""Watches the training program, kills it, and checks which digits it was trained on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm


@dataclass(frozen=True, slots=True)
class Step:
    """A batch that the network was trained on.

    Attributes:
        epoch: Its epoch, from 0.
        batch: Its number in the epoch, from 1.
        loss: Its loss.
        keys: Keys of its samples.
        waited_s: Seconds that the training waited for it.
        seconds: Seconds that it took, waiting included.
    """

    epoch: int
    batch: int
    loss: float
    keys: list[str]
    waited_s: float
    seconds: float


@dataclass(slots=True)
class Run:
    """What a training did, over all its starts.

    Attributes:
        steps: What the network is trained on now: batches behind the checkpoint from which it went
            on are left out.
        accuracies: Accuracy on the held-out samples after each epoch, 0 to 1.
        went_on_behind: Epoch and batch of the last checkpoint from which it went on.
        first_batch_s: Seconds until the first batch, with the start of the workers.
    """

    steps: list[Step] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    went_on_behind: tuple[int, int] = (0, 0)
    first_batch_s: float = 0.0

    def of_epoch(self, epoch: int) -> list[Step]:
        """Return the steps of an epoch."""
        return [step for step in self.steps if step.epoch == epoch]

    def keys(self, epoch: int) -> list[str]:
        """Return the keys of all samples that came in an epoch."""
        return [key for step in self.of_epoch(epoch) for key in step.keys]

    def rate(self, epoch: int) -> float:
        """Return samples per second, reading and training together."""
        return len(self.keys(epoch)) / sum(step.seconds for step in self.of_epoch(epoch))

    def wrong_keys(self, epoch: int, expected: Collection[str]) -> list[str]:
        """Return the keys that did not come exactly once in an epoch."""
        came = Counter(self.keys(epoch))
        return sorted(key for key in {*expected, *came} if came[key] != 1 or key not in expected)


def train(checkpoint: Path, run: Run, kill_at: tuple[int, int] | None = None) -> None:
    """Start the training program, and add to a run what it does, until it ends or is killed.

    Args:
        checkpoint: From which it goes on, if it exists.
        run: The run so far.
        kill_at: Epoch and batch at which it is killed, with its workers, by SIGKILL.
    """
    command = [sys.executable, "-m", "digits.train", str(checkpoint)]
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as program,
        tqdm(desc="training", unit=" samples", disable=None) as progress,
    ):
        try:
            for line in program.stdout or ():
                _add(json.loads(line), run, progress)
                if kill_at and (run.steps[-1].epoch, run.steps[-1].batch) == kill_at:
                    os.killpg(program.pid, signal.SIGKILL)
        except BaseException:
            os.killpg(program.pid, signal.SIGKILL)
            raise
    if program.returncode != (-signal.SIGKILL if kill_at else 0):
        raise SystemExit("the training ended before its time; its message is above")


def _add(event: Any, run: Run, progress: tqdm[NoReturn]) -> None:
    """Add an event that the program reports to the run."""
    if "step" in event:
        step = Step(**event["step"])
        run.steps.append(step)
        run.first_batch_s = run.first_batch_s or step.waited_s
        progress.update(len(step.keys))
    elif "accuracy" in event:
        run.accuracies.append(event["accuracy"])
        epoch = run.steps[-1].epoch
        progress.write(
            f"epoch {epoch + 1}: loss {run.steps[-1].loss:.3f}, "
            f"accuracy {run.accuracies[-1]:.1%}, {run.rate(epoch):,.0f} samples/s"
        )
    else:
        epoch, batch = run.went_on_behind = tuple(event["goes_on_behind"])
        kept = [step for step in run.steps if (step.epoch, step.batch) <= run.went_on_behind]
        lost, run.steps = len(run.steps) - len(kept), kept
        progress.write(
            f"== goes on behind batch {batch} of epoch {epoch + 1}, which the checkpoint is of; "
            f"{lost} batches, lost with the network, come again"
        )
