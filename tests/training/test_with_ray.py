"""Loader and iterable datasets in the workers of Ray Train, on a local Ray."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the loader needs it
from torch.utils.data import DataLoader

from aisio import AISIterDataset, AISMapDataset
from aisio.training.loader import Loader
from tests.rank_processes import run_program


def _job(config: dict[str, Any]) -> None:
    context = importlib.import_module("ray.train").get_context()
    loader = Loader(range(40), 4, shuffle=True, seed=3, num_workers=1)
    if config["state"]:
        loader.load_state_dict(config["state"])
    batches = [batch.tolist() for batch in islice(loader, config["stop"])]
    objects = [n for names, _ in DataLoader(config["dataset"], 3, num_workers=1) for n in names]
    prepare = importlib.import_module("ray.train.torch").prepare_data_loader
    by_index = prepare(DataLoader(AISMapDataset(f"file://{config['folder']}/objects/"), 3))
    sampled = [name for names, _ in by_index for name in names]
    try:
        list(prepare(loader))
        refused = ""
    except AttributeError as error:
        refused = str(error)
    found = json.dumps([batches, objects, loader.state_dict(), sampled, refused])
    (Path(config["folder"]) / f"{config['name']}-{context.get_world_rank()}").write_text(found)


def _run(folder: Path, name: str, workers: int, stop: int | None, state: Any = None) -> list[Any]:
    train = importlib.import_module("ray.train")
    trainer = importlib.import_module("ray.train.torch")
    trainer.TorchTrainer(
        _job,
        train_loop_config={
            "folder": str(folder),
            "name": name,
            "stop": stop,
            "state": state,
            "dataset": AISIterDataset(f"file://{folder}/objects/"),  # made in the driver
        },
        torch_config=trainer.TorchConfig(backend="gloo"),
        scaling_config=train.ScalingConfig(num_workers=workers),
        run_config=train.RunConfig(storage_path=str(folder), name=name),
    ).fit()
    return [json.loads((folder / f"{name}-{rank}").read_text()) for rank in range(workers)]


def test_workers_are_ranks_and_others_go_on(tmp_path: Path) -> None:
    """Two workers, then one with their state: each sample once."""
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pandas") is None:
        pytest.skip("needs ray[train]")
    (tmp_path / "objects").mkdir()
    for number in range(10):
        (tmp_path / "objects" / f"{number}").write_bytes(b"x")
    before, after = run_program(__file__, str(tmp_path))
    samples = [sample for one in before + after for batch in one[0] for sample in batch]
    assert [len(one[0]) for one in before + after] == [2, 2, 6]
    assert sorted(samples) == list(range(40))
    assert before[0][2] == before[1][2]
    for number in (1, 3):
        objects = [name for one in before for name in one[number]]
        assert (len(objects), len(set(objects))) == (10, 10)
    assert "leave out the call that prepares it" in before[0][4]
    assert len(after[0][1]) == 10


if __name__ == "__main__":
    where = Path(sys.argv[1])
    importlib.import_module("ray").init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    two = _run(where, "two", 2, 2)
    print("\n" + json.dumps([two, _run(where, "one", 1, None, two[0][2])]))
