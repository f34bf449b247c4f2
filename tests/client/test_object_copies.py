"""Copying and renaming one object: lost replies, and copies that differ."""

from __future__ import annotations

from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio.client.client import Client
from aisio.client.object import Object
from aisio.client.object_copies import _with_time_for, is_copied_right
from aisio.client.session import Session
from aisio.errors import IntegrityError, NotFoundError
from aisio.gateway import Gateway
from aisio.records import ObjectInfo, RetryPolicy, Settings, Timeouts
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server


def head(size_bytes: int = 1, checksum: str = "ab") -> Reply:
    """Return what the cluster says of an object."""
    values = {"Ais-Checksum-Type": "xxhash2", "Ais-Checksum-Value": checksum}
    return Reply(headers={"Content-Length": str(size_bytes), **values})


def object_of(server: Server) -> Object:
    """Return an object of the server."""
    retry = RetryPolicy(attempts=2, first_wait_s=0)
    settings = Settings(server.url, retry=retry, direct=False)
    return Client.from_settings(settings).bucket("b").object("a")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a b", True), ("ü#&+=", True), ("a%41", False), ("a?b", False), ("a\x01", False)],
)
def test_names_that_aistore_misreads(name: str, expected: bool) -> None:
    """What the nodes of AIStore 5.0 do not encode among themselves."""
    assert is_copied_right(name) is expected


def test_a_copy_is_compared() -> None:
    """Size and checksum; a copy is safe to be repeated."""
    with Server(head(), Reply(0), Reply(), head()) as server:
        assert object_of(server).copy("ü").size_bytes == 1
    assert server.requests[2].target == (
        "/v1/objects/b/a?provider=ais&object_to=ais%2F%40%23%2Fb%2F%C3%BC"
    )


@pytest.mark.parametrize("other", [head(2), head(1, "cd")])
def test_a_copy_that_differs_is_an_error(other: Reply) -> None:
    """The cluster says it is done."""
    with (
        Server(head(), Reply(), other, head()) as server,
        pytest.raises(IntegrityError, match="copy ais://b/a to ais://b/c: .* differ"),
    ):
        object_of(server).copy("c")


def test_a_rename_whose_reply_is_lost() -> None:
    """The second try does not find the object: it has its new name."""
    with Server(head(), Reply(0), Reply(404), head()) as server:
        assert object_of(server).rename("c").name == "c"
    assert b'"name": "c"' in server.requests[1].body


def test_an_older_object_of_the_new_name_is_not_taken_for_the_renamed_one() -> None:
    """Another program has deleted the object between the two tries."""
    with (
        Server(head(), Reply(0), Reply(404), head(2, "cd")) as server,
        pytest.raises(NotFoundError, match="b/a"),
    ):
        object_of(server).rename("c")


class _Replaced(Object):
    """An object that another program replaces after it was copied."""

    def copy(self, to: str | ObjectUrl | Object, *, listed: ObjectInfo | None = None) -> ObjectInfo:
        info = super().copy(to)
        Object(self.session, self.url).put(b"newer")
        return info


def test_what_was_replaced_while_it_was_renamed_stays(tmp_path: Path) -> None:
    """Names that the cluster misreads are copied, then deleted."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a").write_bytes(b"older")
    with Gateway(tmp_path) as gateway:
        object = _Replaced(Session(Settings(gateway.endpoint)), ObjectUrl.parse("ais://b/a"))
        with pytest.raises(IntegrityError, match="replaced while it was copied"):
            object.rename("a%41")
        assert object.get() == b"newer"
        assert Object(object.session, object.url.with_name("a%41")).get() == b"older"


def test_a_lost_rename_of_a_missing_object_is_an_error() -> None:
    """Neither name exists."""
    with (
        Server(head(), Reply(0), Reply(404), Reply(404), Reply(404)) as server,
        pytest.raises(NotFoundError, match="b/c"),
    ):
        object_of(server).rename("c")


def test_a_copy_of_an_object_that_is_replaced_meanwhile() -> None:
    """It has the bytes of either."""
    with Server(head(1, "ab"), Reply(), head(2, "cd"), head(2, "cd")) as server:
        assert object_of(server).copy("c").size_bytes == 2


@pytest.mark.parametrize(("size_bytes", "read_s"), [(9_000_000, 20), (50_000_000_000, 5020)])
def test_a_large_copy_has_time(size_bytes: int, read_s: float) -> None:
    """The cluster answers when it is complete."""
    settings = Settings("http://h:1")
    session = Session(settings)
    info = ObjectInfo("ais://b", "a", size_bytes)
    patient = _with_time_for(session, info)
    assert patient.settings.timeouts.read_s == read_s
    assert (patient is session) == (read_s == 20)
    forever = Session(Settings("http://h:1", timeouts=Timeouts(read_s=None)))
    assert _with_time_for(forever, info) is forever
