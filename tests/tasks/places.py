"""A service in a folder of its own, with code and data to start tasks from."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aisio.tasks.engines.base import Engine
from aisio.tasks.resources.commit import PieceSender, begin
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.tree import Piece
from aisio.tasks.service.service import TaskService
from aisio.tasks.settings import TaskSettings
from tests.tasks.fake_engine import FakeEngine

PROGRAM = f"{sys.executable} train.py"


def make_service(folder: Path, engine: Engine | None = None, **settings: Any) -> TaskService:
    """Return a service whose home is in a folder; code goes as archives unless git is asked for."""
    home = folder / "home"
    values: dict[str, Any] = {
        "store_url": f"file://{folder}/store/",
        "user": "ada",
        "disable_git": True,
    }
    return TaskService(TaskSettings(home, **values | settings), engine=engine or FakeEngine())


def write_code(folder: Path, program: str = "print('trained')\n") -> Path:
    """Write the code of an algorithm."""
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text("")
    (folder / "train.py").write_text(program)
    return folder


def write_data(folder: Path, count: int = 3) -> Path:
    """Write the files of a data set."""
    (folder / "train").mkdir(parents=True)
    for number in range(count):
        (folder / "train" / f"{number}.bin").write_bytes(bytes([number]) * 1000)
    return folder


def sending(store: PieceStore, present: Iterable[Piece] = ()) -> PieceSender:
    """Return what sends the pieces of an upload that begins now."""
    return PieceSender(store, begin(store), present)


def stored(service: TaskService) -> set[str]:
    """Return the names of the pieces that a service has in its folder."""
    root = Path(service.settings.store_url.removeprefix("file://"), "pieces")
    return {path.name for path in root.rglob("*") if path.is_file()}
