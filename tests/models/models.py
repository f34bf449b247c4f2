"""Models for tests: small safetensors files in a folder, and where they are prepared."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

from aisio.models import MemoryOptions, ModelDirectory

LARGE_BYTES = 1000


def safetensors_bytes(count: int = 1000, first: int = 0) -> bytes:
    """Return a file with one tensor "a" of so many int32."""
    data = struct.pack(f"<{count}i", *range(first, first + count))
    entry = {"a": {"dtype": "I32", "shape": [count], "data_offsets": [0, len(data)]}}
    header = json.dumps(entry).encode()
    return struct.pack("<Q", len(header)) + header + data


FILES = {
    "config.json": b"{}",
    "a.safetensors": safetensors_bytes(),
    "sub/b.bin": bytes(range(250)) * 8,
    "sub/empty.txt": b"",
}


class Case(NamedTuple):
    """A model in a folder, and where it is prepared.

    Attributes:
        source: The folder that has the model.
        path: The folder that it is prepared in; it is not there yet.
        memory: What stands for shared memory.
    """

    source: Path
    path: Path
    memory: Path

    @property
    def options(self) -> MemoryOptions:
        """Files from LARGE_BYTES on go to memory."""
        return MemoryOptions(from_bytes=LARGE_BYTES, folder=str(self.memory))

    def directory(self, path: Path | None = None, **arguments: Any) -> ModelDirectory:
        """Return a directory that is not prepared yet."""
        arguments = {"memory": self.options} | arguments
        return ModelDirectory(f"file://{self.source}", path or self.path, **arguments)

    def memory_names(self) -> list[str]:
        """Return the names of the files in memory."""
        return sorted(path.name for path in self.memory.glob("*/*"))


def make_case(folder: Path, files: dict[str, bytes] | None = None) -> Case:
    """Write a model into a folder."""
    case = Case(folder / "source", folder / "model", folder / "memory")
    case.memory.mkdir()
    for name, data in (FILES if files is None else files).items():
        path = case.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return case


def files_in(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, without the marker."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".aisio-model.json"
    }
