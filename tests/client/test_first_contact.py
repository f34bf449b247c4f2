"""FailureTranslator: an endpoint that has never answered is given up sooner than one that has."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aisio.client import first_contact
from aisio.client.client import Client
from aisio.client.endpoint_state import EndpointState
from aisio.client.session import Session
from aisio.config import load_settings
from aisio.errors import StorageError, StoreTimeoutError, UnavailableError
from aisio.records import RetryPolicy, Settings, Timeouts
from aisio.transport.retries import FIRST_CONTACT_S, WALL_CLOCK, NeverReachedError, Waiter
from tests.http_server import Reply, Server

PATIENT = RetryPolicy(total_s=60, attempts=1000, first_wait_s=1, longest_wait_s=1)


@pytest.fixture(autouse=True)
def in_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin in no process of a job."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def new_session(settings: Settings, waiter: Waiter = WALL_CLOCK) -> Session:
    """Return a session whose endpoint has never answered, whatever was at its address before."""
    return Session(settings, waiter, EndpointState())


class Clock:
    """A clock whose time passes while the retry loop waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    @property
    def waiter(self) -> Waiter:
        """The clock as the retry loop wants it; each wait is as long as it may be."""
        return Waiter(lambda: self.seconds, self.wait, lambda low, high: high)


def read(client: Session) -> Any:
    """Send a GET, as often as the retry policy allows."""
    return client.retry(
        lambda: client.streams.open_following_redirects("GET", "/v1/x", about="ais://b/o").read()
    )


def call(client: Session) -> Any:
    """Send a control message."""
    return client.call("GET", "/v1/x")


both_kinds = pytest.mark.parametrize("send", [call, read])


@both_kinds
@pytest.mark.parametrize("resolves", [True, False])
def test_a_wrong_endpoint_is_reported_soon(
    send: Callable[[Session], Any], resolves: bool, unused_endpoint: str
) -> None:
    """Within 2 s, not after all of the retry budget; the error names the setting."""
    clock, endpoint = Clock(), unused_endpoint if resolves else "http://no-such-host.invalid"
    settings = load_settings(endpoint, retry=PATIENT, environ={})
    with pytest.raises(UnavailableError) as caught:
        send(new_session(settings, clock.waiter))
    assert clock.seconds <= FIRST_CONTACT_S
    named = f"{endpoint}, which the argument endpoint names, has never answered: is it right?"
    assert named in str(caught.value)


def test_the_variable_that_named_a_wrong_endpoint_is_reported(unused_endpoint: str) -> None:
    """An error in a job's log says where to look."""
    environ = {"AIS_ENDPOINT": unused_endpoint}
    settings = load_settings(environ=environ, retry=RetryPolicy(attempts=1))
    with pytest.raises(UnavailableError, match=f"{unused_endpoint}, which AIS_ENDPOINT names"):
        call(new_session(settings))


@both_kinds
@pytest.mark.parametrize("made_before", [True, False])
def test_one_that_has_answered_is_waited_for(
    send: Callable[[Session], Any], made_before: bool
) -> None:
    """A proxy that restarts needs 30 to 40 s. Any answer counts, to any client of the process."""
    clock = Clock()
    with Server(Reply(404)) as server:
        settings = Settings(server.url, retry=PATIENT)
        client = Session(settings, clock.waiter) if made_before else None
        with pytest.raises(StorageError):
            Session(settings).call("GET", "/v1/x")
    with pytest.raises(UnavailableError) as caught:
        send(client or Session(settings, clock.waiter))
    assert clock.seconds > PATIENT.total_s - 2
    assert "never answered" not in str(caught.value)


@both_kinds
def test_a_rank_waits_and_warns_at_once(
    send: Callable[[Session], Any],
    unused_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A rank is started again by its launcher, perhaps while the proxy restarts."""
    monkeypatch.setenv("WORLD_SIZE", "1")
    clock = Clock()
    with pytest.raises(UnavailableError, match="has never answered") as caught:
        send(new_session(Settings(unused_endpoint, retry=PATIENT), clock.waiter))
    assert not isinstance(caught.value, NeverReachedError)
    assert clock.seconds > PATIENT.total_s - 2
    warnings = [each.getMessage() for each in caplog.records if each.name == first_contact.__name__]
    assert len(warnings) == 1
    assert f"{unused_endpoint}, which a setting names, has never answered" in warnings[0]


WORKER = """
import multiprocessing, sys
from aisio.errors import UnavailableError
from aisio.records import RetryPolicy, Settings
from aisio.transport.retries import Waiter
from aisio.client.session import Session

class Clock:
    seconds = 0.0

    def wait(self, seconds):
        self.seconds += seconds

def child(pipe, endpoint):
    clock = Clock()
    waiter = Waiter(lambda: clock.seconds, clock.wait, lambda low, high: high)
    policy = RetryPolicy(total_s=60, attempts=1000, first_wait_s=1, longest_wait_s=1)
    try:
        Session(Settings(endpoint, retry=policy), waiter).call("GET", "/v1/x")
    except UnavailableError:
        pipe.send(clock.seconds)

if __name__ == "__main__":
    mine, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    process = context.Process(target=child, args=(theirs, sys.argv[1]))
    process.start()
    print(mine.recv())
    process.join()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_worker_waits_whose_parent_has_read_nothing(unused_endpoint: str, root: Path) -> None:
    """Workers are started again for each epoch, while their parent may never read anything."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(root)])}
    command = [sys.executable, "-c", WORKER, unused_endpoint]
    run = subprocess.run(command, check=True, env=environ, capture_output=True, text=True)
    assert float(run.stdout) > PATIENT.total_s - 2
    assert run.stderr.count("has never answered") >= 1


def test_a_worker_knows_what_its_parent_has_reached() -> None:
    """A spawned worker may begin just while the proxy restarts."""
    with Server(Reply(200)) as server:
        client = new_session(Settings(server.url, retry=RetryPolicy(attempts=1)))
        call(client)
        client.close()
        pickled = pickle.dumps(client)
    with pytest.raises(UnavailableError) as caught:
        call(pickle.loads(pickled))
    assert not isinstance(caught.value, NeverReachedError)


class Silent:
    """A host that accepts no connection: its queue of connections is full."""

    def __enter__(self) -> str:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        address = self._listener.getsockname()
        self._held = [socket.socket() for _ in range(4)]
        for each in self._held:
            each.setblocking(False)
            each.connect_ex(address)
        return f"http://127.0.0.1:{address[1]}"

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._held):
            each.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse instead")
def test_an_address_that_swallows_connections_is_tried_once() -> None:
    """A second attempt would take as long as the first; nor does a read try to read a map."""
    with Silent() as endpoint:
        clock = Clock()
        settings = Settings(endpoint, retry=PATIENT, timeouts=Timeouts(connect_s=0.05))
        client = Client.from_settings(settings)
        client.session = new_session(settings, clock.waiter)
        with pytest.raises(StoreTimeoutError, match="no connection to .* has never answered"):
            client.object("ais://b/o").get()
    assert clock.seconds == 0


def test_a_host_that_the_endpoint_leads_to_is_no_first_contact(unused_endpoint: str) -> None:
    """It is a target that is away: the endpoint has answered."""
    with Server(*[Reply(307, headers={"Location": f"{unused_endpoint}/x"})] * 3) as server:
        retry = RetryPolicy(attempts=3, first_wait_s=0)
        client = Session(Settings(server.url, retry=retry))
        with pytest.raises(UnavailableError, match="gave up after 3 tries") as caught:
            read(client)
        client.close()
    assert "never answered" not in str(caught.value)
