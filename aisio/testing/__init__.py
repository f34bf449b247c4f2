"""Helpers for tests, shipped for those who write stores, sources and training code.

`assert_exact_resume` stops a loader at many places and fails if a sample is lost or comes twice.
`simulate_job` does so at random times, with other ranks after each.
`FaultProxy` injects faults into HTTP; its faults are in `aisio.testing.fault_proxy`.
`StoreContract` has the tests that every store must pass; it needs pytest, which the extra `tests`
installs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.testing.exact_resume import assert_exact_resume
    from aisio.testing.fault_proxy import FaultProxy
    from aisio.testing.simulated_job import simulate_job
    from aisio.testing.store_contract import StoreContract

__all__ = ["FaultProxy", "StoreContract", "assert_exact_resume", "simulate_job"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.testing.exact_resume": ("assert_exact_resume",),
        "aisio.testing.fault_proxy": ("FaultProxy",),
        "aisio.testing.simulated_job": ("simulate_job",),
        "aisio.testing.store_contract": ("StoreContract",),
    },
)
