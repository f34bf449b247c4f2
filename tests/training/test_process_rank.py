"""ProcessRank: the rank of this process, and of the processes that it is sent to."""

from __future__ import annotations

import pickle

import pytest
import torch

from aisio import AISIterDataset
from aisio.training.process_rank import ProcessRank


@pytest.fixture(autouse=True)
def no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables that say a rank."""
    for name in ("RANK", "WORLD_SIZE", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)


def set_rank(monkeypatch: pytest.MonkeyPatch, rank: int, ranks: int) -> None:
    """Set the variables of torchrun."""
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(ranks))


def test_a_process_group_comes_first_and_stays_known(tmp_path, monkeypatch):
    """A spawned worker has no process group: it takes the rank of the process that sent it."""
    set_rank(monkeypatch, 1, 2)
    rank = ProcessRank("X")
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
    )
    try:
        assert rank.current() == (0, 1)
        sent = pickle.dumps(rank)
    finally:
        torch.distributed.destroy_process_group()
    assert pickle.loads(sent).current() == (0, 1)
    assert rank.current() == (1, 2)


def test_a_sender_without_a_rank_leaves_it_to_the_receiver(monkeypatch):
    """The driver of Ray or submitit has none; its workers are the ranks."""
    received = pickle.loads(pickle.dumps(ProcessRank("X")))
    set_rank(monkeypatch, 1, 2)
    assert received.current() == (1, 2)


def test_a_rank_from_the_environment_stays_known(monkeypatch):
    """However often it is sent on."""
    set_rank(monkeypatch, 1, 2)
    sent = pickle.dumps(ProcessRank("X"))
    monkeypatch.undo()
    assert pickle.loads(pickle.dumps(pickle.loads(sent))).current() == (1, 2)


def test_a_dataset_takes_its_rank_along(tmp_path, monkeypatch):
    """A DataLoader pickles it for spawned workers."""
    for name in "abcd":
        (tmp_path / name).write_bytes(b"")
    set_rank(monkeypatch, 1, 2)
    sent = pickle.dumps(AISIterDataset(tmp_path))
    monkeypatch.undo()
    assert [name[-1] for name, _ in pickle.loads(sent)] == ["b", "d"]


def test_an_ambiguous_environment_gives_one_warning(monkeypatch, caplog):
    """A batch script of Slurm that starts Python without srun reads everything."""
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "8")
    rank = ProcessRank("AISIterDataset")
    assert [rank.current() for _ in range(2)] == [(0, 1), (0, 1)]
    (record,) = caplog.records
    assert record.name == "aisio.placing"
    assert record.getMessage().startswith("<AISIterDataset> reads as the only rank: SLURM_NTASKS=8")
