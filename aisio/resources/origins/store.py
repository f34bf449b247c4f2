"""Origins of resources: objects of any store that aisio reads, web servers, and PBSS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from urllib.parse import urlsplit

from aisio.client.client import Client
from aisio.config import base_url, first_set, is_set
from aisio.errors import AccessError, RangeError, StorageError
from aisio.extras import missing_extra
from aisio.records import ByteRange, RetryPolicy
from aisio.resources.download.download import Origin
from aisio.resources.origins.body_response import BodyResponse
from aisio.resources.origins.web import WebOrigin
from aisio.stores import DirectSettings, DirectStore, Store, store_for
from aisio.stores.direct.settings import boto_session
from aisio.stores.endpoint import store_at
from aisio.urls import WEB_SCHEMES, ObjectUrl

DEFAULT_PBSS_ENDPOINT = "https://pbss.s8k.io"
PBSS_RETRY = RetryPolicy(attempts=11)
"""The first attempt and ten retries: what boto3 makes of bionemo-core's max_attempts."""

_PBSS_VARIABLE = "AISIO_PBSS_ENDPOINT"
_WEB = tuple(f"{scheme}://" for scheme in WEB_SCHEMES)
_CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


class StoreOrigin:
    """An object of a store as an origin; see `aisio.resources.download.download.Origin`.

    Args:
        url: URL of the object.
        find_store: Returns the store of the object; called on first use, so that a store that
            cannot be used is a failure of this origin alone.
    """

    def __init__(self, url: str, find_store: Callable[[ObjectUrl], Store]) -> None:
        self.url = url
        self._find_store = find_store
        self._resolved: tuple[ObjectUrl, Store] | None = None

    def __repr__(self) -> str:
        return f"StoreOrigin({self.url!r})"

    def open(self, start: int = 0) -> BodyResponse:
        """Open the object from a byte on; from 0 if the store has no ranges.

        Raises:
            UrlError: The URL names no object.
            ConfigError: It is in a cluster, and no endpoint is known.
            AccessError: There are no credentials.
            MissingExtraError: The store needs a package that is not installed.
            StorageError: As the store raises it.
        """
        if self._resolved is None:
            url = ObjectUrl.parse(self.url).require_object()
            self._resolved = url, self._find_store(url)
        url, store = self._resolved
        if not start:
            return BodyResponse(store.get(url), 0)
        try:
            return BodyResponse(store.get(url, ByteRange(start)), start)
        except StorageError as error:
            # The server has no ranges (StorageError), or the object is shorter now (RangeError).
            if type(error) not in (StorageError, RangeError):
                raise
            return self.open()


def url_origin(
    url: str, *, endpoint: str | None = None, client: Client | None = None, has_digest: bool = False
) -> Origin:
    """Return the origin for a URL.

    Args:
        url: URL of an object, in any scheme that aisio reads.
        endpoint: As a catalog names it: of the cluster, or of the S3 store for s3://, and so on;
            see `aisio.sources.catalog_source`. Without it AIS_ENDPOINT, or the cloud's own.
        client: Client of the cluster; it overrides the endpoint.
        has_digest: The reader checks a digest, so the MD5 in the ETag of S3 is not checked too.
    """
    if url.startswith(_WEB):
        return WebOrigin(url)

    def find_store(parsed: ObjectUrl) -> Store:
        if endpoint:
            store = store_at(parsed, endpoint=endpoint, client=client)
        else:
            store = store_for(parsed, client)
        if not isinstance(store, DirectStore):
            return store
        _require_obstore()
        return DirectStore(replace(store.settings, verify_etag=not has_digest))

    return StoreOrigin(url, find_store)


def pbss_endpoint() -> str:
    """Return the base URL of PBSS: AISIO_PBSS_ENDPOINT, else NVIDIA's own.

    Raises:
        ConfigError: The variable is not a base URL.
    """
    return base_url(first_set(_PBSS_VARIABLE) or DEFAULT_PBSS_ENDPOINT, _PBSS_VARIABLE)


def pbss_origin(
    url: str,
    *,
    endpoint: str | None = None,
    has_digest: bool = False,
    retry: RetryPolicy = PBSS_RETRY,
) -> StoreOrigin:
    """Return the origin for an s3:// URL in PBSS; it is never read through a cluster.

    Args:
        url: Bucket and key.
        endpoint: Base URL of the store; without it AISIO_PBSS_ENDPOINT, else NVIDIA's own.
        has_digest: As for `url_origin`.
        retry: Retry policy of each request.
    """
    base = endpoint or pbss_endpoint()

    def find_store(parsed: ObjectUrl) -> Store:
        _require_obstore()
        _require_credentials(url, base)
        return DirectStore(DirectSettings(base, retry=retry, verify_etag=not has_digest))

    return StoreOrigin(url, find_store)


def _require_obstore() -> None:
    if find_spec("obstore") is None:
        raise missing_extra("obstore", "stores")


def _require_credentials(url: str, endpoint: str) -> None:
    """Raise an error at once where a request would wait for a machine's role, which only AWS has.

    Raises:
        AccessError: There are no credentials, or AWS's own files cannot be used.
    """
    host = urlsplit(endpoint).hostname or ""
    if host.endswith(".amazonaws.com") or is_set(*_CREDENTIAL_VARIABLES) or _in_aws_files(url):
        return
    raise AccessError(
        f"GET {url} at {endpoint}: no credentials: set AWS_ACCESS_KEY_ID and "
        f"AWS_SECRET_ACCESS_KEY, or AWS_PROFILE where boto3 is installed, or "
        f"AWS_SKIP_SIGNATURE=true for requests without",
        url=url,
    )


def _in_aws_files(url: str) -> bool:
    if find_spec("botocore") is None:
        return False
    with boto_session(url) as session:
        session.get_component("credential_provider").remove("iam-role")
        return session.get_credentials() is not None
