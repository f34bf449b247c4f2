"""What tests of sources read: files of this machine, and a catalog that names them."""

from __future__ import annotations

import pytest

from aisio.catalog import read_catalog
from aisio.client import Client
from tests.sources.files import NAMES, TREE
from tests.tars import pack


@pytest.fixture
def data(tmp_path):
    """Return a folder with four files, a manifest and a tar of them."""
    folder = tmp_path / "data"
    (folder / "all").mkdir(parents=True)
    for name in NAMES:
        (folder / "all" / name).write_bytes(name.encode())
    (folder / "list").write_text("".join(f"all/{name}\n" for name in NAMES), "utf-8")
    (folder / "all.tar").write_bytes(pack(*((name, name.encode()) for name in NAMES)))
    return f"file://{folder}"


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """Return a function that makes a catalog of one file, team.yaml, the default one."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    monkeypatch.setenv("AISIO_CATALOG", str(folder))

    def write(text):
        (folder / "team.yaml").write_text(text, "utf-8")
        read_catalog(folder, reload=True)
        return folder

    return write


@pytest.fixture
def folder(tmp_path):
    """Return a folder with four files, as the URL of a prefix."""
    for name in TREE:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return f"file://{tmp_path}/"


@pytest.fixture
def client():
    """Return a client of a cluster that cannot be reached."""
    return Client("http://127.0.0.1:9")
