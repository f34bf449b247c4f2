"""Where a bucket of OSS is, and who signs, by DirectSettings and the environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aisio.config import first_item, first_set
from aisio.errors import ConfigError
from aisio.records import Settings
from aisio.stores.direct.settings import DirectSettings
from aisio.stores.direct.validation import check_endpoint
from aisio.stores.oss.credentials import OssCredentials, provider_for

__all__ = ["BucketAccess", "open_access"]

_OPTIONS = frozenset(
    {
        "access_key_id",
        "access_key_secret",
        "security_token",
        "skip_signature",
        "virtual_hosted_style_request",
    }
)
_HOST_REGION = re.compile(r"(?:^|\.)oss-([a-z]+(?:-[a-z0-9]+)*?)(?:-internal)?\.aliyuncs\.com$")
_NOT_A_REGION = ("accelerate", "accelerate-overseas", "enet")
_REGION = re.compile(r"[a-z0-9-]{2,40}")
_POOL_SIZE = 64


@dataclass(frozen=True)
class BucketAccess:
    """How to reach one bucket.

    Attributes:
        bucket: Its name.
        settings: Base URL of the bucket, timeouts, retries, TLS.
        region: What signatures are for, as in "cn-hangzhou".
        credentials: Returns the keys; None for a public bucket, whose requests are not signed.
    """

    bucket: str
    settings: Settings
    region: str
    credentials: Callable[[], OssCredentials] | None = field(repr=False)


def open_access(settings: DirectSettings, bucket: str) -> BucketAccess:
    """Return how to reach a bucket; no request is made.

    Endpoint and region are those of the settings, else OSS_ENDPOINT and OSS_REGION. Of the two one
    is enough where the endpoint is one of Alibaba's own.

    Raises:
        ConfigError: A setting is missing or not valid.
    """
    options = settings.options
    if unknown := sorted(set(options) - _OPTIONS):
        raise ConfigError(
            f"DirectSettings.options of oss:// has no {unknown[0]!r}: expected some of "
            f"{', '.join(sorted(_OPTIONS))}"
        )
    region_where, region = _first("region", settings.region, "OSS_REGION")
    where, endpoint = _first("endpoint", settings.endpoint, "OSS_ENDPOINT")
    if not endpoint and not region:
        raise ConfigError(
            "no endpoint for oss://: set OSS_ENDPOINT, as to https://oss-cn-hangzhou.aliyuncs.com, "
            "or pass direct=DirectSettings(endpoint=...)"
        )
    region = region.removeprefix("oss-")
    if region and not _REGION.fullmatch(region):
        raise ConfigError(f"{region_where}={region!r} is no region of OSS, as in cn-hangzhou")
    if not endpoint:
        where, endpoint = region_where, f"oss-{region}.aliyuncs.com"
    base = _base_url(endpoint, where)
    is_signed = not options.get("skip_signature")
    region = region or _region_of(base, where, is_needed=is_signed)
    return BucketAccess(
        bucket,
        Settings(
            endpoint=_bucket_url(base, bucket, options),
            endpoint_from=where,
            timeouts=settings.timeouts,
            retry=settings.retry,
            tls=replace(settings.tls, ca_file=settings.tls.ca_file or first_set("AIS_CLIENT_CA")),
            pool_size=_POOL_SIZE,
        ),
        region,
        provider_for(settings.credentials, options) if is_signed else None,
    )


def _first(name: str, value: str | None, variable: str) -> tuple[str, str]:
    """Return where a setting is from, and its value; "" if there is none."""
    if value:
        return f"DirectSettings.{name}", value
    return first_item(variable) or (name, "")


def _base_url(endpoint: str, where: str) -> str:
    if "://" not in endpoint:
        endpoint = f"https://{endpoint}"
    check_endpoint(endpoint, where)
    if urlsplit(endpoint).path.strip("/"):
        raise ConfigError(f"{where}={endpoint!r} holds a path: an endpoint of OSS has none")
    return endpoint.rstrip("/")


def _region_of(base: str, where: str, *, is_needed: bool) -> str:
    match = _HOST_REGION.search(urlsplit(base).hostname or "")
    if match and match[1] not in _NOT_A_REGION:
        return match[1]
    if is_needed:
        raise ConfigError(
            f"{where}={base!r} does not say of which region it is: pass region=, as in "
            f"cn-hangzhou, or set OSS_REGION"
        )
    return ""


def _bucket_url(base: str, bucket: str, options: Mapping[str, Any]) -> str:
    """Return the base URL of a bucket: a host of its own, or a folder of a host without names.

    Source:
        OSS takes buckets as a part of the host alone; Alibaba's SDKs make an exception for IP
        addresses, as emulators have.
    """
    scheme, _, host = base.partition("://")
    in_host = options.get("virtual_hosted_style_request")
    if in_host is None:
        in_host = not _has_no_subdomains(urlsplit(base).hostname or "")
    return f"{scheme}://{bucket}.{host}" if in_host else f"{base}/{bucket}"


def _has_no_subdomains(hostname: str) -> bool:
    if hostname == "localhost":
        return True
    try:
        ip_address(hostname)
    except ValueError:
        return False
    return True
