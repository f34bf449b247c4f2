"""An S3 server for tests: moto in a process of its own, and boto3 as the other client."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

KEYS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "the-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""The environment in which anybody may read and write."""


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server and give its endpoint."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        found = next(filter(None, (re.search(rb"http://[\d.:]+", line) for line in server.stderr)))
        drain = threading.Thread(target=server.stderr.read)
        drain.start()
        try:
            yield found[0].decode()
        finally:
            server.terminate()
            drain.join()


def boto_client(endpoint: str) -> Any:
    """Return boto3's client of the server."""
    return import_module("boto3").client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="key",
        aws_secret_access_key="the-secret",
        region_name="us-east-1",
    )
