"""obstore in this process, also after a fork.

obstore runs its requests on a tokio runtime, which belongs to the loaded extension; all stores
share it. A forked child inherits the runtime without its threads: any request there waits for ever,
even through a new store. So a child whose parent had loaded obstore loads the extension again, from
a copy of its file. The dynamic linker takes another file for another library, which has a runtime
of its own. That takes some 50 ms and a temporary copy of 15 MB for each child (obstore 0.12.1).

The child never frees what it inherited: its destructors would wait for threads that are gone.

Source: tokio issue 4301 and obstore pull request 441 (neither supports fork).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from aisio import forks
from aisio.extras import missing_extra

_EXTENSION = "obstore._obstore"


@dataclass(frozen=True)
class Obstore:
    """The obstore that works in one process.

    Attributes:
        api: The package; typed as Any because it may be a second copy of it.
        pid: The process.
        memory: Bucket name -> MemoryStore; each process has its own.
    """

    api: Any
    pid: int
    memory: dict[str, Any] = field(default_factory=dict)


_lock = threading.Lock()
_current: Obstore | None = None
_is_inherited = False
_never_freed: list[object] = []


def current_obstore() -> Obstore:
    """Return the obstore of this process, loading it on first use.

    Raises:
        MissingExtraError: obstore is not installed.
    """
    global _current
    with _lock:
        if _current is None or _current.pid != os.getpid():
            never_free(_current)
            _current = Obstore(_load_again() if _is_inherited else _load(), os.getpid())
        return _current


def never_free(inherited: object) -> None:
    """Keep what the obstore of another process made for as long as this process lives."""
    _never_freed.append(inherited)


def _load() -> ModuleType:
    try:
        importlib.import_module("obstore.store")
        return importlib.import_module("obstore")
    except ModuleNotFoundError as error:
        raise missing_extra("obstore", "stores") from error


def _load_again() -> ModuleType:
    """Import the package again, its extension from a copy; leave sys.modules as it was."""
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if _is_obstore(name)}
    original = before[_EXTENSION].__file__
    assert original is not None
    with tempfile.NamedTemporaryFile(suffix=Path(original).suffix) as copy:
        with Path(original).open("rb") as file:
            shutil.copyfileobj(file, copy, 1024 * 1024)
        copy.flush()
        finder = _CopyFinder(copy.name)
        sys.meta_path.insert(0, finder)
        try:
            return _load()
        finally:
            sys.meta_path.remove(finder)
            for name in [name for name in sys.modules if _is_obstore(name)]:
                never_free(sys.modules.pop(name))
            sys.modules.update(before)


def _is_obstore(name: str) -> bool:
    return name == "obstore" or name.startswith("obstore.")


class _CopyFinder:
    """Finds the extension in a file with another name."""

    def __init__(self, path: str) -> None:
        self._path = path

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _EXTENSION:
            return None
        loader = ExtensionFileLoader(name, self._path)
        return importlib.util.spec_from_file_location(name, self._path, loader=loader)


@forks.in_child
def _after_fork() -> None:
    # A thread that the child does not have may have held the lock.
    global _lock, _is_inherited
    _lock = threading.Lock()
    _is_inherited = _is_inherited or _EXTENSION in sys.modules
