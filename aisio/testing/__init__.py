"""Helpers for tests, shipped for those who write stores, sources and training code.

`FaultProxy` breaks connections on cue; its faults are in `aisio.testing.fault_proxy`.
`StoreContract` is what every store must do, as tests; it needs pytest, which the extra `tests`
brings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisio.testing.fault_proxy import FaultProxy
    from aisio.testing.store_contract import StoreContract

__all__ = ["FaultProxy", "StoreContract"]

_HOMES = {
    "FaultProxy": "aisio.testing.fault_proxy",
    "StoreContract": "aisio.testing.store_contract",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
