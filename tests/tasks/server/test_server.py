"""The server's process."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import aiohttp  # noqa: F401 - the server needs it
import pytest
import requests

from aisio.errors import ConfigError
from aisio.tasks.server import ServerOptions, TaskServer
from aisio.tasks.server.server import PASSWORD_FILE, password_of
from tests.tasks.places import make_service


def test_it_listens_on_loopback_until_it_is_closed(tmp_path) -> None:
    """At any free port."""
    service = make_service(tmp_path)
    with TaskServer(ServerOptions(service.settings, port=0), service=service) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert requests.get(f"{server.url}/api/mirror/list", timeout=60).status_code == 401
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=60)


def test_a_port_that_is_taken_is_an_error(tmp_path) -> None:
    """Which names it."""
    service = make_service(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = ServerOptions(service.settings, port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="cannot listen"), TaskServer(options):
            pass


@pytest.mark.parametrize(
    "changes",
    [{"host": "no such host"}, {"tls_cert": "/missing.pem"}, {"public_url": "no url"}],
)
def test_options_that_cannot_work_are_refused(changes, tmp_path) -> None:
    """Before anything is served."""
    service = make_service(tmp_path)
    options = ServerOptions(service.settings, port=0, **changes)
    with pytest.raises(ConfigError, match=r"no such host|missing\.pem|no url"), TaskServer(options):
        pass


def test_a_password_is_made_up_once(tmp_path) -> None:
    """By several processes too; only its owner can read it."""
    settings = make_service(tmp_path).settings
    with ThreadPoolExecutor(4) as pool:
        passwords = set(pool.map(password_of, [settings] * 4))
    path = settings.home / PASSWORD_FILE
    assert passwords == {path.read_text("utf-8").strip()}
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        password_of(settings)
    path.write_text("")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="empty"):
        password_of(settings)


def test_the_password_of_the_settings_is_used(tmp_path) -> None:
    """None is made up."""
    settings = make_service(tmp_path, password="given").settings
    assert password_of(settings) == "given"
    assert not (settings.home / PASSWORD_FILE).exists()
