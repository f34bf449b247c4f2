"""AnonymousFile: a file that processes share, and that nobody has to remove."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
from typing import Any

import pytest

from aisio.anonymous_file import AnonymousFile


def _write(file: AnonymousFile, pipe: Any) -> None:
    file.write(b"from the child", 3)
    pipe.send(os.fstat(file.descriptor).st_size)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_that_is_started_has_the_same_file(method: str) -> None:
    """Though it has no name."""
    file = AnonymousFile()
    file.write(b"012", 0)
    context: Any = multiprocessing.get_context(method)
    mine, theirs = context.Pipe()
    process = context.Process(target=_write, args=(file, theirs))
    process.start()
    assert mine.recv() == 17
    process.join()
    assert os.pread(file.descriptor, 100, 0) == b"012from the child"


def test_it_goes_to_no_other_process() -> None:
    """A pickle may be read on another machine."""
    with pytest.raises(TypeError, match="being started"):
        pickle.dumps(AnonymousFile())


def test_the_descriptor_is_closed_with_it() -> None:
    """No later than the object ends."""
    file = AnonymousFile()
    descriptor = file.descriptor
    os.fstat(descriptor)
    del file
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
