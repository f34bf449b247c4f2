"""Which request gets which fault: rules that are used up as requests come. Without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aisio.testing.fault_proxy import Fault, Misroute, Rule, SeenRequest

__all__ = ["Rules"]


@dataclass
class _Live:
    """A rule, and what is left of it."""

    rule: Rule
    skip: int
    times: int | None


class Rules:
    """The rules of a proxy; of several that fit a request, the first added is it."""

    def __init__(self) -> None:
        self._rules: list[_Live] = []

    def add(self, rule: Rule) -> None:
        """Take a rule in."""
        self._rules.append(_Live(rule, rule.skip, rule.times))

    def clear(self) -> None:
        """Forget all rules."""
        self._rules.clear()

    def choose(self, seen: SeenRequest, past: Sequence[SeenRequest]) -> Fault | None:
        """Return the fault that a request is to get.

        Args:
            seen: The request.
            past: Those before it.
        """
        for live in self._rules:
            rule = live.rule
            if rule.method not in ("*", seen.method) or not fnmatchcase(seen.path, rule.path):
                continue
            fault = _misrouted(rule.fault, seen, past)
            if fault is None:
                continue
            if live.skip:
                live.skip -= 1
                continue
            if live.times is not None:
                live.times -= 1
                if not live.times:
                    self._rules.remove(live)
            return fault
        return None


def _misrouted(fault: Fault, seen: SeenRequest, past: Sequence[SeenRequest]) -> Fault | None:
    if not isinstance(fault, Misroute) or fault.target:
        return fault
    for before in reversed(past):
        if (before.method, before.node) == (seen.method, seen.node) and before.path != seen.path:
            return Misroute(before.target)
    return None
