"""Where resources come from, but for NVIDIA's registry: any store that aisio reads, and PBSS."""

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
from aisio.resources.origins.body_reply import BodyReply
from aisio.resources.origins.web import WebOrigin
from aisio.stores import DirectSettings, DirectStore, Store, store_for
from aisio.stores.direct.settings import boto_session
from aisio.stores.endpoint import store_at
from aisio.urls import WEB_SCHEMES, ObjectUrl

DEFAULT_PBSS_ENDPOINT = "https://pbss.s8k.io"
PBSS_RETRY = RetryPolicy(attempts=11)
"""The first try and ten more: what boto3 makes of the max_attempts of bionemo-core."""

_PBSS_VARIABLE = "AISIO_PBSS_ENDPOINT"
_WEB = tuple(f"{scheme}://" for scheme in WEB_SCHEMES)
_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


class StoreOrigin:
    """An object of a store as an origin; see `aisio.resources.download.download.Origin`.

    Args:
        url: The object.
        find_store: Returns the store that has it; called on first use, so that a place that cannot
            be used is a failure of this origin alone.
    """

    def __init__(self, url: str, find_store: Callable[[ObjectUrl], Store]) -> None:
        self.url = url
        self._find_store = find_store
        self._found: tuple[ObjectUrl, Store] | None = None

    def __repr__(self) -> str:
        return f"StoreOrigin({self.url!r})"

    def open(self, start: int = 0) -> BodyReply:
        """Open the object from a byte on; from 0 where the store cannot do otherwise.

        Raises:
            UrlError: The URL names no object.
            ConfigError: It is in a cluster, and none is known.
            AccessError: There are no credentials.
            MissingExtraError: It needs a package that is not installed.
            StorageError: As the store raises it.
        """
        if self._found is None:
            url = ObjectUrl.parse(self.url).require_object()
            self._found = url, self._find_store(url)
        url, store = self._found
        if not start:
            return BodyReply(store.get(url), 0)
        try:
            return BodyReply(store.get(url, ByteRange(start)), start)
        except StorageError as error:
            # What a server without ranges causes, or an object that has become shorter.
            if type(error) not in (StorageError, RangeError):
                raise
            return self.open()


def url_origin(
    url: str, *, endpoint: str | None = None, client: Client | None = None, hashed: bool = False
) -> Origin:
    """Return the origin that any URL means.

    Args:
        url: Of an object, in any scheme that aisio reads.
        endpoint: As a catalog names it: of the cluster, or of the S3 store for s3://, and so on;
            see `aisio.sources.named`. Without it AIS_ENDPOINT, or the cloud's own.
        client: The cluster; it goes before the endpoint.
        hashed: Whoever reads it checks a digest: the MD5 that S3 shows is not computed as well.
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
        return DirectStore(replace(store.settings, verify_etag=not hashed))

    return StoreOrigin(url, find_store)


def pbss_endpoint() -> str:
    """Return the base URL of PBSS: AISIO_PBSS_ENDPOINT, else NVIDIA's own.

    Raises:
        ConfigError: The variable holds none.
    """
    return base_url(first_set(_PBSS_VARIABLE) or DEFAULT_PBSS_ENDPOINT, _PBSS_VARIABLE)


def pbss_origin(
    url: str,
    *,
    endpoint: str | None = None,
    hashed: bool = False,
    retry: RetryPolicy = PBSS_RETRY,
) -> StoreOrigin:
    """Return the origin that an s3:// URL in PBSS means; no cluster is ever in between.

    Args:
        url: Bucket and key.
        endpoint: Base URL of the store; without it AISIO_PBSS_ENDPOINT, else NVIDIA's own.
        hashed: As for `url_origin`.
        retry: How often a request is tried.
    """
    base = endpoint or pbss_endpoint()

    def find_store(parsed: ObjectUrl) -> Store:
        _require_obstore()
        _require_credentials(url, base)
        return DirectStore(DirectSettings(base, retry=retry, verify_etag=not hashed))

    return StoreOrigin(url, find_store)


def _require_obstore() -> None:
    if find_spec("obstore") is None:
        raise missing_extra("obstore", "stores")


def _require_credentials(url: str, endpoint: str) -> None:
    """Refuse at once what would wait for a machine's role, which only AWS itself knows.

    Raises:
        AccessError: Nobody has any credentials, or AWS's own files cannot be used.
    """
    host = urlsplit(endpoint).hostname or ""
    if host.endswith(".amazonaws.com") or is_set(*_KEYS) or _in_aws_files(url):
        return
    raise AccessError(
        f"GET {url} at {endpoint}: no credentials: set AWS_ACCESS_KEY_ID and "
        f"AWS_SECRET_ACCESS_KEY, or AWS_PROFILE where boto3 is installed, or "
        f"AWS_SKIP_SIGNATURE=true to ask without",
        url=url,
    )


def _in_aws_files(url: str) -> bool:
    if find_spec("botocore") is None:
        return False
    with boto_session(url) as session:
        session.get_component("credential_provider").remove("iam-role")
        return session.get_credentials() is not None
