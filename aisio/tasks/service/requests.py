"""What a task asks of the machines, in the words of engines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["engine_resources"]

_CPUS = frozenset({"cpu", "cpus"})
_NOT_COUNTED = frozenset({"memory", "mem", "disk", "storage"})


def engine_resources(request: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    """Return "cpus" and "gpus" of a request.

    "CPU" is cpus. Memory and disk are not counted, as engines do not reserve them. Every other
    name, such as "GPU" or "A100-80G", is a kind of GPU.
    """
    total = {"cpus": 0.0, "gpus": 0.0}
    for one in request:
        for amounts in one.values():
            for name, amount in amounts.items():
                if name.lower() not in _NOT_COUNTED:
                    total["cpus" if name.lower() in _CPUS else "gpus"] += amount
    return {name: amount for name, amount in total.items() if amount}
