from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import requests

from aisio.errors import ConfigError, MissingExtraError
from aisio.gateway import Gateway
from tests.gateway.processes import connect, run_code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one bucket and one object."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "o").write_bytes(b"old")
    return tmp_path


def test_the_import_is_cheap() -> None:
    """It loads neither aiohttp nor asyncio."""
    text = (
        "import sys, aisio.gateway; sys.exit(sum(m in sys.modules for m in ('aiohttp', 'asyncio')))"
    )
    with run_code(text) as (process, _):
        assert process.wait() == 0


def test_without_aiohttp_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing extra is named with its pip command."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'aiohttp>="):
        Gateway(folder).start()


def test_one_folder_has_one_writer_and_any_number_of_readers(folder: Path) -> None:
    """Two writers would count versions twice and delete each other's uploads."""
    with Gateway(folder) as writer, Gateway(folder, read_only=True) as reader:
        with pytest.raises(ConfigError, match="another gateway"):
            Gateway(folder).start()
        requests.put(f"{writer.endpoint}/v1/objects/b/o", data=b"new")
        assert requests.get(f"{reader.endpoint}/v1/objects/b/o").content == b"new"


def test_after_a_kill_an_object_is_old_or_new(folder: Path) -> None:
    """A PUT cut by kill -9 leaves the old bytes; the next start removes the new ones."""
    with Gateway(folder) as gateway:
        with connect(gateway.endpoint) as connection:
            head = b"PUT /v1/objects/b/o?pid=p&utm=1 HTTP/1.1\r\nHost: x\r\n"
            connection.sendall(head + b"Content-Length: 9000000\r\n\r\n" + b"x" * 8_000_000)
            temporary = folder / ".aisio" / "tmp"
            while not any(file.stat().st_size for file in temporary.iterdir()):
                requests.get(f"{gateway.endpoint}/v1/health")
            gateway.kill()
        assert (folder / "b" / "o").read_bytes() == b"old"
        assert list(temporary.iterdir())
        endpoint = gateway.endpoint
        gateway.restart()
        assert gateway.endpoint == endpoint
        assert list(temporary.iterdir()) == []
        assert requests.get(f"{endpoint}/v1/objects/b/o").content == b"old"


def test_metadata_survives_a_kill(folder: Path) -> None:
    """Versions and custom metadata are on disk when the response is sent."""
    with Gateway(folder) as gateway:
        url = f"{gateway.endpoint}/v1/objects/b/o"
        for _ in range(3):
            requests.put(url, data=b"new")
        requests.patch(url, json={"value": {"k": "v"}})
        gateway.kill()
        gateway.restart()
        headers = requests.get(url).headers
    assert (headers["Ais-Version"], headers["Ais-Custom-Md"]) == ("3", "k=v")


def test_a_forked_child_does_not_stop_it(folder: Path) -> None:
    """DataLoader workers run the end of `with` blocks that they never entered."""
    with Gateway(folder) as gateway:
        child = os.fork()
        if child == 0:
            gateway.stop()
            os._exit(0)
        os.waitpid(child, 0)
        assert requests.get(f"{gateway.endpoint}/v1/health").status_code == 200


def test_a_relative_folder_is_relative_to_the_caller(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has another working directory."""
    monkeypatch.chdir(folder.parent)
    with Gateway(folder.name) as gateway:
        assert requests.get(f"{gateway.endpoint}/v1/objects/b/o").content == b"old"


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return each file below a folder with its bytes and modification time."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_a_read_only_gateway_reads_the_log_of_a_killed_one(folder: Path) -> None:
    """It knows what that one had only written to its database's log, and changes no file."""
    with Gateway(folder) as writer:
        requests.put(f"{writer.endpoint}/v1/objects/b/o", data=b"new")
        requests.put(f"{writer.endpoint}/v1/objects/b/o", data=b"newer")
        writer.kill()
    before = files_of(folder)
    with Gateway(folder, read_only=True) as reader:
        response = requests.get(f"{reader.endpoint}/v1/objects/b/o")
        assert (response.content, response.headers["Ais-Version"]) == (b"newer", "2")
        assert files_of(folder) == before
    assert files_of(folder) == before


def test_a_link_in_place_of_its_own_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    """The gateway would empty the folder that the link points to."""
    (folder / ".aisio").mkdir()
    (folder / ".aisio" / "tmp").symlink_to("../b")
    with pytest.raises(ConfigError, match="is a link or otherwise not a folder"):
        Gateway(folder).start()
    assert (folder / "b" / "o").read_bytes() == b"old"


def test_broken_metadata_is_reported_in_one_line(folder: Path) -> None:
    """It says what to do, without a traceback."""
    (folder / ".aisio").mkdir()
    (folder / ".aisio" / "metadata.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(ConfigError, match="remove it to start anew") as caught:
        Gateway(folder).start()
    assert len(str(caught.value).splitlines()) == 1


def test_files_in_no_bucket_are_logged_at_the_start(folder: Path) -> None:
    """Even without `verbose`: a shard at the top of the folder is never served."""
    (folder / "shard.tar").touch()
    with Gateway(folder) as gateway:
        assert "1 files in no bucket" in gateway.read_log()
        assert "shard.tar" in gateway.read_log()
