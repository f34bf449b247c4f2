"""`python -m aisio` is the command `aisio`."""

from __future__ import annotations

from aisio.cli import main

if __name__ == "__main__":
    main(prog_name="aisio")
