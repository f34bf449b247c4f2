"""NGCDownloader as pooch calls it, and load beside it from the same registry."""

from __future__ import annotations

import hashlib

import pytest

from aisio.catalog import Resource
from aisio.resources.bionemo import NGCDownloader, load
from aisio.resources.origins.ngc.settings import KEY_VARIABLES
from tests.resources.certificates import make_authority
from tests.resources.ngc_server import NgcServer

pooch = pytest.importorskip("pooch")

DATA = bytes(range(256)) * 400
SHA256 = hashlib.sha256(DATA).hexdigest()
TARGET = "nvidia/clara/esm:2.0"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Run a registry that the environment names, for a guest."""
    for name in (*KEY_VARIABLES, "NGC_CLI_ORG", "NGC_CLI_TEAM", "NGC_CLI_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    authority = make_authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
    with NgcServer(authority) as server:
        monkeypatch.setenv("NGC_CLI_API_URL", server.url)
        monkeypatch.setenv("NGC_CLI_AUTH_URL", server.url)
        yield server


@pytest.mark.parametrize("kind", ["model", "resource"])
def test_ngc_24_pooch_downloads_by_it_what_load_downloads(registry, tmp_path, kind):
    """The same bytes, by the same name."""
    registry.add(TARGET, {"a.bin": DATA, "other.bin": b"other"}, kind)
    theirs = pooch.retrieve(
        TARGET,
        SHA256,
        fname=f"{SHA256}-a.bin",
        path=tmp_path / "theirs",
        downloader=NGCDownloader("a.bin", kind),
    )
    resource = Resource(
        tag="a/b",
        ngc=TARGET,
        ngc_registry=kind,
        pbss="s3://bucket/a.bin",
        sha256=SHA256,
        owner="a@example.com",
    )
    ours = load("a/b", None, {"a/b": resource}, tmp_path / "ours")
    assert ours.name == f"{SHA256}-a.bin"
    assert theirs == str(tmp_path / "theirs" / ours.name)
    assert ours.read_bytes() == (tmp_path / "theirs" / ours.name).read_bytes() == DATA


def test_it_makes_the_folder_and_leaves_nothing_but_the_file(registry, tmp_path):
    """As upstream's, whose temporary folder goes too."""
    registry.add(TARGET, {"a.bin": DATA})
    NGCDownloader(filename="a.bin", ngc_registry="model")(TARGET, tmp_path / "new" / "file", None)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    assert (tmp_path / "new" / "file").read_bytes() == DATA
