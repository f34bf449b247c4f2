"""Trainers that train with a DataModule, and what each of them saw, as a program.

In a process of its own, as Lightning takes seconds to import; the ranks of a job are forked there.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.tuner.tuning import Tuner

from aisio.integrations.lightning import DataModule
from tests.integrations.lightning.models import (
    FailsBeforeStep,
    Killed,
    LateStrategy,
    Longest,
    Model,
    ModelInParts,
    Renamed,
    Seen,
    Shortest,
)
from tests.rank_processes import run_ranks

COUNT = 26
VALIDATED = range(100, 109)
ONE: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    **dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False),
}
"""Options of every Trainer, on one device; and on two."""

TWO: dict[str, Any] = {**ONE, "devices": 2, "strategy": "ddp"}
UNSAVED = {**ONE, "enable_checkpointing": False}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "job", "GROUP_RANK": "0"}


class Fits:
    """Trains, and goes on from the newest checkpoint of a folder.

    Args:
        folder: For the checkpoints of all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "last.ckpt"

    def fit(
        self,
        *,
        stop: int | None = None,
        resume: bool = False,
        estimates: bool = False,
        kind: type[DataModule] = DataModule,
        train: Any = None,
        batch_size: int = 4,
        every: int | None = 1,
        model: Callable[..., Model] = Model,
        **options: Any,
    ) -> Model:
        """Train, and return the model.

        Args:
            stop: Fail at this step.
            resume: Go on from the checkpoint.
            estimates: Ask for `estimated_stepping_batches`.
            kind: The class of the data module.
            train: Other data.
            batch_size: For the data module.
            every: Steps between checkpoints; 0 saves one when a step fails; None, at the end of an
                epoch.
            model: Makes the model.
            options: For the Trainer.
        """
        checkpoints = ModelCheckpoint(
            dirpath=self.folder,
            filename="last",
            save_top_k=-1,
            every_n_train_steps=10**6 if every == 0 else every,
            save_on_exception=every == 0,
            enable_version_counter=False,
        )
        limits = {} if "max_steps" in options else {"max_epochs": 3}
        trainer = pl.Trainer(callbacks=[checkpoints], **{**ONE, **limits, **options})
        data = kind(
            range(COUNT) if train is None else train, val=VALIDATED, batch_size=batch_size, seed=1
        )
        trained = model(stop, estimates=estimates)
        with suppress(InterruptedError):
            trainer.fit(trained, data, ckpt_path=str(self.file) if resume else None)
        return trained

    def resumed(self, stop: int, again: Any = None, **options: Any) -> tuple[Seen, Seen]:
        """Return what a training saw until it failed, and what the next one saw that went on."""
        before = self.fit(stop=stop, **options)
        return before.seen, self.fit(resume=True, **(options | (again or {}))).seen


RESUMED: dict[str, dict[str, Any]] = {
    "middle": {"stop": 3},
    "last batch": {"stop": 6},
    "second epoch": {"stop": 8},
    "end of an epoch": {"stop": 12, "every": None},
    "failed step": {"stop": 3, "every": 0},
    "failed before a step": {"stop": 3, "every": 0, "model": FailsBeforeStep},
    "failed first step of an epoch": {"stop": 6, "every": 0},
    "estimated steps": {"stop": 3, "again": {"estimates": True}},
    "estimated steps, last batch": {"stop": 6, "again": {"estimates": True}},
    "estimated steps, second epoch": {"stop": 8, "again": {"estimates": True}},
    "restored late": {"stop": 8, "again": {"estimates": True, "strategy": LateStrategy("cpu")}},
    "renamed": {"stop": 8, "again": {"kind": Renamed}},
    "renamed, end of an epoch": {"stop": 6, "every": None, "again": {"kind": Renamed}},
    "max_steps": {"stop": 8, "max_steps": 15},
    "max_steps, last batch": {"stop": 6, "max_steps": 15},
    "max_steps, end of an epoch": {"stop": 6, "every": None, "max_steps": 15},
    "limit_train_batches": {"stop": 5, "limit_train_batches": 4},
    "limit_train_batches, end": {"stop": 4, "every": None, "limit_train_batches": 4},
    "val_check_interval": {"stop": 7, "val_check_interval": 2},
    "accumulate_grad_batches": {"stop": 9, "every": 2, "accumulate_grad_batches": 2},
    "reload_dataloaders_every_n_epochs": {"stop": 8, "reload_dataloaders_every_n_epochs": 2},
    "cycled": {"stop": 5, "train": {"long": range(COUNT), "short": range(100, 110)}},
    "shortest": {"stop": 3, "train": {"a": range(COUNT), "b": range(100, 110)}, "kind": Shortest},
    "longest": {"stop": 4, "train": {"a": range(COUNT), "b": range(100, 110)}, "kind": Longest},
}
"""Trainings that fail at a step, and are gone on with."""

