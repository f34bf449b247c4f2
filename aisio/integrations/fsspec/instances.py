"""BySettings: which file systems are one instance."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from fsspec.asyn import AsyncFileSystem
from fsspec.config import apply_config

from aisio.config import variables_with
from aisio.stores import DirectSettings

__all__ = ["BySettings"]

_hidden: ContextVar[int] = ContextVar("_hidden", default=0)


class BySettings(type(AsyncFileSystem)):  # type: ignore[misc]  # fsspec has no types
    """The class of file systems whose settings fsspec cannot tell apart by itself.

    fsspec keeps one file system for arguments whose `repr` is the same. That of a client and of
    `DirectSettings` hides tokens and keys: whoever came second would get the access of the first.
    """

    @property
    def hidden_settings(cls) -> int:
        """What fsspec compares besides the arguments of the call that is under way."""
        return _hidden.get()

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """Return the file system of these arguments, and of the environment as it is now."""
        previous = _hidden.set(_hash_of(**apply_config(cls, options)))
        try:
            return super().__call__(*args, **options)
        finally:
            _hidden.reset(previous)


def _hash_of(client: Any = None, endpoint: Any = None, direct: Any = False, **_: Any) -> int:
    """Return a hash of what `repr` does not show; Python salts it for each process."""
    # The variables, not the settings: those hold the token that a file has at the moment.
    cluster = variables_with(("AIS_",)) if endpoint and client is None else client
    keys = repr(sorted(direct.options.items())) if isinstance(direct, DirectSettings) else ""
    return hash((cluster, keys))
