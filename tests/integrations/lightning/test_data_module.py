"""DataModule under a Trainer: each sample once, in one order, whatever Lightning does."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the program needs it

from aisio import Loader
from aisio.errors import MissingExtraError
from tests.rank_processes import run_program

COUNT = 26
BATCHES = 6  # of 4 samples, in an epoch
CASES = (
    "middle",
    "last batch",
    "second epoch",
    "end of an epoch",
    "failed step",
    "failed before a step",
    "failed first step of an epoch",
    "estimated steps",
    "estimated steps, last batch",
    "estimated steps, second epoch",
    "restored late",
    "renamed",
    "renamed, end of an epoch",
    "max_steps",
    "max_steps, last batch",
    "max_steps, end of an epoch",
    "limit_train_batches",
    "limit_train_batches, end",
    "val_check_interval",
    "accumulate_grad_batches",
    "reload_dataloaders_every_n_epochs",
    "cycled",
    "shortest",
    "longest",
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what all trainings saw."""
    if importlib.util.find_spec("lightning") is None:
        pytest.skip("needs lightning")
    folder = tmp_path_factory.mktemp("lightning")
    return run_program(str(Path(__file__).with_name("fits.py")), str(folder))


def of_epochs(seen: Any) -> dict[int, list[int]]:
    """Return the samples of each epoch."""
    by_epoch: dict[int, list[int]] = {}
    for epoch, batch in seen:
        by_epoch.setdefault(epoch, []).extend(batch)
    return by_epoch


def test_each_epoch_is_the_loaders(found: Any) -> None:
    """With the Trainer's numbers, and whatever was validated between."""
    loader = Loader(range(COUNT), 4, shuffle=True, seed=1)
    whole = [[epoch, batch.tolist()] for epoch in range(3) for batch in loader]
    assert found["whole "] == whole


def test_validation_reads_each_sample_once_in_order(found: Any) -> None:
    """After the batches of the sanity check."""
    once = [[100, 101, 102], [103, 104, 105], [106, 107, 108]]
    assert found["validated"] == once[:2] + 3 * once


@pytest.mark.parametrize("case", CASES)
def test_a_training_that_failed_goes_on(found: Any, case: str) -> None:
    """With the batches that it would have had, and the numbers of their epochs."""
    whole = found.get(f"whole {case.partition(',')[0]}", found["whole "])
    before, after = found[case]
    assert before == whole[: len(before)]
    assert after == whole[len(whole) - len(after) :]
    again = len(before) + len(after) - len(whole)  # since the checkpoint
    assert again == (1 if case == "accumulate_grad_batches" else 0)


def test_a_training_goes_on_with_another_batch_size(found: Any) -> None:
    """Each sample comes once, but for those of the end that make no batch, and epochs are whole."""
    assert len(found["others"]) == 16
    for before, after in found["others"]:
        epochs = of_epochs(before + after)
        assert sorted(epochs) == [0, 1, 2]
        assert all(len(samples) == len(set(samples)) > COUNT - 8 for samples in epochs.values())
        batch_size = len(after[0][1])
        assert len(epochs[2]) == COUNT // batch_size * batch_size


def test_combined_loaders_begin_epochs_of_their_own(found: Any) -> None:
    """The short one that is cycled never repeats an order."""
    seen = [batch["short"] for _, batch in found["whole cycled"]]
    passes = [[*seen[start], *seen[start + 1]] for start in range(0, len(seen), 2)]
    assert all(len(set(one)) == 8 for one in passes)
    assert len({tuple(one) for one in passes}) == len(passes) == 9


