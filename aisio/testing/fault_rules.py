"""Rules that decide which request gets which fault. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aisio.testing.fault_proxy import Fault, Misroute, Rule, SeenRequest

__all__ = ["Rules"]


@dataclass
class _ActiveRule:
    """A rule, and how many more requests it skips and applies to."""

    rule: Rule
    skip: int
    times: int | None


class Rules:
    """The rules of a proxy; the first one added that matches a request applies."""

    def __init__(self) -> None:
        self._rules: list[_ActiveRule] = []

    def add(self, rule: Rule) -> None:
        """Add a rule after the others."""
        self._rules.append(_ActiveRule(rule, rule.skip, rule.times))

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def choose(self, request: SeenRequest, earlier: Sequence[SeenRequest]) -> Fault | None:
        """Return the fault for a request, or None, and count the request for its rule.

        Args:
            request: The new request.
            earlier: The requests before it, oldest first.
        """
        for active in self._rules:
            rule = active.rule
            if rule.method not in ("*", request.method) or not fnmatchcase(request.path, rule.path):
                continue
            fault = _resolve(rule.fault, request, earlier)
            if fault is None:
                continue
            if active.skip:
                active.skip -= 1
                continue
            if active.times is not None:
                active.times -= 1
                if not active.times:
                    self._rules.remove(active)
            return fault
        return None


def _resolve(fault: Fault, request: SeenRequest, earlier: Sequence[SeenRequest]) -> Fault | None:
    """Fill in the target of a Misroute that names none; None if there is no such request yet."""
    if not isinstance(fault, Misroute) or fault.target:
        return fault
    for other in reversed(earlier):
        same_node = (other.method, other.node) == (request.method, request.node)
        if same_node and other.path != request.path:
            return Misroute(other.target)
    return None
