"""The process that `Gateway` starts.

Its options come as a line of JSON on stdin, so that the process list does not show the token.
"""

from __future__ import annotations

import sys

import msgspec

from aisio.errors import AisioError
from aisio.gateway.options import ServerOptions
from aisio.gateway.server import print_endpoint, run


class ChildOptions(msgspec.Struct):
    """The line of JSON."""

    options: ServerOptions
    parent_pid: int


def main() -> int:
    """Serve until stopped; return the exit status."""
    child = msgspec.json.decode(sys.stdin.readline(), type=ChildOptions)
    try:
        run(child.options, ready=print_endpoint, parent_pid=child.parent_pid)
    except AisioError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