def test_overfitting_repeats_the_first_batches(found: Any) -> None:
    """Lightning would replace the sampler, if there were one."""
    seen, validated = found["overfitted"]
    once = [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert seen == [[epoch, batch] for epoch in range(3) for batch in once]
    assert validated == 4 * [[100, 101, 102], [103, 104, 105]]


def test_other_loops_read_each_sample_once(found: Any) -> None:
    """Of one loader, or of one behind the other."""
    seen, predicted, text = found["evaluated"]
    assert seen == [[*range(100, 105)], [*range(105, 109)], [0, 1, 2], [0, 1, 2, 3, 4]]
    assert predicted == [[0, 1, 2, 3], [4, 5, 6]]
    assert text == "<DataModule val: range, test: dict, predict: range>"


def test_sources_and_functions_make_datasets(found: Any) -> None:
    """And a subclass says what is collated how."""
    seen, validated = found["from_sources"]
    assert sorted(sample for _, batch in seen for sample in batch) == [*range(8)]
    assert validated == [[100, 101], [102]]


def test_a_split_that_was_not_given(found: Any) -> None:
    """Is an error where it is needed."""
    steps, *errors = found["missing"]
    assert steps == "2"
    assert errors.pop().startswith("ConfigError: stage='tune'")
    assert errors == [
        f"ConfigError: <DataModule> was given no {name}="
        for name in ("val", "test", "predict", "train")
    ]


def test_fits_that_follow_each_other(found: Any) -> None:
    """A Trainer begins at its own epoch, and gets back what was set."""
    first, second, reload_every, state = found["repeated"]
    assert first == found["whole "][:BATCHES]
    assert second == found["whole "]
    assert reload_every == 5
    assert state["trainer_epoch"] == 3
    assert sorted(state["train"]["train"]) == sorted(Loader(range(4)).state_dict())


def test_the_tuner_leaves_no_trace_but_its_batch_size(found: Any) -> None:
    """What it tried is not counted."""
    size, used, seen = found["tuned"]
    loader = Loader(range(COUNT), size, shuffle=True, seed=1)
    assert size == used > 2
    assert seen == [[0, batch.tolist()] for batch in loader]


def test_two_ranks_train_with_equal_shares(found: Any) -> None:
    """Lightning adds no sampler of its own."""
    (first, *_), (second, *_) = found["two ranks"]
    assert [epoch for epoch, _ in first + second] == [0] * 4
    seen = [sample for _, batch in first + second for sample in batch]
    assert len(seen) == len(set(seen)) == 16
    epochs = of_epochs(found["one rank"])
    assert [len(set(samples)) for samples in epochs.values()] == [8, 24, 24]
    assert sorted(epochs) == [0, 1, 2]
    assert not set(epochs[0]) & set(seen)


def test_two_ranks_evaluate_in_as_many_batches(found: Any) -> None:
    """Each sample once: a metric that is summed over the ranks is exact."""
    (_, first, logged, some, _), (_, second, also, rest, _) = found["two ranks"]
    assert first == 2 * [[100, 101, 102], [103, 104]] + 0 * first
    assert second == 2 * [[105, 106], [107, 108]]
    assert logged == also == [{"mean": 104.0}]
    assert (some, rest) == ([[0, 1], [2, 3]], [[4, 5], [6]])


def test_ranks_of_one_model_read_the_same(found: Any) -> None:
    """Those that Lightning's ModelParallelStrategy cuts a model over."""
    (*_, first), (*_, second) = found["two ranks"]
    assert first == second == found["whole "][:2]


def test_without_lightning_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package itself can be imported, and names what it has."""
    module = "aisio.integrations.lightning.data_module"
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    package = importlib.import_module("aisio.integrations.lightning")
    monkeypatch.delitem(vars(package), "DataModule", raising=False)
    assert "DataModule" in dir(package)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightning"):
        _ = package.DataModule


def test_killed_jobs_go_on_with_other_numbers_of_ranks(found: Any) -> None:
    """One rank, two, one: what was trained up to the checkpoints is the epoch, each sample once."""
    first, second, third = found["killed"]
    trained = [line for line in first if line[0] < 2] + [line for line in second if line[0] < 4]
    by_epoch: dict[int, Counter[int]] = {}
    for _, epoch, *samples in trained + third:
        by_epoch.setdefault(epoch, Counter()).update(samples)
    assert by_epoch == {0: Counter(range(60)), 1: Counter(range(60))}
    assert ([line[0] for line in first], min(line[0] for line in third)) == ([0, 1, 2], 4)
