"""BackgroundLoading: the large files of a model are read while the program goes on.

Until a file has arrived, a stand-in has its place: an empty file, or for safetensors a sparse file
that holds the header alone and has the length of the real one. The hooks of `aisio.models.hooks`
wait for the real file. safetensors reads the header by itself, and then has torch map the file: it
is there that the hook waits.

A program that reads without these functions would see the stand-in. So one that cannot be replaced
any more, after an error, is made empty.

Source:
    safetensors 0.8: safe_open maps the file, checks its length against the header, and for
    framework="pt" reads tensors from torch.UntypedStorage.from_file.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from aisio.errors import AisioError
from aisio.forks import this_process
from aisio.formats.safetensors import LENGTH_BYTES, SUFFIX, header_bytes
from aisio.models.files import ModelFile
from aisio.models.folder import ModelFolder
from aisio.models.hooks import StandIns
from aisio.models.loading import LoadStoppedError, ModelLoader, check_version
from aisio.records import ByteRange
from aisio.stores import Store
from aisio.transport.body import read_with_retries
from aisio.transport.retries import Attempts

__all__ = ["BackgroundLoading"]

_HEADER_GUESS_BYTES = 256 * 1024


class BackgroundLoading:
    """The thread that reads the large files of one model, and who waits for it.

    Args:
        store: Has the files.
        files: The large ones.
        folder: Where the stand-ins are.
        loader: Reads the files; it calls `complete` with each.

    Raises:
        MissingExtraError: torch is not installed.
    """

    def __init__(
        self, store: Store, files: Sequence[ModelFile], folder: ModelFolder, loader: ModelLoader
    ) -> None:
        self._store = store
        self._folder = folder
        self._loader = loader
        self._process = this_process()
        self._arrived = {file.name: threading.Event() for file in files}
        self._error: BaseException | None = None
        self._stop = _Stop()
        self._stand_ins = StandIns()
        self._thread: threading.Thread | None = None

    def start(self, files: Sequence[ModelFile]) -> None:
        """Put stand-ins in the place of files, and start to read the files.

        Raises:
            ConfigError: The files do not fit into memory.
            NotFoundError, IntegrityError, ...: A header cannot be read.
        """
        lock = self._loader.lock_and_check_room()
        try:
            self._loader.report_complete()
            for file in files:
                path = self._folder.path_of(file.name)
                if not path.is_symlink():
                    self._make_stand_in(file, path)
                    self._stand_ins.add(path, partial(self.wait, file.name))
            work = partial(self._run, lock)
            self._thread = threading.Thread(target=work, name="aisio-model-loading", daemon=True)
            self._thread.start()
        except BaseException:
            self._loader.unlock(lock)
            raise

    def complete(self, file: ModelFile) -> None:
        """Note that a file has its place."""
        self._arrived[file.name].set()

    def wait(self, name: str) -> None:
        """Wait for a file; a forked child, which has no such thread, reads what is missing.

        Raises:
            AisioError, OSError: The file could not be read.
        """
        if not self._process.is_current:
            self._loader.load(threading.Event())
            return
        self._arrived[name].wait()
        error = self._error
        if error is not None and not self._folder.path_of(name).is_symlink():
            # Several threads may raise it, each with a traceback of its own.
            raise type(error)(*error.args) from error

    def wait_for_all(self) -> None:
        """Wait for all files; errors are those of `wait`."""
        for name in self._arrived:
            self.wait(name)

    def close(self) -> None:
        """End the thread, and remove the hooks."""
        if self._process.is_current:
            self._stop.set()
            if self._thread is not None:
                self._thread.join()
        self._stand_ins.close()

    def _run(self, lock: int | None) -> None:
        try:
            self._loader.load(self._stop, lock)
        except (AisioError, OSError) as error:
            self._fail(error)
        except BaseException as error:
            self._fail(error)
            raise

    def _fail(self, error: BaseException) -> None:
        self._error = error
        for name, arrived in self._arrived.items():
            if not arrived.is_set() and not isinstance(error, LoadStoppedError):
                _empty(self._folder.path_of(name))
            arrived.set()

    def _make_stand_in(self, file: ModelFile, path: Path) -> None:
        if path.exists():  # another process has made it
            return
        header = self._read_header(file) if file.name.endswith(SUFFIX) else b""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{secrets.token_hex(8)}.aisio-partial")
        new.write_bytes(header)
        if header:
            os.truncate(new, file.size_bytes)
        with suppress(FileExistsError):  # the real file has come meanwhile
            os.link(new, path)
        new.unlink()

    def _read_header(self, file: ModelFile) -> bytes:
        start = self._read(file, min(file.size_bytes, _HEADER_GUESS_BYTES))
        length = header_bytes(start, file.size_bytes, str(file.url))
        size = LENGTH_BYTES + length
        return start[:size] if size <= len(start) else self._read(file, size)

    def _read(self, file: ModelFile, size: int) -> bytes:
        info, data = read_with_retries(
            partial(self._store.get, file.url, ByteRange(0, size)),
            lambda body: (body.info, body.readall()),
            Attempts(self._store.retry_policy),
        )
        check_version(self._store, file, info)
        return data


class _Stop(threading.Event):
    """Is set at the end of the program too, which would otherwise wait for the files."""

    def is_set(self) -> bool:
        return super().is_set() or not threading.main_thread().is_alive()


def _empty(stand_in: Path) -> None:
    """Make a stand-in empty; a link is the real file."""
    with suppress(OSError):
        descriptor = os.open(stand_in, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.close(descriptor)
