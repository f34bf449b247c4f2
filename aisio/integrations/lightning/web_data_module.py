"""WebDataModule: a Lightning data module over webdataset's pipelines, for shards in any store."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import Any, TypeVar, overload

from aisio.errors import AisioError, ConfigError
from aisio.extras import missing_extra
from aisio.integrations.lightning.shard_folder import ShardFolder
from aisio.integrations.lightning.shard_opener import ShardOpener
from aisio.integrations.lightning.split import Split
from aisio.integrations.lightning.web_data_arguments import (
    Invocations,
    KeywordArguments,
    Pipelines,
    WebDataArguments,
    bind_arguments,
    in_order,
    of_split,
)

try:
    from lightning.pytorch import LightningDataModule
except ImportError as error:
    raise missing_extra("lightning", "lightning") from error
try:
    import webdataset
    from webdataset.cache import FileCache, StreamingOpen
except ImportError as error:
    raise missing_extra("webdataset", "lightning") from error

__all__ = ["WebDataModule"]

F = TypeVar("F", bound=Callable[..., None])
_STAGES = {
    "fit": (Split.train, Split.val),
    "validate": (Split.val,),
    "test": (Split.test,),
    "predict": (Split.test,),
}


def _shown_with(arguments: type) -> Callable[[F], F]:
    """Have help() and editors show a constructor with the arguments of a dataclass."""

    def decorate(constructor: F) -> F:
        vars(constructor)["__signature__"] = inspect.signature(arguments.__init__)  # type: ignore[misc]
        return constructor

    return decorate


class WebDataModule(LightningDataModule):
    """A LightningDataModule whose loaders are webdataset's, over tar shards in any store.

    The shards of a split are `{folder}/{prefix_tars_wds}-*.tar`, in the order of their names. Their
    bytes come through aisio, verified; what happens to samples is webdataset's: the dataset is

        WebDataset(urls, **kwargs_wds).decode().extract_keys(...).compose(*pipeline_wds)

    and the loader is `WebLoader(dataset, batch_size=None, **kwargs_wld)`, then
    `.compose(*pipeline_prebatch_wld)`, then `.with_epoch(ceil(n_samples / global_batch_size))`.

    There are two forms of arguments. In the form without n_samples and global_batch_size, which has
    suffix_keys_wds first, the loader has no `with_epoch`.

    More than 8 arguments and 10 attributes: they are those of BioNeMo's class of this name, whose
    subclasses use them.

    Args:
        n_samples: The number of samples of each split.
        suffix_keys_wds: The suffix of the member to read of each sample, or the suffixes; a sample
            is a tuple of the decoded members, in this order.
        dirs_tars_wds: Where the shards of each split are: a folder of this machine, a URL such as
            "ais://bucket/train", or a name in the catalog.
        global_batch_size: Only divides `n_samples`; batches are made by the pipelines. If the
            data has fewer batches, the loader begins it anew; if more, it leaves the rest out.
        prefix_tars_wds: What the shards' names begin with.
        pipeline_wds: For each split a function from an iterator of samples to another, or an
            iterable of such functions; run in the workers.
        pipeline_prebatch_wld: The same, run on the samples that come from the workers.
        kwargs_wds: Keyword arguments of `webdataset.WebDataset` for each split.
        kwargs_wld: Keyword arguments of `webdataset.WebLoader` for each split.
        invoke_wds: Methods of the dataset to call at last, as names with keyword arguments, for
            each split. Each returns the dataset.
        invoke_wld: The same of the loader.

    Raises:
        RuntimeError: n_samples and dirs_tars_wds have different splits.
        TypeError: An argument is missing, unknown, or of the wrong type.
        ConfigError: A number, suffix or prefix is not valid.
    """

    @overload
    def __init__(
        self,
        n_samples: Mapping[Split, int],
        suffix_keys_wds: str | Iterable[str],
        dirs_tars_wds: Mapping[Split, str | os.PathLike[str]],
        global_batch_size: int,
        prefix_tars_wds: str = ...,
        pipeline_wds: Pipelines = ...,
        pipeline_prebatch_wld: Pipelines = ...,
        kwargs_wds: KeywordArguments = ...,
        kwargs_wld: KeywordArguments = ...,
        invoke_wds: Invocations = ...,
        invoke_wld: Invocations = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        suffix_keys_wds: str | Iterable[str],
        dirs_tars_wds: Mapping[Split, str | os.PathLike[str]],
        prefix_tars_wds: str = ...,
        pipeline_wds: Pipelines = ...,
        pipeline_prebatch_wld: Pipelines = ...,
        kwargs_wds: KeywordArguments = ...,
        kwargs_wld: KeywordArguments = ...,
        invoke_wds: Invocations = ...,
        invoke_wld: Invocations = ...,
    ) -> None: ...

    @_shown_with(WebDataArguments)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        bound = bind_arguments(args, kwargs)
        self._n_samples = bound.n_samples
        self._suffix_keys_wds = bound.suffix_keys_wds
        self._dirs_tars_wds = bound.dirs_tars_wds
        self._global_batch_size = bound.global_batch_size
        self._prefix_tars_wds = bound.prefix_tars_wds
        self._pipeline_wds = bound.pipeline_wds
        self._pipeline_prebatch_wld = bound.pipeline_prebatch_wld
        self._kwargs_wds = bound.kwargs_wds
        self._kwargs_wld = bound.kwargs_wld
        self._invoke_wds = bound.invoke_wds
        self._invoke_wld = bound.invoke_wld
        self._dataset: dict[Split, Any] = {}
        self._shard_counts: dict[Split, int] = {}

    def prepare_data(self) -> None:
        """Do nothing: the shards are there already."""

    def setup(self, stage: str) -> None:
        """Make the datasets of a stage.

        Args:
            stage: "fit" for train and val, "validate" for val, "test" or "predict" for test.

        Raises:
            NotImplementedError: Another stage.
            RuntimeError: There is no folder for a split.
            NotFoundError: There is no shard; the text has split, folder and pattern.
        """
        if stage not in _STAGES:
            raise NotImplementedError(f"Data setup with {stage=} is not implemented.")
        for split in _STAGES[stage]:
            self._dataset[split] = self._setup_wds(split)

    def train_dataloader(self) -> Any:
        """Return a loader of the train split.

        Raises:
            ConfigError: A ValueError: `setup` has not made its dataset, or there are fewer shards
                than workers.
        """
        return self._setup_dataloader(Split.train)

    def val_dataloader(self) -> Any:
        """Return a loader of the val split; errors as for `train_dataloader`."""
        return self._setup_dataloader(Split.val)

    def test_dataloader(self) -> Any:
        """Return a loader of the test split; errors as for `train_dataloader`."""
        return self._setup_dataloader(Split.test)

    def predict_dataloader(self) -> Any:
        """Return a loader of the test split; errors as for `train_dataloader`."""
        return self._setup_dataloader(Split.test)

    def _setup_wds(self, split: Split) -> Any:
        if split not in self._dirs_tars_wds:
            raise RuntimeError(
                f"_setup_wds() is called with {split} split that doesn't have the input tar dir"
            )
        try:
            folder = ShardFolder(self._dirs_tars_wds[split])
            shards = folder.shards(self._prefix_tars_wds)
        except AisioError as error:
            raise type(error)(f"{split}: {error}", url=error.url) from error
        self._shard_counts[split] = len(shards)
        # webdataset warns where shardshuffle is left to its default, which is not to shuffle.
        options = {"shardshuffle": False, **(of_split(self._kwargs_wds, split) or {})}
        dataset = webdataset.WebDataset(list(shards), **options)
        # Of a folder of this machine webdataset's cache keeps nothing, but opens it by itself.
        openers = (StreamingOpen, FileCache) if folder.is_local else StreamingOpen
        dataset.pipeline = [
            ShardOpener(folder.source, shards, stage.handler)
            if isinstance(stage, openers)
            else stage
            for stage in dataset.pipeline
        ]
        suffixes = [f"*.{suffix.lower()}" for suffix in in_order(self._suffix_keys_wds)]
        dataset = dataset.decode().extract_keys(*suffixes)
        dataset = _composed(dataset, of_split(self._pipeline_wds, split))
        return _invoked(dataset, of_split(self._invoke_wds, split) or (), split)

    def _setup_dataloader(self, split: Split) -> Any:
        if split not in self._dataset:
            stages = " or ".join(repr(name) for name, splits in _STAGES.items() if split in splits)
            raise ConfigError(f"{split} has no dataset yet: call setup() with {stages} first")
        options = {"batch_size": None, **(of_split(self._kwargs_wld, split) or {})}
        self._check_workers(split, options.get("num_workers", 0))
        loader = webdataset.WebLoader(self._dataset[split], **options)
        loader = _composed(loader, of_split(self._pipeline_prebatch_wld, split))
        if self._n_samples is not None and self._global_batch_size is not None:
            loader = loader.with_epoch(ceil(self._n_samples[split] / self._global_batch_size))
        return _invoked(loader, of_split(self._invoke_wld, split) or (), split)

    def _check_workers(self, split: Split, workers: int) -> None:
        """Refuse a worker without a shard here, where webdataset does when the worker reads."""
        options = of_split(self._kwargs_wds, split) or {}
        is_resampled = options.get("resampled") or options.get("mode") == "resampled"
        by_shards = "workersplitter" not in options and options.get("empty_check", True)
        count = self._shard_counts.get(split, workers)
        if workers > count and by_shards and not is_resampled:
            where = ShardFolder(self._dirs_tars_wds[split]).pattern(self._prefix_tars_wds)
            raise ConfigError(
                f"{split}: there are fewer shards than workers: {count} of {where}, and "
                f"num_workers={workers} in kwargs_wld; have fewer workers, or write more shards"
            )


def _composed(pipeline: Any, stages: Any) -> Any:
    if stages is None:
        return pipeline
    return pipeline.compose(*stages) if isinstance(stages, Iterable) else pipeline.compose(stages)


def _invoked(pipeline: Any, calls: Iterable[tuple[str, Mapping[str, Any]]], split: Split) -> Any:
    """Return a pipeline after calls of its methods.

    Raises:
        AttributeError: There is no such method.
        TypeError: A method returned nothing to go on with.
    """
    for name, options in calls:
        pipeline = getattr(pipeline, name)(**options)
        if pipeline is None:
            raise TypeError(f"{split}: {name}() returned None, and not the dataset or loader")
    return pipeline
