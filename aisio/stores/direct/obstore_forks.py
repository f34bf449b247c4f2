"""obstore in this process, also after fork.

obstore runs its requests on a tokio runtime that belongs to the loaded extension, one for all
stores. A forked child inherits it without its threads: any request there waits for ever, through
new store objects as well. So a child whose parent had loaded obstore loads the extension once more,
from a copy of its file: another file is another image, with a runtime of its own. That takes some
50 ms and a temporary copy of 15 MB, once a child (obstore 0.12.1).

What the child inherited is never freed there, as the threads that its destructors talk to are gone.

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

from aisio.extras import missing_extra

_EXTENSION = "obstore._obstore"


@dataclass(frozen=True)
class Obstore:
    """The obstore that works in one process.

    Attributes:
        api: The package, typed loosely as it may be a second copy of it.
        pid: The process.
        memory: Bucket name -> its MemoryStore; each process has its own.
    """

    api: Any
    pid: int
    memory: dict[str, Any] = field(default_factory=dict)


_lock = threading.Lock()
_current: Obstore | None = None
_inherited = False
_kept: list[object] = []


def obstore_here() -> Obstore:
    """Return the obstore of this process, loading it on first use.

    Raises:
        MissingExtraError: obstore is not installed.
    """
    global _current
    with _lock:
        if _current is None or _current.pid != os.getpid():
            keep(_current)
            _current = Obstore(_load_again() if _inherited else _load(), os.getpid())
        return _current


def keep(inherited: object) -> None:
    """Hold what another process's obstore made for as long as this process lives."""
    _kept.append(inherited)


def _load() -> ModuleType:
    try:
        importlib.import_module("obstore.store")
        return importlib.import_module("obstore")
    except ModuleNotFoundError as error:
        raise missing_extra("obstore", "stores") from error


def _load_again() -> ModuleType:
    """Import the package anew, its extension from a copy, and leave sys.modules as it was."""
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
                keep(sys.modules.pop(name))
            sys.modules.update(before)


def _is_obstore(name: str) -> bool:
    return name == "obstore" or name.startswith("obstore.")


class _CopyFinder:
    """Finds the extension in a file of another name."""

    def __init__(self, path: str) -> None:
        self._path = path

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _EXTENSION:
            return None
        loader = ExtensionFileLoader(name, self._path)
        return importlib.util.spec_from_file_location(name, self._path, loader=loader)


def _after_fork() -> None:
    # The lock may have been held by a thread that is not here.
    global _lock, _inherited
    _lock = threading.Lock()
    _inherited = _inherited or _EXTENSION in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
