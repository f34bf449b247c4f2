"""PickledDataWDS: a WebDataModule that first writes its shards, from a folder of pickles."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from aisio.errors import ConfigError
from aisio.integrations.lightning.pickle_shards import staged_pickles
from aisio.integrations.lightning.shard_folder import ShardFolder
from aisio.integrations.lightning.split import Split
from aisio.integrations.lightning.web_data_module import WebDataModule

__all__ = ["PickledDataWDS"]


class PickledDataWDS(WebDataModule):
    """A WebDataModule whose shards are made of files `{dir_pickles}/{name}.{suffix}`.

    `prepare_data` writes them; `pickles_to_tars` says how. The shards of all splits are written to
    this machine first. Then those of one split after another are published.

    If all folders are in stores, Lightning calls `prepare_data` on one node only; change that by
    `prepare_data_per_node`.

    Args:
        dir_pickles: Folder, or URL, of the files.
        names_subset: The names of each split's samples, and so `n_samples`.
        args: The arguments of WebDataModule from suffix_keys_wds on, in either form. With
            global_batch_size after dirs_tars_wds it is the form with n_samples.
        n_tars_wds: Minimum number of shards of a split; see `min_num_shards` of `pickles_to_tars`.
        kwargs: The same by name.

    Raises:
        ConfigError: A split has no name, or two splits have the same folder.
        RuntimeError: A split with names has no folder.
        TypeError: As for WebDataModule.
    """

    def __init__(
        self,
        dir_pickles: str | os.PathLike[str],
        names_subset: Mapping[Split, Iterable[str]],
        *args: Any,
        n_tars_wds: int | None = None,
        **kwargs: Any,
    ) -> None:
        names = {split: _checked_names(split, some) for split, some in names_subset.items()}
        if "global_batch_size" in kwargs or (len(args) > 2 and not isinstance(args[2], str)):
            args = ({split: len(some) for split, some in names.items()}, *args)
        super().__init__(*args, **kwargs)
        self._dir_pickles = dir_pickles
        self._names_subset = names
        self._n_tars_wds = n_tars_wds
        folders = self._folders()
        if not any(folder.is_local for folder in folders):
            self.prepare_data_per_node = False

    def _folders(self) -> list[ShardFolder]:
        """Return the folder of each split with names.

        Raises:
            RuntimeError: There is none.
            ConfigError: Two splits have the same.
        """
        folders = []
        used: dict[str, Split] = {}
        for split in self._names_subset:
            if split not in self._dirs_tars_wds:
                raise RuntimeError(f"{split} has names, but no folder in dirs_tars_wds")
            folders.append(ShardFolder(self._dirs_tars_wds[split]))
            url = str(folders[-1].files.url)
            if url in used:
                where = folders[-1].pattern(self._prefix_tars_wds)
                raise ConfigError(
                    f"{used[url]} and {split} would both write {where}: give each its own folder"
                )
            used[url] = split
        return folders

    def prepare_data(self) -> None:
        """Write the shards; Lightning calls it in one process of each node.

        Raises:
            RuntimeError: A file is missing; see `pickles_to_tars`. No shard has changed.
            StorageError: The shards of a split cannot be written. That split's are as they were,
                unless the text says that they are not complete.
        """
        with ExitStack() as stack:
            staged = [
                stack.enter_context(
                    staged_pickles(
                        self._dir_pickles,
                        names,
                        self._suffix_keys_wds,
                        self._dirs_tars_wds[split],
                        self._prefix_tars_wds,
                        min_num_shards=self._n_tars_wds,
                    )
                )
                for split, names in self._names_subset.items()
            ]
            for one in staged:
                one.publish()


def _checked_names(split: Split, names: Iterable[str]) -> list[str]:
    if isinstance(names, (str, bytes)):
        raise TypeError(f"names_subset: {names!r} for {split}: expected several names, in a list")
    listed = list(names)
    if not listed:
        raise ConfigError(f"names_subset has no name for {split}: leave the split out")
    return listed
