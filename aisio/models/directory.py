"""ModelDirectory: a model of any store as a local folder, with its large files in shared memory."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import ConfigError
from aisio.models.files import Patterns, model_url
from aisio.models.options import MemoryOptions
from aisio.models.prepared import PreparedModel
from aisio.stores import DirectSettings, store_for

__all__ = ["ModelDirectory"]


class ModelDirectory:
    """The files of a model as a folder, for transformers, safetensors, torch and any program.

        with ModelDirectory("ais://models/llama/", "/tmp/llama") as directory:
            model = AutoModel.from_pretrained(directory.path)

    Small files are copied to the folder. Large ones are read into shared memory, verified, and the
    folder has links to them: there is no full copy on a disk, and no function of Python or torch is
    replaced. Processes of one user on one machine share the memory, and may share the folder.

    It takes more than eight arguments: which cluster, which files, and which memory are three
    matters, each with its usual names.

    Args:
        url: The folder of the model, as in "ais://bucket/llama/", "s3://bucket/llama/" or
            "file:///folder/llama/".
        dir: The local folder: a new one, an empty one, or one of a model directory that is no
            longer used. Its files are removed by `close`.
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        allow_patterns: Only files whose names match one of these, as in "*.safetensors".
        ignore_patterns: No files whose names match one of these, as in "*.bin".
        in_background: `prepare` returns before the large files are there. Until then hooks on
            `open` and `torch.UntypedStorage.from_file` wait for them, in this process alone.
        memory: Which files are large, and where they go.

    Attributes:
        url: The folder of the model, with its final "/".
        path: The local folder.

    Raises:
        UrlError: The URL is not valid.
        ConfigError: There is no cluster for the URL, or an argument cannot work.
    """

    def __init__(
        self,
        url: str,
        dir: str | os.PathLike[str],
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        allow_patterns: str | Iterable[str] | None = None,
        ignore_patterns: str | Iterable[str] | None = None,
        in_background: bool = False,
        memory: MemoryOptions | None = None,
    ) -> None:
        if not os.fspath(dir):
            raise ConfigError("dir is empty: name the local folder")
        prefix = model_url(url)
        self.url = str(prefix)
        self.path = Path(dir).absolute()
        self._prefix = prefix
        self._store = store_for(prefix, explicit_client(client, endpoint), direct=direct)
        self._patterns = Patterns.of(allow_patterns, ignore_patterns)
        self._in_background = in_background
        self._options = memory or MemoryOptions()
        self._prepared: PreparedModel | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None

    def prepare(self) -> ModelDirectory:
        """Fill the folder, and return this object; a second call changes nothing.

        It is closed by `close`, when the object is dropped, and at the end of the program.

        Raises:
            NotFoundError: There are no such files, or one is missing that an index names.
            ConfigError: The folder holds other files, or is used for another model; or the large
                files do not fit into memory.
            IntegrityError: A file is not the one that was listed, or not what the store announced.
            CheckpointError: A safetensors file was stored damaged.
            MissingExtraError: `in_background` needs torch.
            OSError: The folder cannot be written.
        """
        if self._prepared is None:
            self._prepared = PreparedModel(
                self._prefix,
                self._store,
                self.path,
                patterns=self._patterns,
                options=self._options,
                in_background=self._in_background,
            )
            self._finalizer = weakref.finalize(self, self._prepared.close)
        return self

    def wait(self) -> None:
        """Wait until all large files are there; with `in_background` alone it takes any time.

        Raises:
            ConfigError: The folder is not prepared.
            NotFoundError, IntegrityError, CheckpointError, ...: A file could not be read.
        """
        self._require_prepared().wait()

    def close(self) -> None:
        """Empty the folder and free the memory, unless other processes use them.

        What is mapped stays mapped: loaded models go on. Call this as often as you like.
        """
        finalizer, self._finalizer, self._prepared = self._finalizer, None, None
        if finalizer is not None:
            finalizer()

    def descriptors(self) -> tuple[int, ...]:
        """Return what `subprocess.Popen(pass_fds=...)` gives to a program that uses the folder.

        While the program runs, the files stay, also when this process calls `close` or ends. Then
        the next ModelDirectory of the folder removes them.

        Raises:
            ConfigError: The folder is not prepared.
        """
        return self._require_prepared().descriptors()

    def __enter__(self) -> ModelDirectory:
        return self.prepare()

    def __exit__(self, *error: object) -> None:
        self.close()

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"ModelDirectory({self.url!r}, {str(self.path)!r})"

    def __deepcopy__(self, memo: object) -> ModelDirectory:
        return self  # transformers copies its arguments

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a ModelDirectory does not pickle: send its path, or make one in each process; they "
            "share the memory"
        )

    def _require_prepared(self) -> PreparedModel:
        if self._prepared is None:
            raise ConfigError(f"{self!r} is not prepared: use it in a with statement")
        return self._prepared
