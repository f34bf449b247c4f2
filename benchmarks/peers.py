"""Access to the corpus by the clients of the peers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from aisio import Client
from aisio.wire.messages import object_http_url
from corpus import Corpus


class Unsuited(Exception):
    """This reader cannot read from this endpoint."""


def official(corpus: Corpus) -> Any:
    """Return the bucket of the official SDK."""
    from aistore.sdk import Client as OfficialClient

    return OfficialClient(corpus.endpoint).bucket(corpus.bucket)


def s3_store(corpus: Corpus) -> Any:
    """Return the bucket as obstore sees it over the cluster's S3 interface.

    Raises:
        Unsuited: The endpoint has no S3 interface.
    """
    from obstore.store import S3Store

    require_s3(corpus)
    return S3Store(
        corpus.bucket,
        endpoint=f"{corpus.endpoint}/s3",
        region="us-east-1",
        skip_signature=True,
        client_options={"allow_http": True},
    )


def s3_connector_dataset(corpus: Corpus, names: Sequence[str]) -> Any:
    """Return objects as a map dataset of Amazon's S3 connector for PyTorch.

    Raises:
        Unsuited: The endpoint has no S3 interface.
    """
    require_s3(corpus)
    connector = import_module("s3torchconnector")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(variable, "any")
    return connector.S3MapDataset.from_objects(
        [f"s3://{corpus.bucket}/{name}" for name in names],
        region="us-east-1",
        endpoint=f"{corpus.endpoint}/s3",
        s3client_config=connector.S3ClientConfig(force_path_style=True),
    )


def require_s3(corpus: Corpus) -> None:
    """Check that an endpoint has an S3 interface.

    Raises:
        Unsuited: It has none.
    """
    import urllib3

    response = urllib3.request("GET", f"{corpus.endpoint}/s3", retries=False, timeout=10)
    if response.status != 200:
        raise Unsuited(f"the endpoint answers {response.status} at /s3: it has no S3 interface")


def http_urls(corpus: Corpus, names: Sequence[str]) -> list[str]:
    """Return the http URLs of objects at the proxy, which redirects to the node."""
    bucket = Client(corpus.endpoint).bucket(corpus.bucket)
    return [object_http_url(corpus.endpoint, bucket.object(name).url) for name in names]


def curl(urls: Sequence[str]) -> Iterator[int]:
    """Read URLs to /dev/null by one curl, which reuses its connections; yield the sizes."""
    command = ["curl", "-sfL", "--config", "-", "--write-out", r"%{size_download}\n"]
    config = "".join(f'url = "{url}"\noutput = "/dev/null"\n' for url in urls)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(config)
        program.stdin.close()
        yield from map(int, program.stdout)
    if program.returncode:
        raise OSError(f"curl ended with status {program.returncode}")
