"""From a request's URL to the bucket and object it means: pure.

The path is percent-decoded exactly once, and as a whole, as AIStore's HTTP server does: `%2F` is a
separator like `/`, `%25` ends up as `%`, and `+` is a plus sign. Repeated slashes collapse.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from aisio.errors import UrlError
from aisio.gateway.protocol.refusals import Refusal, bad_name, no_remote_bucket
from aisio.urls import ALIASES, Namespace, check_bucket

LONGEST_PART_BYTES = 255
"""Longest file name that Linux and macOS file systems store. AIStore hashes longer ones; a folder
of readable files cannot."""

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASHES = re.compile("/{2,}")
_CLOUD_SCHEMES = {"aws": "s3", "gcp": "gs", "azure": "az", "oci": "oc"}


class BucketName(NamedTuple):
    """A bucket of this gateway.

    Attributes:
        name: Its name.
        namespace: The local namespace, without "#"; "" for the global one.
    """

    name: str
    namespace: str = ""

    @property
    def url(self) -> str:
        """The bucket's URL as AIStore writes it in messages."""
        return f"ais://#{self.namespace}/{self.name}" if self.namespace else f"ais://{self.name}"

    @property
    def folder(self) -> str:
        """Where the bucket lies below the served folder."""
        return f"#{self.namespace}/{self.name}" if self.namespace else self.name


class Target(NamedTuple):
    """What a request is about.

    Attributes:
        parts: The path below /v1, decoded: group ("objects"), bucket, object name; as many as
            there are.
        query: Query parameters; of repeated ones the first.
    """

    parts: tuple[str, ...]
    query: dict[str, str]

    @property
    def bucket(self) -> BucketName:
        """The bucket, of the provider and namespace that the query says.

        Raises:
            Refusal: Bad name, unknown provider, or a bucket that is not on this gateway.
        """
        if len(self.parts) < 2 or not self.parts[1]:
            raise _too_short(self.parts)
        return bucket_of(
            self.parts[1], self.query.get("provider", ""), self.query.get("namespace", "")
        )

    @property
    def name(self) -> str:
        """The object's name.

        Raises:
            Refusal: There is none, or no object can be called that.
        """
        if len(self.parts) < 3 or not self.parts[2]:
            raise _too_short(self.parts)
        return check_name(self.parts[2])


def parse_target(raw_path: str) -> Target:
    """Read a request target as it stands on the request line.

    Raises:
        Refusal: Broken percent-encoding, not UTF-8, or not below /v1.
    """
    path, _, query = raw_path.partition("?")
    path = decode(path)
    if not path.startswith("/v1/") or path.startswith("/v1//"):
        raise Refusal(400, f"invalid request URI: '{path}'")
    group, _, rest = path[4:].partition("/")
    bucket, slash, name = rest.lstrip("/").partition("/")
    parts = (group, bucket, _SLASHES.sub("/", name.lstrip("/"))) if slash else (group, bucket)
    values = dict(reversed(parse_qsl(query, keep_blank_values=True))) if query else {}
    return Target(parts, values)


def decode(text: str) -> str:
    """Percent-decode, once.

    Raises:
        Refusal: A "%" without two hexadecimal digits, or bytes that are not UTF-8.
    """
    if "%" not in text and text.isascii():
        return text
    if _BAD_ESCAPE.search(text):
        raise Refusal(400, f'"{text}": invalid URL escape')
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise Refusal(400, "the URL's path is not UTF-8, and names on this gateway are") from None


def check_name(name: str) -> str:
    """Return the object name, if it can be stored below the bucket's folder.

    Raises:
        Refusal: It would leave the folder, name a folder, or not fit a file system.
    """
    if not name or name.startswith(("/", "~/")) or name.endswith("/") or "\0" in name:
        raise bad_name(name.replace("\0", "\\0"))
    if "." in name and not {".", ".."}.isdisjoint(name.split("/")):
        raise bad_name(name)
    if len(name) * 4 > LONGEST_PART_BYTES and any(_too_long(part) for part in name.split("/")):
        raise bad_name(name, f"a part between slashes is longer than {LONGEST_PART_BYTES} bytes")
    return name


