"""Refusing webdataset's splitters behind a stage that has split the data already."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from aisio.errors import ConfigError

__all__ = ["refuse_second_split"]


def refuse_second_split(stage: str, *splitters: Callable[..., Any], advice: str = "") -> None:
    """Raise if what is yielded goes through one of these generator functions.

    A stage of a pipeline does not know those behind it. But when its first item is asked for, each
    of them is a caller: they are generators, one within the other. To be called where the stage
    begins.

    Args:
        stage: What has split the data, for the error.
        splitters: Generator functions that give each rank or worker its part.
        advice: What else to do, for the error.

    Raises:
        ConfigError: A splitter is behind the stage, and would drop samples of what is a share.
    """
    names = {splitter.__code__: splitter.__name__ for splitter in splitters}
    for frame in _callers():
        if frame.f_code in names:
            raise ConfigError(
                f"{stage} gives each rank and worker its share already, and"
                f" {names[frame.f_code]} behind it would drop a part of that: leave it out{advice}"
            )


def _callers() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
