"""Every store opens its objects as seekable files."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import obstore  # noqa: F401 - memory:// and web servers need it
import pytest

from aisio.client.client import Client
from aisio.errors import IntegrityError, NotFoundError, TruncatedError
from aisio.gateway import Gateway
from aisio.records import RetryPolicy
from aisio.stores import AisStore, DirectSettings, DirectStore, LocalStore, Store, store_for
from aisio.testing.fault_proxy import Cut, FaultProxy
from aisio.urls import ObjectUrl

DATA = random.Random(9).randbytes(3_000_000)
FAST = RetryPolicy(attempts=3, first_wait_s=0)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway that has one object."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        Client(gateway.endpoint).bucket("b").create().object("o").put(DATA)
        yield gateway.endpoint


@pytest.fixture(params=["ais", "file", "memory", "http"])
def place(request: pytest.FixtureRequest, endpoint: str, tmp_path: Path) -> tuple[Store, ObjectUrl]:
    """Return a store, and the URL of an object there."""
    if request.param == "http":
        return DirectStore(), ObjectUrl.parse(f"{endpoint}/v1/objects/b/o")
    root = {"ais": "ais://b/", "file": f"file://{tmp_path}/", "memory": "memory://opened/"}
    url = ObjectUrl.parse(f"{root[request.param]}o")
    store = store_for(url, Client(endpoint))
    store.put(url, DATA)
    return store, url


def test_any_scheme_is_opened_as_a_file(place: tuple[Store, ObjectUrl]) -> None:
    """It seeks and reads, also past its end, as a local file does."""
    store, url = place
    with store.open(url) as file, io.BytesIO(DATA) as local:
        for offset, whence, size in [
            (0, 0, 10),
            (-100, 2, 1000),
            (1_000_000, 0, 700_000),
            (-50_000, 1, 20_000),
            (0, 0, 300_000),
            (5, 2, 5),
            (2_000_000, 0, -1),
        ]:
            assert file.seek(offset, whence) == local.seek(offset, whence)
            assert file.read(size) == local.read(size)
            assert file.tell() == local.tell()


def test_what_is_not_there_cannot_be_opened(place: tuple[Store, ObjectUrl]) -> None:
    """At once, not at the first read."""
    store, url = place
    with pytest.raises(NotFoundError):
        store.open(url.with_name(f"{url.name}-none"))


@pytest.mark.parametrize("kind", [LocalStore, DirectStore])
def test_a_file_replaced_while_open_is_an_error(kind: type[Store], tmp_path: Path) -> None:
    """Reads never mix versions, which a file's times and sizes or a store's ETag tell apart."""
    root = f"file://{tmp_path}/" if kind is LocalStore else "memory://replaced/"
    store, url = kind(), ObjectUrl.parse(f"{root}o")
    store.put(url, DATA)
    with store.open(url) as file:
        file.seek(1_000_000)
        file.read(10)
        store.put(url, DATA[::-1])
        file.seek(2_000_000)
        with pytest.raises(IntegrityError, match="was replaced while it was open"):
            file.read(10)


def test_cut_responses_of_a_web_server_are_resumed(endpoint: str) -> None:
    """After the bytes that came, within the retry budget of the store."""
    with FaultProxy(endpoint) as proxy:
        proxy.add(Cut(500_000), method="GET", times=2)
        url = ObjectUrl.parse(f"{proxy.endpoint}/v1/objects/b/o")
        with DirectStore(DirectSettings(retry=FAST)).open(url) as file:
            assert b"".join(iter(lambda: file.read(10_000), b"")) == DATA
        proxy.add(Cut(10), method="GET", times=None)
        with DirectStore(DirectSettings(retry=FAST)).open(url) as file:
            file.seek(1_000_000)
            with pytest.raises(TruncatedError, match="gave up after 3 tries"):
                file.read(10)


def test_a_zip_of_this_machine_is_read_by_its_url(tmp_path: Path) -> None:
    """As the URL of any other store is."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", DATA)
    url = ObjectUrl.parse(f"file://{tmp_path}/a.zip")
    with store_for(url).open(url) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("x") == DATA


def test_a_clusters_own_reader_is_used(endpoint: str) -> None:
    """Its bodies resume after a cut by themselves."""
    with FaultProxy(endpoint) as proxy:
        store = AisStore(Client(proxy.endpoint, retry=FAST))
        proxy.add(Cut(500_000), method="GET", path="/v1/objects/*")
        with store.open(ObjectUrl.parse("ais://b/o")) as file:
            assert file.read() == DATA
        store.client.close()
