"""`aisio tasks serve`."""

from __future__ import annotations

import signal

import aiohttp  # noqa: F401 - the server needs it
import pytest
import requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_url_and_stops_cleanly(number, start, tmp_path):
    """The password that was made up is in the file that it names."""
    program = start("tasks", "serve", "--home", tmp_path / "home", "--port", "0")
    url = program.stdout.readline().decode().strip()
    assert url.startswith("http://127.0.0.1:"), program.stderr.read().decode()
    note = program.stderr.readline().decode()
    user = note.partition("user ")[2].partition(",")[0]
    password = (tmp_path / "home" / "server.password").read_text().strip()
    assert str(tmp_path / "home" / "server.password") in note
    assert password not in note
    form = {"username": user, "password": password}
    token = requests.post(f"{url}/api/user/login", data=form, timeout=60).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    mirrors = requests.get(f"{url}/api/mirror/list", headers=headers, timeout=60).json()
    assert [mirror["name"] for mirror in mirrors] == ["QUICKSTART"]
    program.send_signal(number)
    assert (program.stdout.read(), program.stderr.read(), program.wait()) == (b"", b"", 0)


def test_a_port_that_cannot_be_used_is_one_line(start, tmp_path):
    """And the exit code is not 0."""
    program = start("tasks", "serve", "--home", tmp_path / "home", "--host", "no such host")
    _, errors = program.communicate()
    assert program.returncode == 1
    assert "cannot listen at no such host:8090" in errors.decode()


def test_a_key_without_a_certificate_is_refused(start, tmp_path):
    """As https would not be served."""
    program = start("tasks", "serve", "--home", tmp_path / "home", "--tls-key", "key.pem")
    assert "--tls-key needs --tls-cert" in program.communicate()[1].decode()
