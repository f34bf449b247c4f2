"""Form: the values of a request, from its query or its body. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aisio.tasks.errors import InvalidArguments

__all__ = ["Form"]

_DIGEST_BYTES = 32


class Form:
    """Values by name, each of them a text.

    Args:
        values: The values.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None) -> str:
        """Return a value.

        Raises:
            InvalidArguments: It is missing, and there is no default.
        """
        value = self._values.get(name, default)
        if value is None:
            found = ", ".join(sorted(self._values)) or "nothing"
            raise InvalidArguments(f"the request has no {name!r}; it has {found}")
        return value

    def optional(self, name: str) -> str | None:
        """Return a value, or None if it is missing or empty."""
        return self._values.get(name) or None

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a value as a whole number.

        Raises:
            InvalidArguments: It is none; or is missing, and there is no default.
        """
        text = self.text(name, None if default is None else str(default))
        try:
            return int(text)
        except ValueError:
            raise InvalidArguments(f"{name}={text[:50]!r} is not a whole number") from None

    def number(self, name: str) -> float:
        """Return a value as a number.

        Raises:
            InvalidArguments: It is none, or is missing.
        """
        text = self.text(name)
        try:
            return float(text)
        except ValueError:
            raise InvalidArguments(f"{name}={text[:50]!r} is not a number") from None

    def flag(self, name: str) -> bool:
        """Return a value as a truth value; one that is missing is false."""
        return self._values.get(name, "0").lower() not in ("", "0", "false", "no", "none", "null")

    def json(self, name: str, default: Any) -> Any:
        """Return a value that is JSON.

        Raises:
            InvalidArguments: It is not.
        """
        text = self.optional(name)
        if text is None:
            return default
        try:
            return json.loads(text)
        except ValueError:
            raise InvalidArguments(f"{name}={text[:50]!r} is not JSON") from None

    def digest(self, *more: str) -> str:
        """Return BLAKE2b over all values, and over further texts, in hexadecimal digits."""
        content = json.dumps([sorted(self._values.items()), more])
        return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).hexdigest()

    def given(self, *names: str) -> dict[str, str]:
        """Return those of some values that the request has."""
        return {name: self._values[name] for name in names if name in self._values}
