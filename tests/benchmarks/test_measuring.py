"""measure(): which time counts."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from unittest import mock

import pytest

WALL_S = {"read": 1.0, "verify": 2.0, "remove": 100.0}


@pytest.fixture
def measuring(root, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the benchmark's module; its folder is no package."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module("measuring")


@pytest.fixture
def clock(measuring: ModuleType, monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """Return a clock whose return_value is what it shows."""
    clock = mock.Mock(return_value=0.0)
    monkeypatch.setattr(measuring, "time", mock.Mock(perf_counter=clock))
    return clock


def test_what_follows_the_last_item_counts_but_not_the_removal(
    measuring: ModuleType, clock: mock.Mock
) -> None:
    """A second measurement in the same process begins anew."""

    def reader(_: object) -> Iterator[int]:
        yield measuring.READY
        clock.return_value += WALL_S["read"]
        yield 10
        clock.return_value += WALL_S["verify"]
        with measuring.unmeasured():
            clock.return_value += WALL_S["remove"]

    for _ in range(2):
        figures = measuring.measure(reader, None)
        assert (figures["first_s"], figures["wall_s"]) == (1.0, 3.0)


def test_a_temporary_folder_is_removed(measuring: ModuleType) -> None:
    """With what is in it."""
    with measuring.temporary_folder() as folder:
        (folder / "file").write_bytes(b"x")
    assert not folder.exists()
