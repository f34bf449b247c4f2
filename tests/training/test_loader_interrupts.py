"""A KeyboardInterrupt at any place of a Loader, and a fork: no batch is lost or comes twice."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
import torch  # noqa: F401 - the loader needs it

from aisio import Loader
from aisio.errors import StorageError
from aisio.training import loader as module

SAMPLES = 4


class Interrupter:
    """Raises KeyboardInterrupt at one call, or return from one, within `aisio.training`.

    There Python runs handlers of signals. What comes when `__next__` has returned is the caller's.
    """

    def __init__(self, place: int) -> None:
        self._before = place
        self.has_raised = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take an event of `sys.setprofile`."""
        code = frame.f_code
        if self.has_raised or "training" not in code.co_filename or "tests" in code.co_filename:
            return
        if code.co_flags & inspect.CO_GENERATOR:  # no exception leaves one that is being closed
            return
        if event == "return" and code is module._Iteration.__next__.__code__:
            return
        self._before -= 1
        if self._before < 0:
            self.has_raised = True
            raise KeyboardInterrupt


@contextmanager
def interrupted_at(place: int) -> Iterator[Interrupter]:
    """Interrupt this thread at a place."""
    interrupter, before = Interrupter(place), sys.getprofile()
    sys.setprofile(interrupter)
    try:
        yield interrupter
    finally:
        sys.setprofile(before)


def interrupted_everywhere(run: Callable[[int], bool]) -> int:
    """Call a function with each place, until it returns that there are no more; count them."""
    place = 0
    while run(place):
        place += 1
    return place


def test_an_interrupt_anywhere_in_next_loses_no_batch() -> None:
    """The batch that did not come is read again, and the epoch ends once."""

    def run(place: int) -> bool:
        loader = Loader(range(SAMPLES))
        batches, received = iter(loader), []
        with interrupted_at(place) as interrupter:
            try:
                for batch in batches:
                    received += batch.tolist()
            except KeyboardInterrupt:
                sys.setprofile(None)
                segments = loader.state_dict()["segments"]
                counted = loader.epoch * SAMPLES + sum(one[-1] for one in segments)
                assert counted == len(received)
                received += [batch.item() for batch in batches]
        assert (received, loader.epoch) == (list(range(SAMPLES)), 1)
        return interrupter.has_raised

    assert interrupted_everywhere(run) > 100


@pytest.mark.parametrize("move", ["set_epoch", "load_state_dict", "end_epoch"])
def test_an_interrupt_anywhere_in_a_move_leaves_it_before_or_behind(move: str) -> None:
    """Not a position with the batches of another one."""
    other = Loader(range(SAMPLES), shuffle=True)
    other.set_epoch(7)
    next(iter(other))
    arguments = {"set_epoch": (7,), "load_state_dict": (other.state_dict(),), "end_epoch": ()}
    whole = Loader(range(SAMPLES), shuffle=True)
    epochs: dict[int, list[int]] = {}
    for number in (0, 1, 7):
        whole.set_epoch(number)
        epochs[number] = [batch.item() for batch in whole]

    def run(place: int) -> bool:
        loader = Loader(range(SAMPLES), shuffle=True)
        batches = iter(loader)
        next(batches)
        with interrupted_at(place) as interrupter:
            try:
                getattr(loader, move)(*arguments[move])
            except KeyboardInterrupt:
                sys.setprofile(None)
        epoch, segments = loader.epoch, loader.state_dict()["segments"]
        expected = epochs[epoch][sum(one[-1] for one in segments) :]
        rest = [batch.item() for batch in batches]
        assert rest == ([] if (move, epoch) == ("end_epoch", 1) else expected)
        return interrupter.has_raised

    assert interrupted_everywhere(run) > 3


def test_a_forked_child_cannot_go_on_with_an_iteration() -> None:
    """Both processes would read the same batches, in the same shared memory."""
    loader = Loader(range(SAMPLES))
    batches = iter(loader)
    next(batches)
    child = os.fork()
    if not child:
        try:
            next(batches)
        except StorageError as error:
            os._exit(0 if "begin another in this process" in str(error) else 2)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert next(batches).item() == 1
