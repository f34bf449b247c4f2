"""An S3 server for tests: moto in a process of its own, and boto3 as the other client."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

from tests.reused_servers import reused_server, serve

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

_SIGN = "sign"


def environment_for(endpoint: str) -> dict[str, str]:
    """Return the environment in which s3:// is the server at an endpoint."""
    return {**KEYS, "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}


@contextmanager
def s3_server(*, sign: bool = False, page_size: int = 1000) -> Iterator[str]:
    """Give the endpoint of a server without buckets.

    Args:
        sign: Take every request for a signed one of S3, whatever it bears; moto refuses others.
        page_size: How many names a page of a listing has, unless a request limits them.
    """
    command = (__file__, str(page_size), *([_SIGN] if sign else []))
    with reused_server(command, reset="/moto-api/reset") as endpoint:
        yield endpoint


def boto_client(endpoint: str) -> Any:
    """Return boto3's client of the server."""
    return import_module("boto3").client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="key",
        aws_secret_access_key="the-secret",
        region_name="us-east-1",
    )


def _signing(app: Callable[..., Any]) -> Callable[..., Any]:
    def signed(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ["HTTP_AUTHORIZATION"] = SIGNED
        if "HTTP_X_GOOG_COPY_SOURCE" in environ:
            environ["HTTP_X_AMZ_COPY_SOURCE"] = environ["HTTP_X_GOOG_COPY_SOURCE"]
        return app(environ, start_response)

    return signed


def _serve() -> None:
    os.environ["MOTO_S3_DEFAULT_MAX_KEYS"] = sys.argv[1]

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    app = DomainDispatcherApplication(create_backend_app)
    serve(_signing(app) if _SIGN in sys.argv else app)


if __name__ == "__main__":
    _serve()
