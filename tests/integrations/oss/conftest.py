"""A bucket on a server that checks OSS's signatures, as users of the OSS connector reach it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.oss_server import KEY_ID, REGION, SECRET, Logged, OssServer, oss_server

_numbers = count()


class Place(NamedTuple):
    """A bucket.

    Attributes:
        name: Its name.
        server: What has it.
        keys: File with the keys.
    """

    name: str
    server: OssServer
    keys: str

    @property
    def endpoint(self) -> str:
        """The server's endpoint."""
        return self.server.endpoint

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that reach it, besides the endpoint."""
        return {"cred_path": self.keys, "region": REGION}

    def put(self, name: str, data: bytes) -> None:
        """Store an object."""
        self.server.put_raw(self.name, name, data)

    def get(self, name: str) -> bytes:
        """Read an object."""
        return self.server.get_raw(self.name, name)

    def log(self) -> list[Logged]:
        """Return the requests for it since the last call."""
        return [one for one in self.server.take_log() if one.bucket == self.name]

    def reads(self) -> tuple[int, Counter[str]]:
        """Return how many pages of listings were read since the last call, and which objects."""
        gets = [one for one in self.log() if one.method == "GET"]
        return sum(not one.name for one in gets), Counter(one.name for one in gets if one.name)


@pytest.fixture(scope="session")
def server() -> Iterator[OssServer]:
    """Return a server in a process of its own."""
    pytest.importorskip("alibabacloud_oss_v2")
    pytest.importorskip("moto")
    with oss_server() as running:
        yield running


@pytest.fixture
def place(server: OssServer, tmp_path: Path) -> Place:
    """Return an empty bucket."""
    name = f"names-{next(_numbers)}"
    server.create(name)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"AccessKeyId": KEY_ID, "AccessKeySecret": SECRET}), "utf-8")
    return Place(name, server, str(keys))
