"""A bucket of the shared gateway over S3: by boto3, and by bare requests."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import requests

from aisio.gateway import Gateway
from tests.gateway.conftest import Served

KEYS = ("AKIDEXAMPLE", "wJalr/XUtn+FEMI==")
"""The keys of the gateway that checks signatures."""

needs_boto3 = pytest.mark.skipif(not importlib.util.find_spec("boto3"), reason="needs boto3")


def boto3_client(endpoint: str, access_key: str = "any", secret_key: str = "any") -> Any:
    """Return boto3's client of a gateway's S3 API, which does not retry."""
    config = import_module("botocore.config").Config(retries={"total_max_attempts": 1})
    return import_module("boto3").client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="ais",
        config=config,
    )


@dataclass
class S3Bucket:
    """A bucket, and requests about it below /s3."""

    endpoint: str
    name: str
    folder: Path
    http: requests.Session
    ais: Served
    others: frozenset[str] = frozenset()
    """Temporary files of tests before: some leave uploads open."""

    def temporary_files(self) -> set[str]:
        """Return the names of the files that uploads have left since the bucket was made."""
        folder = self.folder.parent / ".aisio" / "tmp"
        return {path.name for path in folder.iterdir()} - self.others

    def send(
        self, method: str, key: str = "", data: bytes = b"", query: str = "", **headers: str
    ) -> requests.Response:
        """Send a request; "_" in the names of headers stands for "-"."""
        url = f"{self.endpoint}/{self.name}/{key}".rstrip("/" if not key else "") + query
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, url, data=data, headers=fields)

    def texts(self, response: requests.Response, name: str) -> list[str]:
        """Return the texts of all elements of a name in a response."""
        assert response.status_code == 200, response.text
        return texts(response, name)


def texts(response: requests.Response, name: str) -> list[str]:
    """Return the texts of all elements of a name in a response, whatever its status."""
    tree = ElementTree.fromstring(response.content)
    return [node.text or "" for node in tree.iter() if node.tag.rpartition("}")[2] == name]


def code(response: requests.Response) -> tuple[int, str]:
    """Return the status and error code of a response."""
    return response.status_code, texts(response, "Code")[0]


@pytest.fixture
def s3(gateway: Gateway, bucket: Served) -> S3Bucket:
    """Return a new, empty bucket."""
    s3 = S3Bucket(gateway.s3_endpoint, bucket.name, bucket.folder, bucket.http, bucket)
    s3.others = frozenset(s3.temporary_files())
    return s3


@pytest.fixture(scope="session")
def boto(gateway: Gateway) -> Any:
    """Return boto3's client of the shared gateway."""
    pytest.importorskip("boto3")
    return boto3_client(gateway.s3_endpoint)


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway that checks signatures, with the bucket "b"."""
    folder = tmp_path_factory.mktemp("signed")
    (folder / "b").mkdir()
    with Gateway(folder, s3_access_key=KEYS[0], s3_secret_key=KEYS[1]) as gateway:
        yield gateway
        assert KEYS[1] not in gateway.read_log()
        assert "Traceback" not in gateway.read_log()
