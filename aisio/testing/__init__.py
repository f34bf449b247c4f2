"""Helpers for tests, shipped for those who write stores, sources and training code.

`FaultProxy` breaks connections on cue; its faults are in `aisio.testing.fault_proxy`.
`StoreContract` is what every store must do, as tests; it needs pytest, which the extra `tests`
brings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.testing.fault_proxy import FaultProxy
    from aisio.testing.store_contract import StoreContract

__all__ = ["FaultProxy", "StoreContract"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.testing.fault_proxy": ("FaultProxy",),
        "aisio.testing.store_contract": ("StoreContract",),
    },
)
