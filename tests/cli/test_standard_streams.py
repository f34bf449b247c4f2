"""Stdin, stdout and stderr, which may be closed, or broken pipes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SHOW = (
    "import os, sys\n"
    "from aisio.cli.standard_streams import reserve_closed_descriptors\n"
    "reserve_closed_descriptors()\n"
    "descriptor = os.open(os.devnull, os.O_RDONLY)\n"
    "sys.exit(descriptor)"
)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_the_next_file_does_not_get_the_number_of_a_closed_stream(environ, closed):
    """What is written to the stream would be written to the file."""

    def close() -> None:
        for number in closed:
            os.close(number)

    done = subprocess.run([sys.executable, "-c", SHOW], env=environ, preexec_fn=close)
    assert done.returncode > 2
