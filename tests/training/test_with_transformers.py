"""Loader in Hugging Face's Trainer: stopped and resumed at any step."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from aisio.errors import ConfigError
from aisio.training.loader import Loader
from tests.rank_processes import run_program

STOPS = (3, 10, 13, 20)
SAVED = "loader.json"


class Samples(torch.utils.data.Dataset[dict[str, int]]):
    """What a model takes by name."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"x": index}


class Model(torch.nn.Module):
    """Remembers what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)
        self.seen: list[list[int]] = []

    def forward(self, x: Any) -> dict[str, Any]:
        """Return a loss."""
        self.seen.append(x.tolist())
        return {"loss": self.linear(x[:, None].float()).mean()}


def make_loader() -> Loader:
    """Return the loader that all jobs train with."""
    return Loader(Samples(), 4, shuffle=True, seed=3)


def _run(folder: Path, stop: int = 0, resume: Path | None = None, skip: bool = True) -> Any:
    transformers: Any = importlib.import_module("transformers")
    loader, model = make_loader(), Model()

    class Keeper(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_save = control.should_training_stop = state.global_step == stop

        def on_save(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            saved = folder / f"checkpoint-{state.global_step}" / SAVED
            saved.write_text(json.dumps(loader.state_dict()))

    class Trainer(transformers.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            return loader

    if resume:
        loader.load_state_dict(json.loads((resume / SAVED).read_text()))
    arguments = transformers.TrainingArguments(
        str(folder),
        num_train_epochs=3,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
        ignore_data_skip=skip,
    )
    try:
        Trainer(model, arguments, callbacks=[Keeper()]).train(
            resume_from_checkpoint=str(resume) if resume else None
        )
    except ConfigError as error:
        return str(error)
    return model.seen


def _all(folder: Path) -> dict[str, Any]:
    found = {"whole": _run(folder)}
    for stop in STOPS:
        found[str(stop)] = _run(folder, stop) + _run(folder, 0, folder / f"checkpoint-{stop}")
    found["skipped"] = _run(folder, 0, folder / "checkpoint-3", skip=False)
    return found


def test_each_sample_comes_once_whenever_it_was_stopped(tmp_path: Path) -> None:
    """In the middle of an epoch and at its end; batches are not skipped a second time."""
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("needs transformers")
    found = run_program(__file__, str(tmp_path))
    loader = make_loader()
    whole = [batch["x"].tolist() for _ in range(3) for batch in loader]
    assert found["whole"] == whole
    assert [stop for stop in STOPS if found[str(stop)] != whole] == []
    assert "ignore_data_skip=True" in found["skipped"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("\n" + json.dumps(_all(Path(sys.argv[1]))))
