"""StoredWhole: a file is stored by its close, and by nothing else."""

from __future__ import annotations

import io

import pytest

from aisio.transport.stored_whole import StoredWhole


class Recorded(StoredWhole, io.BufferedIOBase):
    """Says how it ended."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def close(self) -> None:
        """Store."""
        self._calls.append("close")

    def abort(self) -> None:
        """Drop."""
        self._calls.append("abort")


@pytest.mark.parametrize(("error", "call"), [(None, "close"), (KeyboardInterrupt(), "abort")])
def test_a_block_that_raises_stores_nothing(error: BaseException | None, call: str) -> None:
    """Whatever it raises."""
    calls: list[str] = []
    file = Recorded(calls)
    try:
        with file:
            if error is not None:
                raise error
    except KeyboardInterrupt:
        assert error is not None
    assert calls == [call]


def test_a_dropped_file_is_not_closed() -> None:
    """`io.IOBase` would close it."""
    calls: list[str] = []
    Recorded(calls)
    assert calls == []