def check_prefix(prefix: str) -> str:
    """Return the plain prefix of a listing, without the trailing "*" that AIStore allows.

    Raises:
        Refusal: It could only mean something outside the bucket.
    """
    if prefix.startswith("~/") or not {".", ".."}.isdisjoint(prefix.split("/")):
        raise Refusal(
            400, f'bad list-objects request: invalid prefix "{prefix}"', tcode="errInvalidPath"
        )
    return prefix.removesuffix("*")


def provider_of(text: str) -> str:
    """Return the canonical provider; none means ais.

    Raises:
        Refusal: There is no such provider.
    """
    provider = ALIASES.get(text or "ais")
    if provider is None:
        known = "ais, aws (s3://), gcp (gs://), azure (az://), oci (oc://)"
        message = f'invalid backend provider "{text}": must be one of [{known}]'
        raise Refusal(400, message, tcode="ErrInvalidBackendProvider")
    return provider


def namespace_of(text: str) -> Namespace:
    """Return the namespace of the query; none means the global one.

    Raises:
        Refusal: It is not written as one.
    """
    try:
        return Namespace.parse(text)
    except UrlError:
        raise Refusal(
            400, f'bucket namespace "{text}" is invalid: expected @uuid#name or #name'
        ) from None


def parse_uname(text: str) -> tuple[BucketName, str]:
    """Return the bucket and the object's name, or "", of `provider/@cluster#namespace/bucket/name`.

    Raises:
        Refusal: It is not written so, or not on this gateway.
    """
    provider, _, rest = text.partition("/")
    namespace, _, rest = rest.partition("/")
    bucket, _, name = rest.partition("/")
    if not bucket:
        raise Refusal(400, "bucket name is missing")
    return bucket_of(bucket, provider, namespace), name


@lru_cache(maxsize=1024)
def bucket_of(name: str, provider_text: str = "", namespace_text: str = "") -> BucketName:
    """Return the bucket of a name, provider ("" for ais) and namespace ("" for the global one).

    Raises:
        Refusal: Bad name, unknown provider, or a bucket that is not on this gateway.
    """
    provider, namespace = provider_of(provider_text), namespace_of(namespace_text)
    if provider != "ais":
        raise no_remote_bucket(f"{_CLOUD_SCHEMES[provider]}://{name}")
    if namespace.cluster:
        raise no_remote_bucket(f"ais://{namespace}/{name}")
    if name.startswith("."):
        raise Refusal(400, f'reserved bucket name "{name}" (unknown system bucket)')
    try:
        check_bucket(name, name)
    except UrlError:
        raise Refusal(400, _bad_bucket(name)) from None
    return BucketName(name, namespace.name)


def is_bucket(name: str) -> bool:
    """Tell whether a folder of this name is a bucket."""
    try:
        check_bucket(name, name)
    except UrlError:
        return False
    return not name.startswith(".")


def is_namespace(name: str) -> bool:
    """Tell whether the buckets in a folder of this name are in a namespace."""
    try:
        return name.startswith("#") and bool(Namespace.parse(name).name)
    except UrlError:
        return False


def _bad_bucket(name: str) -> str:
    if len(name) > 64:
        return f"bucket name is too long: {len(name)} > 64(max length)"
    allowed = "letters, numbers, dashes (-), underscores (_), and dots (.)"
    return f"bucket name is invalid: may only contain {allowed}"


def _too_short(parts: tuple[str, ...]) -> Refusal:
    given = [part for part in parts if part]
    path = "/".join(("v1", *(parts if len(given) > 1 else given)))
    expected = 4 if parts[0] == "objects" else 3
    message = f"URL '{path}' is too short: expected {expected} items, got {1 + len(given)}"
    return Refusal(400, message)


def _too_long(part: str) -> bool:
    return len(part.encode()) > LONGEST_PART_BYTES
