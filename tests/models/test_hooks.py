"""Hooks: they wait for stand-ins, and else change nothing."""

from __future__ import annotations

import builtins
import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from aisio.models.hooks import StandIns

OPEN, FROM_FILE = builtins.open, torch.UntypedStorage.from_file


class Waits:
    """Counts how often a stand-in was waited for, and puts the real file in its place.

    Args:
        path: The stand-in.
    """

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._path = path
        self._write(b"")

    def __call__(self) -> None:
        self.count += 1
        self._write(b"one\r\ntwo\r\n")

    def _write(self, data: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, data)
        os.close(descriptor)


@pytest.fixture
def stand_ins():
    """Return hooks that are in place during the test."""
    hooks = StandIns()
    yield hooks
    hooks.close()
    assert_restored()


def assert_restored() -> None:
    """Check that no function is replaced."""
    assert builtins.open is io.open is OPEN
    assert "from_file" not in vars(torch.UntypedStorage)
    assert torch.UntypedStorage.from_file == FROM_FILE


@pytest.fixture
def waits(tmp_path: Path, stand_ins: StandIns) -> Waits:
    """Return a stand-in "a" in tmp_path."""
    found = Waits(tmp_path / "a")
    stand_ins.add(tmp_path / "a", found)
    return found


def test_oss_39_open_waits_however_the_file_is_named(
    tmp_path: Path, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By text, bytes, PathLike, a relative path, "..", a link or a hard link; for pathlib too."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "folder")
    named: list[Any] = [
        str(tmp_path / "a"),
        os.fsencode(tmp_path / "a"),
        tmp_path / "a",
        "../a",
        str(tmp_path / "link" / ".." / "a"),
        tmp_path / "hard",
    ]
    for number, name in enumerate(named, 1):
        with open(name, "rb") as file:  # noqa: PTH123 - this is what is hooked
            assert file.read() == b"one\r\ntwo\r\n"
        assert waits.count == number
    assert (tmp_path / "a").read_bytes() == b"one\r\ntwo\r\n"
    assert waits.count == len(named) + 1


def test_oss_39_open_takes_what_the_builtin_takes(tmp_path: Path, waits: Waits) -> None:
    """Encoding, newline, buffering, an opener, a descriptor; write modes write to the file."""
    path = tmp_path / "a"
    with open(path, encoding="utf-16-le", newline="") as file:  # noqa: PTH123
        assert (file.encoding, file.read(1)) == ("utf-16-le", "湯")
    with open(path, "r", 1, "ascii", "strict", "") as file:  # noqa: PTH123, UP015
        assert file.readlines() == ["one\r\n", "two\r\n"]
    with open(file=path, mode="rb", buffering=0) as raw:  # noqa: PTH123
        assert isinstance(raw, io.FileIO)
    with open(path, "rb", opener=os.open) as opened:
        assert opened.read(3) == b"one"
    before = waits.count
    descriptor = os.open(path, os.O_RDONLY)
    with open(descriptor, "rb", closefd=False) as by_descriptor:
        assert by_descriptor.read(3) == b"one"
    os.close(descriptor)
    assert waits.count == before
    with open(path, "r+b") as changed:  # noqa: PTH123
        changed.write(b"ONE")
        changed.seek(0)
        assert changed.read(5) == b"ONE\r\n"
    new = tmp_path / "new"
    with open(new, "x") as made:  # noqa: PTH123
        made.write("new")
    assert new.read_text() == "new"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("absent",), FileNotFoundError),
        (("a", "rx"), ValueError),
        ((), TypeError),
        ((1.5,), TypeError),
        (("a\0",), ValueError),
        ((-1,), (OSError, ValueError)),
    ],
)
def test_oss_39_open_refuses_what_the_builtin_refuses(
    arguments: tuple[Any, ...],
    error: Any,
    waits: Waits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its words."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as expected:
        OPEN(*arguments)
    with pytest.raises(error) as raised:
        open(*arguments)  # noqa: PTH123, SIM115
    assert str(raised.value) == str(expected.value)


def test_from_file_waits(tmp_path: Path, waits: Waits) -> None:
    """Its arguments by position or by name."""
    path = str(tmp_path / "a")
    assert bytes(torch.UntypedStorage.from_file(path, False, 3)) == b"one"
    assert bytes(torch.UntypedStorage.from_file(filename=path, shared=False, nbytes=3)) == b"one"
    assert waits.count == 2


def test_an_error_of_a_wait_is_raised(tmp_path: Path, stand_ins: StandIns) -> None:
    """The stand-in is not read."""

    def fail() -> None:
        raise ValueError("it cannot come")

    (tmp_path / "a").write_text("")
    stand_ins.add(tmp_path / "a", fail)
    with pytest.raises(ValueError, match="it cannot come"):
        (tmp_path / "a").read_text()


def test_several_wait_for_one_stand_in(tmp_path: Path, waits: Waits, stand_ins: StandIns) -> None:
    """Closing one leaves the others; what one cannot get, another may."""

    def fail() -> None:
        raise OSError("no such luck")

    closed, failed = StandIns(), StandIns()
    closed.add(tmp_path / "a", lambda: None)
    closed.close()
    failed.add(tmp_path / "a", fail)
    assert (tmp_path / "a").read_text() == "one\ntwo\n"
    assert waits.count == 1
    stand_ins.close()
    with pytest.raises(OSError, match="no such luck"):
        (tmp_path / "a").read_text()
    failed.close()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_oss_40_hooks_nest_and_come_off_in_any_order(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    """Each waits for its own files as long as it is open; closing twice does nothing."""
    all_waits = [Waits(tmp_path / str(number)) for number in range(3)]
    hooks = [StandIns() for _ in range(3)]
    for number, one in enumerate(hooks):
        one.add(tmp_path / str(number), all_waits[number])
    left = {0, 1, 2}
    for closed in order:
        hooks[closed].close()
        hooks[closed].close()
        left.remove(closed)
        before = [one.count for one in all_waits]
        for number in range(3):
            (tmp_path / str(number)).read_bytes()
        assert [one.count - before[number] for number, one in enumerate(all_waits)] == [
            int(number in left) for number in range(3)
        ]
    assert_restored()


def test_oss_40_functions_of_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever replaced a hook meanwhile keeps its function, and that goes on."""
    hooks = StandIns()
    hook = builtins.open
    calls: list[Any] = []

    def others(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return hook(*args, **kwargs)

    monkeypatch.setattr(builtins, "open", others)
    hooks.close()
    assert builtins.open is others
    (tmp_path / "a").write_text("a")
    with open(tmp_path / "a") as file:  # noqa: PTH123
        assert file.read() == "a"
    second = StandIns()
    waits = Waits(tmp_path / "b")
    calls.clear()
    second.add(tmp_path / "b", waits)
    with open(tmp_path / "b", "rb") as binary:  # noqa: PTH123
        assert binary.read()
    assert (len(calls), waits.count) == (1, 1)
    second.close()
    assert builtins.open is others
    monkeypatch.undo()
    builtins.open = OPEN
    assert_restored()
