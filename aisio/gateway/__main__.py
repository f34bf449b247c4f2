"""What `Gateway` starts. Its options come as a line of JSON: the process list shows no token."""

from __future__ import annotations

import sys

import msgspec

from aisio.errors import AisioError
from aisio.gateway.options import ServerOptions
from aisio.gateway.server import print_endpoint, run


class ChildOptions(msgspec.Struct):
    """What the parent says."""

    options: ServerOptions
    parent_pid: int


def main() -> int:
    """Serve; return the exit status."""
    told = msgspec.json.decode(sys.stdin.readline(), type=ChildOptions)
    try:
        run(told.options, ready=print_endpoint, parent_pid=told.parent_pid)
    except AisioError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
