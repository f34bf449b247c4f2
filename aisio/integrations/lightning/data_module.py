"""DataModule: any map-style data, or the URL of it, for Lightning's Trainer, by aisio's Loader.

Lightning counts epochs and batches by itself, and where it resumes it does so before it has read
its own checkpoint, or differently from how it counted before. So the data module keeps the order
and the position: it is asked for its loaders before each epoch, notices by the Trainer's progress
that another epoch begins, and ends that of its loaders. It never takes over Lightning's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.integrations.lightning.source_dataset import open_dataset
from aisio.integrations.lightning.trainer_epoch import TrainerEpoch, trained_batches
from aisio.integrations.lightning.trainer_loader import EvaluationLoader, TrainerLoader
from aisio.training.loader import Loader

try:
    from lightning.pytorch import LightningDataModule
    from lightning.pytorch.trainer.states import TrainerFn
except ImportError as error:
    raise missing_extra("lightning", "lightning") from error

__all__ = ["DataModule", "SplitName"]

SplitName: TypeAlias = Literal["train", "val", "test", "predict"]
"""A split of the data, as the data module's arguments are named."""

_SPLITS_BY_STAGE: dict[str | None, tuple[SplitName, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
    None: ("train", "val", "test", "predict"),
}

_OF_TRAINING = ("equalize", "shuffle", "skip", "window_bytes")
"""Options that an evaluation has no use for: it reads each sample once, in order."""

_ALWAYS = -1
"""For Trainer.reload_dataloaders_every_n_epochs: -1 epochs have passed whenever Lightning looks. It
then asks for the loaders, and counts their batches, before each epoch and when it has restored a
checkpoint; with 1, not if it has asked before, as trainer.estimated_stepping_batches does."""


class DataModule(LightningDataModule):
    """Datasets, or sources, as the loaders of a Trainer.

    Training is shuffled, another way in each epoch; all ranks have as many full batches. The
    checkpoints of a Trainer hold where the training stands: it goes on there, within an epoch too,
    with any number of devices, workers and samples in a batch. Validation, test and prediction read
    each sample once, in order, and all ranks have as many batches, of which some are smaller.

    Each split is a map-style dataset; a function that makes one, which is called in each process;
    or a source, in any form that `aisio.source` understands, or a list of sources. A source of tar
    shards is read by `AISShardDataset`, any other by `AISMapDataset`; a dataset that you make has
    their other arguments. A dict of these is a dict of loaders, which Lightning combines.

    The arguments are those of four splits and of how all are read, so they are many.

    Args:
        train: What is trained with.
        val: What `fit` and `validate` validate with.
        test: What is tested with.
        predict: What predictions are made for.
        batch_size: Number of samples of a batch, on each device.
        eval_batch_size: The same where no training takes place; by default `batch_size`.
        num_workers: Number of worker processes of each loader.
        shuffle: Whether training is shuffled.
        seed: Chooses the orders, from 0.
        options: Further arguments of `aisio.Loader` and torch's DataLoader, as in `collate_fn` and
            `pin_memory`. `equalize`, `skip` and `window_bytes` are for training alone. See
            `loader_options` for options of one split.

    Attributes:
        batch_size: As given; it may be changed, as Lightning's Tuner does.
    """

    def __init__(
        self,
        train: Any = None,
        *,
        val: Any = None,
        test: Any = None,
        predict: Any = None,
        batch_size: int = 1,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        shuffle: bool = True,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self._eval_batch_size = eval_batch_size
        self._options = {"num_workers": num_workers, "shuffle": shuffle, "seed": seed, **options}
        self._given: dict[SplitName, Any] = {
            "train": train,
            "val": val,
            "test": test,
            "predict": predict,
        }
        self._datasets: dict[SplitName, dict[str, Any]] = {}
        self._loaders: dict[SplitName, dict[str, Loader]] = {}
        self._epoch = TrainerEpoch(type(self).__name__)
        self._reload_every: int | None = None

    def __str__(self) -> str:
        # Lightning's own would iterate the loaders.
        given = [
            f"{name}: {type(what).__name__}"
            for name, what in self._given.items()
            if what is not None
        ]
        return f"<{type(self).__name__} {', '.join(given)}>"

    def loader_options(self, split: SplitName) -> dict[str, Any]:
        """Return the arguments of a split's Loader, but for the dataset.

        A subclass may change them, as in a `collate_fn` for training alone.
        """
        if split == "train":
            shuffle = self._options["shuffle"] and not self._overfits
            return {**self._options, "batch_size": self.batch_size, "shuffle": shuffle}
        options = {name: self._options[name] for name in self._options if name not in _OF_TRAINING}
        batch_size = self.batch_size if self._eval_batch_size is None else self._eval_batch_size
        return {**options, "batch_size": batch_size, "equalize": "shrink"}

    def setup(self, stage: str | None = None) -> None:
        """Open the datasets of a stage, and begin to train at the Trainer's epoch.

        Raises:
            ConfigError: There is no such stage, or no `train` to fit; or an argument of the Loader
                cannot be right.
            NotFoundError: A source has no object.
        """
        if stage not in _SPLITS_BY_STAGE:
            raise ConfigError(f"stage={stage!r}: 'fit', 'validate', 'test' or 'predict' is needed")
        for split in _SPLITS_BY_STAGE[stage]:
            self._open(split)
            self._loaders.pop(split, None)
        trainer: Any = self.trainer
        if stage != "fit" or trainer is None:
            return
        self._epoch.begin(trainer, [*self._split_loaders("train").values()])
        if self._reload_every is None:
            self._reload_every = trainer.reload_dataloaders_every_n_epochs
        trainer.reload_dataloaders_every_n_epochs = _ALWAYS

    def teardown(self, stage: str | None = None) -> None:
        """Give the Trainer its setting back that `setup` has changed."""
        self._give_back()

    def on_exception(self, exception: BaseException) -> None:
        """Do the same; Lightning calls no `teardown` then."""
        self._give_back()

    def train_dataloader(self) -> Any:
        """Return the loader of the training, or a dict of loaders.

        Before each epoch Lightning asks for them, and they go to their next epoch.

        Raises:
            ConfigError: There is no `train`.
        """
        loaders = self._split_loaders("train")
        if self._is_fitting:
            self._epoch.follow(self.trainer, [*loaders.values()])
        return self._as_given("train")

    def val_dataloader(self) -> Any:
        """Return the loader of the validation, or a dict of loaders; none in `fit` without `val`.

        Raises:
            ConfigError: `validate` was called, and there is no `val`.
        """
        return [] if self._given["val"] is None and self._is_fitting else self._as_given("val")

    def test_dataloader(self) -> Any:
        """Return the loader of the test, or a dict of loaders.

        Raises:
            ConfigError: There is no `test`.
        """
        return self._as_given("test")

    def predict_dataloader(self) -> Any:
        """Return the loader of the predictions, or a dict of loaders.

        Raises:
            ConfigError: There is no `predict`.
        """
        return self._as_given("predict")

    def state_dict(self) -> dict[str, Any]:
        """Return where the training stands: JSON's types, the same on every rank."""
        loaders = self._loaders.get("train")
        if not loaders:
            return {}
        states = {name: loader.state_dict() for name, loader in loaders.items()}
        return {"trainer_epoch": self._epoch.number, "train": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to where a training stood; does nothing where the Trainer does not train.

        Raises:
            ConfigError: The state is of other data, of loaders with other names, or damaged.
        """
        if self.trainer is not None and not self._is_fitting:
            return
        loaders, states = self._split_loaders("train"), state_dict.get("train")
        epoch = state_dict.get("trainer_epoch")
        if not isinstance(states, Mapping) or not isinstance(epoch, int):
            raise ConfigError(f"this is no state of a {type(self).__name__}: {state_dict!r:.80}")
        if states.keys() != loaders.keys():
            raise ConfigError(
                f"the state is of the loaders {', '.join(states)}, and this {type(self).__name__}"
                f" trains with {', '.join(loaders)}"
            )
        for name, loader in loaders.items():
            loader.load_state_dict(states[name])
        self._epoch.restore(epoch)

    @property
    def _is_fitting(self) -> bool:
        return self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING

    @property
    def _overfits(self) -> bool:
        trainer: Any = self.trainer
        return trainer is not None and trainer.overfit_batches > 0

    def _give_back(self) -> None:
        trainer: Any = self.trainer
        if trainer is not None and self._reload_every is not None:
            trainer.reload_dataloaders_every_n_epochs = self._reload_every
            self._reload_every = None

    def _count_trained(self) -> int:
        return trained_batches(self.trainer) if self._is_fitting else -1

    def _as_given(self, split: SplitName) -> Any:
        loaders = self._split_loaders(split)
        return loaders if isinstance(self._given[split], Mapping) else loaders[split]

    def _split_loaders(self, split: SplitName) -> dict[str, Loader]:
        """Return the loaders of a split, with a batch size that may have been changed."""
        found = self._loaders.get(split, {})
        options = self.loader_options(split)
        if not found or any(one.batch_size != options["batch_size"] for one in found.values()):
            loaders = self._make_loaders(split, options)
            for name, loader in found.items():
                loaders[name].load_state_dict(loader.state_dict())
            self._loaders[split] = loaders
        return dict(self._loaders[split])

    def _make_loaders(self, split: SplitName, options: dict[str, Any]) -> dict[str, Loader]:
        datasets = self._open(split)
        if not datasets:
            raise ConfigError(f"<{type(self).__name__}> was given no {split}=")
        options = {"ranks": self._ranks(), **options}
        if split == "train":
            return {
                name: TrainerLoader(self._count_trained, dataset, **options)
                for name, dataset in datasets.items()
            }
        return {name: EvaluationLoader(dataset, **options) for name, dataset in datasets.items()}

    def _open(self, split: SplitName) -> dict[str, Any]:
        """Return the datasets of a split by the names of their loaders."""
        given = self._given[split]
        if given is not None and split not in self._datasets:
            named = given if isinstance(given, Mapping) else {split: given}
            owner = type(self).__name__
            self._datasets[split] = {
                str(name): open_dataset(what, owner) for name, what in named.items()
            }
        return self._datasets.get(split, {})

    def _ranks(self) -> Any:
        """Return who shares the data: the ranks to which Lightning would give a sampler each."""
        if self.trainer is None:
            return "auto"
        shares = self.trainer.distributed_sampler_kwargs
        if shares is None:  # this process trains by itself
            return None
        if shares["num_replicas"] == self.trainer.world_size:
            return "auto"  # through their process group the ranks can compare their states
        return shares["rank"], shares["num_replicas"]
