"""Types of the commands' arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from aisio.errors import ConfigError

if TYPE_CHECKING:
    _ParamType = click.ParamType[int]
else:
    _ParamType = click.ParamType


class SizeType(_ParamType):
    """A number of bytes, with K, M, G or T for multiples of 1,024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            size = value if isinstance(value, int) else parse_size(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        return size if size > 0 else self.fail("at least 1 is needed", param, ctx)


def parse_size(text: str) -> int:
    """Read a number of bytes as in "500", "64K", "256M" or "1G"; K is 1,024.

    Raises:
        ConfigError: It is none.
    """
    match = re.fullmatch(r"([0-9]{1,18})([KMGT]?)", text.strip().upper())
    if match is None:
        raise ConfigError(f"{text!r} is not a number of bytes: expected one as in 64K, 256M or 1G")
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")
