"""EqualByKey: objects that are equal if they stand for the same thing."""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["EqualByKey"]


class EqualByKey:
    """The base of classes whose objects are equal if their keys are.

    A class that has no `_key` of its own, such as a subclass with more attributes, is compared by
    identity.
    """

    def _key(self) -> Hashable:
        """Return what tells this object from others of its class."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, EqualByKey) or type(self) is not type(other):
            return False
        return _has_key(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key())) if _has_key(self) else object.__hash__(self)


def _has_key(one: EqualByKey) -> bool:
    return "_key" in vars(type(one))
