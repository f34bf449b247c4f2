"""to_wds(): a pipeline of webdataset that begins with a Loader, and can be resumed exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info
from webdataset import filters
from webdataset.compat import FluidInterface
from webdataset.pipeline import DataPipeline
from webdataset.shardlists import split_by_node, split_by_worker

from aisio.errors import ConfigError
from aisio.integrations.webdataset.second_split import refuse_second_split
from aisio.training.loader import Loader
from aisio.training.whole_number import whole_number

__all__ = ["LoaderPipeline", "LoaderStage", "to_wds"]

_HOLDING = {
    filters._shuffle: "shuffle",
    filters._unbatched: "unbatched",
    filters._unlisted: "unlisted",
    filters.detshuffle: "detshuffle",
    filters.Cached: "mcached",
    filters.LMDBCached: "lmdb_cached",
}
"""Stages that keep items which they have taken, and nobody can tell how many."""


class LoaderStage(IterableDataset[Any]):
    """The first stage of a LoaderPipeline: what the Loader gives, and how much of it was taken.

    Args:
        loader: Where the batches come from.
    """

    def __init__(self, loader: Loader) -> None:
        super().__init__()
        self.loader = loader
        self._gives_samples = loader.collate_fn is list
        self._before: dict[str, Any] | None = None  # the Loader's state before the current batch
        self._size = 0  # of the current batch
        self._given = 0  # of its items
        self._restored: tuple[int, Any] = (0, None)  # what to skip of the batch that comes
        self._loads = 0

    def __iter__(self) -> Iterator[Any]:
        if get_worker_info() is not None:
            raise ConfigError(
                "to_wds() in a worker of a DataLoader: each worker would read all of the Loader."
                " The Loader has workers of its own: pass num_workers= to it, and iterate the"
                " pipeline itself, not a WebLoader of it"
            )
        refuse_second_split("to_wds()", split_by_node, split_by_worker)
        batches, loads = iter(self.loader), self._loads
        (skip, within), self._restored = self._restored, (0, None)
        before = self.loader.state_dict()
        for batch in batches:
            items = list(map(_as_sample, batch)) if self._gives_samples else [batch]
            if skip and (skip >= len(items) or self.loader.state_dict() != within):
                raise ConfigError(
                    f"the state was saved behind {skip} samples of a batch, and is loaded by a job"
                    " with other ranks or another batch size, which has other batches: save it"
                    " where a batch of the Loader ends"
                )
            self._before, self._size = before, len(items)
            for number, item in enumerate(items[skip:], skip + 1):
                self._given = number
                yield item
                if self._loads != loads:
                    raise RuntimeError("a state was loaded: begin a new iteration")
            skip = 0
            before = self.loader.state_dict()
        self._before = None

    def state_dict(self, held: int = 0) -> dict[str, Any]:
        """Return where the pipeline stands.

        Args:
            held: How many of the last items the stages behind this one have, and have not given.
        """
        state, (skip, within) = self.loader.state_dict(), self._restored
        if skip:
            return {"loader": state, "samples": skip, "within": within}
        taken = self._given - held
        if self._before is None or taken == self._size:
            return {"loader": state, "samples": 0}
        if not taken:
            return {"loader": self._before, "samples": 0}
        return {"loader": self._before, "samples": taken, "within": state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a pipeline stood; errors as for `Loader.load_state_dict`."""
        if not isinstance(state, Mapping) or not isinstance(state.get("loader"), Mapping):
            raise ConfigError("the state is not one of to_wds(): it has no state of a Loader")
        skip = whole_number("samples", state.get("samples"), 0)
        self.loader.load_state_dict(state["loader"])
        self._restored = skip, state.get("within")
        self._before = None
        self._loads += 1


class LoaderPipeline(DataPipeline, FluidInterface):  # type: ignore[misc]
    """A pipeline of webdataset that begins with a Loader; made by `to_wds`."""

    def state_dict(self) -> dict[str, Any]:
        """Return where the trainer stands: JSON's types.

        What the stages have taken and not given yet is counted as not received. It is not known of
        stages that mix or keep items; one of your own must give what it makes of an item before it
        takes the next.

        Raises:
            ConfigError: Such a stage is behind the Loader.
        """
        batches = 0
        for stage in self.pipeline[1:]:
            function = stage.f if isinstance(stage, filters.FilterFunction) else type(stage)
            batches += function is filters._batched
            if function in _HOLDING or batches > 1:
                name = _HOLDING.get(function, "a second batched")
                raise ConfigError(
                    f"state_dict() of a pipeline with {name}(): it keeps samples, which would be"
                    " lost; the Loader shuffles (shuffle=True) and makes batches itself"
                )
        # batched() gives a batch when it has taken the next item.
        return self._stage.state_dict(held=batches)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a trainer stood, for the next iteration.

        Other numbers of ranks and workers are fine, and another batch size; but where the state is
        of the middle of a batch of the Loader, ranks and batch size must be the same.

        Raises:
            ConfigError: As for `Loader.load_state_dict`.
        """
        self._stage.load_state_dict(state)

    @property
    def _stage(self) -> LoaderStage:
        stage: LoaderStage = self.pipeline[0]
        return stage


def to_wds(loader: Loader) -> LoaderPipeline:
    """Return a pipeline of webdataset over a Loader, with a state that can be resumed exactly.

    Its methods are those of `wds.WebDataset`, as in `to_wds(loader).to_tuple("jpg", "cls")`. It
    runs in this process: decode in the Loader's workers, by `transform=` of its dataset. Iterate it
    as it is: a WebLoader, or a splitter of webdataset, behind it is an error.

    Args:
        loader: If its collate_fn is `list`, the pipeline gives samples, `{"__key__": name,
            extension: bytes, ...}`, or the dicts that `transform=` made. Otherwise it gives the
            Loader's batches, as a WebLoader does.

    Raises:
        ConfigError: It is no Loader; at iteration: its dataset gives other items.
    """
    if not isinstance(loader, Loader):
        raise ConfigError(f"to_wds() of a {type(loader).__name__}: an aisio.Loader is needed")
    return LoaderPipeline(LoaderStage(loader))


def _as_sample(item: Any) -> dict[str, Any]:
    """Return an item of AISShardDataset as a sample; a dict is one already.

    Raises:
        ConfigError: The item is something else.
    """
    if isinstance(item, dict):
        return item
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Mapping):
        return {"__key__": item[0], **item[1]}
    raise ConfigError(
        "to_wds() of a Loader with collate_fn=list: its dataset must give (name, fields), as"
        " AISShardDataset does without fields=, or dicts, as its transform= may make them;"
        f" it gave a {type(item).__name__}; without collate_fn=list batches pass as they are"
    )
