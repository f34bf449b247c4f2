"""Sessions of requests: one a thread, all with the same settings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from aisio.client.control_sessions import ThreadSessions, new_session
from aisio.errors import ConfigError
from aisio.records import Settings, TlsFiles


def in_thread(work: Callable[[], requests.Session]) -> requests.Session:
    """Run something in a thread of its own and return its result."""
    results: list[requests.Session] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def sessions_with(**settings: Any) -> ThreadSessions:
    """Return sessions with some settings."""
    return ThreadSessions(Settings("http://h", **settings))


def test_a_thread_has_one_session_made_on_first_use() -> None:
    """AIS-17: asking again gives the same one, another thread its own."""
    sessions = sessions_with()
    mine = sessions.current()
    assert sessions.current() is mine
    assert in_thread(sessions.current) is not mine


def test_a_closed_session_is_replaced() -> None:
    """Other threads keep theirs."""
    sessions = sessions_with()
    mine = sessions.current()

    def close_own() -> requests.Session:
        own = sessions.current()
        sessions.close_current()
        return own

    in_thread(close_own)
    assert sessions.current() is mine
    sessions.close_current()
    sessions.close_current()
    assert sessions.current() is not mine


def test_the_end_closes_the_sessions_of_all_threads() -> None:
    """And there are no others afterwards."""
    sessions = sessions_with()
    closed: list[requests.Session] = []

    def session() -> requests.Session:
        own = sessions.current()
        own.close = lambda: closed.append(own)  # type: ignore[method-assign]
        return own

    opened = [session(), in_thread(session)]
    sessions.end()
    assert sorted(map(id, closed)) == sorted(map(id, opened))
    with pytest.raises(ConfigError, match=r"the client of http://h was closed at the end of its"):
        sessions.current()


def test_every_thread_has_the_same_settings(tmp_path: Path) -> None:
    """AIS-17: TLS files and pool size do not depend on who asks."""
    files = [tmp_path / name for name in ("ca.pem", "crt.pem", "key.pem")]
    for file in files:
        file.touch()
    sessions = sessions_with(tls=TlsFiles(True, *map(str, files)), pool_size=3)
    for session in (sessions.current(), in_thread(sessions.current)):
        adapter = session.get_adapter("https://h")
        assert isinstance(adapter, HTTPAdapter)
        assert adapter._pool_maxsize == 3  # type: ignore[attr-defined]
        assert session.verify == str(files[0])
        assert session.cert == (str(files[1]), str(files[2]))


def test_certificates_may_share_a_file_or_be_off(tmp_path: Path) -> None:
    """Without a key file, the certificate's file holds the key."""
    file = tmp_path / "both.pem"
    file.touch()
    tls = TlsFiles(client_cert_file=str(file))
    assert new_session(Settings("http://h", tls=tls)).cert == str(file)
    assert new_session(Settings("http://h", tls=TlsFiles(verify=False))).verify is False
