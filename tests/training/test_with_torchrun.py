"""A job under torchrun: two processes, then one and three that go on from its state."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.utils.data import DataLoader

from aisio import AISIterDataset
from aisio.training.loader import Loader
from tests.rank_processes import run_program, run_ranks

COUNT = 103


def read(folder: Path, state: Any, stop: int | None) -> list[Any]:
    """Return what each rank reads: batches of a Loader, objects, its state, what "tp" ranks read.

    Loader and dataset are made before the process group.
    """
    workers: Any = {"num_workers": 1, "multiprocessing_context": "fork"}
    loader = Loader(range(COUNT), 4, shuffle=True, seed=3, equalize="pad", **workers)
    dataset = AISIterDataset(f"file://{folder}/", equalize="drop")
    distributed.init_process_group("gloo")
    if state:
        loader.load_state_dict(state)
    batches = [batch.tolist() for batch in islice(loader, stop)]
    objects = [name for names, _ in DataLoader(dataset, 2, **workers) for name in names]
    alone = distributed.new_group([distributed.get_rank()], use_local_synchronization=True)
    same = [batch.tolist() for batch in Loader(range(COUNT), 4, ranks=alone)]
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, [batches, objects, loader.state_dict(), same])
    distributed.destroy_process_group()
    return found


def _go_on(folder: Path, state: Any, rank: int) -> list[Any]:
    return read(folder, state, None)


def flat(batches: Iterable[list[int]]) -> list[int]:
    """Return the samples of batches."""
    return [sample for batch in batches for sample in batch]


def test_a_job_goes_on_with_other_ranks(tmp_path: Path) -> None:
    """Each sample once, but for those that "pad" repeats; datasets made before the group fit."""
    for number in range(10):
        (tmp_path / f"{number}").write_bytes(b"x")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    before = run_program(__file__, str(tmp_path), command=torchrun)
    first = flat(batch for one in before for batch in one[0])
    assert (len(first), len(set(first))) == (40, 40)
    objects = [name for one in before for name in one[1]]
    assert (len(objects), len(set(objects))) == (10, 10)
    assert before[0][2:] == before[1][2:]
    after = run_program(__file__, str(tmp_path), json.dumps(before[0][2]))
    for ranks, found in zip((1, 3), after, strict=True):
        rest = flat(batch for one in found for batch in one[0])
        assert set(first) | set(rest) == set(range(COUNT))
        assert len(first + rest) - COUNT < 4 * ranks
        assert len({len(one[0]) for one in found}) == 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    where, *states = sys.argv[1:]
    if states:
        go_on = partial(_go_on, Path(where), json.loads(states[0]))
        print(json.dumps([run_ranks(go_on, ranks)[0] for ranks in (1, 3)]))
    else:
        print(json.dumps(read(Path(where), None, 5)))
