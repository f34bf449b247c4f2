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

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
"""A header that moto takes for a signature: it wants to see one, and does not check by what."""

_SIGNING = f"""
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
moto = DomainDispatcherApplication(create_backend_app)
def app(environ, start_response):
    environ["HTTP_AUTHORIZATION"] = {SIGNED!r}
    if "HTTP_X_GOOG_COPY_SOURCE" in environ:
        environ["HTTP_X_AMZ_COPY_SOURCE"] = environ["HTTP_X_GOOG_COPY_SOURCE"]
    return moto(environ, start_response)
run_simple("127.0.0.1", 0, app, threaded=True)
"""


def environment_for(endpoint: str) -> dict[str, str]:
    """Return the environment in which s3:// is the server at an endpoint."""
    return {**KEYS, "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}


@contextmanager
def s3_server(*, sign: bool = False) -> Iterator[str]:
    """Run a server and give its endpoint.

    Args:
        sign: Take every request for a signed one of S3, whatever it bears; moto refuses others.
    """
    served = ["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    command = [sys.executable, *(["-c", _SIGNING] if sign else served)]
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