OF_A_WHOLE = {
    "max_steps": ("max_steps",),
    "limit_train_batches": ("limit_train_batches",),
    "cycled": ("train",),
    "shortest": ("train", "kind"),
    "longest": ("train", "kind"),
}
"""Options with which an unbroken training sees something else."""

OTHERS = [
    (stop, batch_size, late)
    for stop in (3, 6, 8, 12)
    for batch_size in (2, 8)
    for late in (False, True)
]
"""Trainings that go on with another batch size, as with another number of devices."""


def resumed_with_others(fits: Fits, stop: int, batch_size: int, late: bool) -> tuple[Seen, Seen]:
    """Return what was seen before and after."""
    again: dict[str, Any] = {"batch_size": batch_size}
    if late:
        again |= {"strategy": LateStrategy("cpu"), "estimates": True}
    return fits.resumed(stop, again)


def overfitted(fits: Fits) -> Any:
    """Return what is seen with overfit_batches."""
    model = fits.fit(overfit_batches=2)
    return model.seen, model.validated


def evaluated(_: Fits) -> Any:
    """Return what other loops see of several loaders, and of one."""
    trainer = pl.Trainer(**ONE)
    model = Model()
    data = DataModule(
        val=VALIDATED,
        test={"few": range(3), "more": range(5)},
        predict=range(7),
        batch_size=4,
        eval_batch_size=5,
    )
    trainer.validate(model, data, verbose=False)
    trainer.test(model, data, verbose=False)
    predicted: Any = trainer.predict(model, data)
    return model.validated, [batch.tolist() for batch in predicted], str(data)


def missing(_: Fits) -> list[str]:
    """Return the errors of splits that were not given; fit does not need `val`."""
    trainer = pl.Trainer(max_epochs=1, **UNSAVED)
    model, data = Model(), DataModule(range(8), batch_size=4)
    trainer.fit(model, data)
    errors = [str(len(model.seen) - len(model.validated))]
    for run in (trainer.validate, trainer.test, trainer.predict):
        errors += _error_of(partial(run, model, data))
    errors += _error_of(partial(trainer.fit, model, DataModule(val=range(8))))
    return errors + _error_of(partial(data.setup, "tune"))


