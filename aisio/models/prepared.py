"""PreparedModel: a folder that is ready to be loaded from, and what it takes to keep it so."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from aisio.errors import NotFoundError
from aisio.forks import this_process
from aisio.models.background import BackgroundLoading
from aisio.models.files import ModelFile, Patterns, list_model, model_key
from aisio.models.folder import ModelFolder
from aisio.models.loading import ModelLoader, check_limit, write_small_files
from aisio.models.memory_folder import MemoryFolder
from aisio.models.options import MemoryOptions
from aisio.stores import Store
from aisio.urls import ObjectUrl

__all__ = ["PreparedModel"]


class _Index(msgspec.Struct):
    """The index of a model in several files, as transformers writes it.

    Attributes:
        weight_map: The file of each tensor.
    """

    weight_map: dict[str, str] = msgspec.field(default_factory=dict)


class PreparedModel:
    """The files of a model in a folder, until `close`.

    Args:
        prefix: Where the model is.
        store: Has it.
        path: The folder.
        patterns: Which files belong to the model.
        options: What goes to memory, and how.
        in_background: Return before the large files are there.

    Raises:
        AisioError, OSError: See `ModelDirectory.prepare`; nothing is left behind.
    """

    def __init__(
        self,
        prefix: ObjectUrl,
        store: Store,
        path: Path,
        *,
        patterns: Patterns,
        options: MemoryOptions,
        in_background: bool,
    ) -> None:
        self._prefix = prefix
        self._store = store
        self._process = this_process()
        self._patterns = patterns
        self._background: BackgroundLoading | None = None
        files = list_model(store, prefix, patterns, options)
        large = [one for one in files if one.memory_name]
        check_limit(str(prefix), large, options)
        key = model_key(prefix, files, options)
        with ExitStack() as cleanup:
            self._memory = MemoryFolder(os.fspath(options.folder), key)
            cleanup.callback(self._memory.leave)
            fill = partial(self._write_small_files, files)
            self._folder = ModelFolder(path, url=str(prefix), key=key, files=files, fill=fill)
            cleanup.callback(self._folder.leave)
            loader = ModelLoader(
                str(prefix), store, large, self._memory, options, self._on_complete
            )
            if in_background:
                self._background = BackgroundLoading(store, large, self._folder, loader)
                cleanup.callback(self._background.close)
                self._background.start(large)
            else:
                loader.load(threading.Event())
            self._cleanup = cleanup.pop_all()

    def descriptors(self) -> tuple[int, int]:
        """Return what a program has to inherit to use folder and memory on its own account."""
        return self._folder.lend(), self._memory.lend()

    def wait(self) -> None:
        """Wait until all files are there; errors are those of the reads."""
        if self._background is not None:
            self._background.wait_for_all()

    def close(self) -> None:
        """Use the files no longer; a forked child of the process leaves them alone."""
        if self._process.is_current:
            self._cleanup.close()
        elif self._background is not None:
            self._background.close()

    def _on_complete(self, file: ModelFile) -> None:
        self._folder.link(file.name, self._memory.path_of(file.memory_name))
        if self._background is not None:
            self._background.complete(file)

    def _write_small_files(self, files: Sequence[ModelFile], folder: ModelFolder) -> None:
        small = [one for one in files if not one.memory_name]
        write_small_files(self._store, small, folder)
        names = {one.name for one in files}
        for file in small:
            if file.name.endswith(".index.json"):
                self._check_index(file, folder.path_of(file.name), names)

    def _check_index(self, file: ModelFile, path: Path, names: set[str]) -> None:
        """Check that the files that an index names are in the store."""
        try:
            index = msgspec.json.decode(path.read_bytes(), type=_Index)
        except (msgspec.DecodeError, UnicodeDecodeError):  # some other index
            return
        folder = file.name[: file.name.rfind("/") + 1]
        needed = {folder + name for name in index.weight_map.values()}
        missing = sorted(one for one in needed - names if self._patterns.match(one))
        if missing:
            raise NotFoundError(
                f"{self._prefix}: {file.name} names {len(missing):,} files that are not there, "
                f"such as {missing[0]!r}",
                url=str(self._prefix.join(missing[0])),
            )