def _error_of(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    return ["none"]


def repeated(_: Fits) -> Any:
    """Return what fits with one data module see, and a setting of their Trainer."""
    data = DataModule(range(COUNT), val=VALIDATED, batch_size=4, seed=1)
    options: dict[str, Any] = {"max_epochs": 1, "reload_dataloaders_every_n_epochs": 5, **UNSAVED}
    first, second = Model(), Model()
    pl.Trainer(**options).fit(first, data)
    trainer: Any = pl.Trainer(**options)
    trainer.fit(second, data)  # begins anew
    trainer.fit_loop.max_epochs = 3
    trainer.fit(second, data)  # goes on
    trainer.validate(second, data, verbose=False)
    trainer.fit_loop.max_epochs, second.stop = 4, len(second.seen)
    with suppress(InterruptedError):
        trainer.fit(second, data)
    setting = trainer.reload_dataloaders_every_n_epochs
    return first.seen, second.seen, setting, data.state_dict()


def from_sources(fits: Fits) -> Any:
    """Return what is seen of a folder's objects, and of a dataset that a function makes."""
    objects = fits.folder / "objects"
    objects.mkdir()
    for number in range(8):
        (objects / f"{number}.txt").write_text(str(number))

    class Data(DataModule):
        def loader_options(self, split: Any) -> Any:
            options = super().loader_options(split)
            return options | ({"collate_fn": _numbers} if split == "train" else {})

    model = Model()
    data = Data(f"file://{objects}/", val=lambda: range(100, 103), batch_size=2, num_workers=1)
    pl.Trainer(max_epochs=1, num_sanity_val_steps=0, **UNSAVED).fit(model, data)
    return model.seen, model.validated


def _numbers(samples: list[tuple[str, bytes]]) -> Any:
    return torch.tensor([int(data) for _, data in samples])


def tuned(fits: Fits) -> Any:
    """Return what is seen, and the batch size, where Lightning's Tuner went before."""
    data = DataModule(range(COUNT), batch_size=2, seed=1)
    model = Model()
    trainer = pl.Trainer(default_root_dir=fits.folder, max_epochs=1, **UNSAVED)
    found = Tuner(trainer).scale_batch_size(
        model, datamodule=data, init_val=2, max_trials=2, steps_per_trial=2
    )
    Tuner(trainer).lr_find(model, datamodule=data, num_training=5)
    tried = len(model.seen)
    trainer.fit(model, data)
    return found, data.batch_size, model.seen[tried:]


def in_two_ranks(folder: Path, _: int) -> Any:
    """Return what a rank of two sees, and what it logs."""
    fits = Fits(folder)
    model = fits.fit(stop=2, **TWO)
    trainer = pl.Trainer(**TWO)
    logged = trainer.validate(model, DataModule(val=VALIDATED, batch_size=4), verbose=False)
    predicted: Any = trainer.predict(model, DataModule(predict=range(7), batch_size=2))
    in_parts = Fits(folder / "parts").fit(
        stop=2,
        every=None,
        model=ModelInParts,
        devices=2,
        strategy=ModelParallelStrategy(data_parallel_size=1, tensor_parallel_size=2),
    )
    lists = [batch.tolist() for batch in predicted]
    return model.seen, model.validated, logged, lists, in_parts.seen


KILLS = ((1, 3), (2, 5), (1, None))
"""Number of ranks of each job, and the step at which it is killed; it saves each second step."""


def killed(folder: Path, job: int, _: int) -> None:
    """Train as a rank of a job, until it is killed."""
    ranks, kill_at = KILLS[job]
    logs = folder / f"job{job}"
    logs.mkdir(exist_ok=True)
    options = TWO if ranks == 2 else {}
    model = partial(Killed, folder=logs, kill_at=kill_at)
    Fits(folder).fit(train=range(60), every=2, max_epochs=2, model=model, resume=job > 0, **options)


def seen_by_killed_jobs(folder: Path) -> list[list[list[int]]]:
    """Return what the jobs saw, as lists of step, epoch and samples."""
    folder.mkdir()
    seen = []
    for job, (ranks, _) in enumerate(KILLS):
        with suppress(EOFError):  # of the rank that is killed
            run_ranks(partial(killed, folder, job), ranks, TORCHRUN)
        logs = sorted((folder / f"job{job}").iterdir())
        seen.append([json.loads(line) for log in logs for line in log.read_text().splitlines()])
    return seen


def run_all(folder: Path) -> dict[str, Any]:
    """Return what all saw."""
    fits = Fits(folder / "one")
    wholes: dict[str, dict[str, Any]] = {"": {}} | {
        name: {option: RESUMED[name][option] for option in options}
        for name, options in OF_A_WHOLE.items()
    }
    trained = {name: fits.fit(**options) for name, options in wholes.items()}
    found: dict[str, Any] = {f"whole {name}": model.seen for name, model in trained.items()}
    found["validated"] = trained[""].validated
    for name, options in RESUMED.items():
        found[name] = fits.resumed(**options)
    found["others"] = [resumed_with_others(fits, *case) for case in OTHERS]
    for case in (overfitted, evaluated, missing, repeated, tuned, from_sources):
        found[case.__name__] = case(fits)
    ranks = folder / "ranks"
    found["two ranks"] = run_ranks(partial(in_two_ranks, ranks), 2, TORCHRUN)
    found["one rank"] = Fits(ranks).fit(resume=True).seen
    found["killed"] = seen_by_killed_jobs(folder / "killed")
    return found


if __name__ == "__main__":
    for logger in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    print("\n" + json.dumps(run_all(Path(sys.argv[1]))))
