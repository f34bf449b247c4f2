"""Parses a request's URL into the bucket and object that it means. Pure.

The path is percent-decoded exactly once, and as a whole, as AIStore's HTTP server does: `%2F` is a
separator like `/`, `%25` ends up as `%`, and `+` is a plus sign. Repeated slashes collapse.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from aisio.errors import UrlError
from aisio.gateway.protocol.refusals import Refusal, invalid_name, remote_bucket_not_found
from aisio.urls import ALIASES, Namespace, check_bucket

MAX_PART_BYTES = 255
"""Longest file name that the file systems of Linux and macOS store. AIStore hashes longer ones,
which a folder of readable files cannot do."""

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
        """The bucket's path below the served folder."""
        return f"#{self.namespace}/{self.name}" if self.namespace else self.name


class Target(NamedTuple):
    """What a request is about.

    Attributes:
        parts: The path below /v1, decoded: group ("objects"), bucket, object name; without those
            that the path does not have.
        query: Query parameters; the first of repeated ones.
    """

    parts: tuple[str, ...]
    query: dict[str, str]

    @property
    def bucket(self) -> BucketName:
        """The bucket, with the provider and namespace of the query.

        Raises:
            Refusal: Bad name, unknown provider, or a bucket that is not on this gateway.
        """
        if len(self.parts) < 2 or not self.parts[1]:
            raise _too_short(self.parts)
        return parse_bucket(
            self.parts[1], self.query.get("provider", ""), self.query.get("namespace", "")
        )

    @property
    def name(self) -> str:
        """The object's name.

        Raises:
            Refusal: There is none, or no object can have that name.
        """
        if len(self.parts) < 3 or not self.parts[2]:
            raise _too_short(self.parts)
        return check_name(self.parts[2])


def parse_target(raw_path: str) -> Target:
    """Parse a request target as it is on the request line.

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
    """Percent-decode a path, once.

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
    """Return an object name that can be stored below the bucket's folder.

    Raises:
        Refusal: It would leave the folder, name a folder, or not fit a file system.
    """
    if not name or name.startswith(("/", "~/")) or name.endswith("/") or "\0" in name:
        raise invalid_name(name.replace("\0", "\\0"))
    if "." in name and not {".", ".."}.isdisjoint(name.split("/")):
        raise invalid_name(name)
    if len(name) * 4 > MAX_PART_BYTES and any(_too_long(part) for part in name.split("/")):
        raise invalid_name(name, f"a part between slashes is longer than {MAX_PART_BYTES} bytes")
    return name


def check_member_path(path: str) -> str:
    """Return the path of a member of an archive.

    Raises:
        Refusal: It names a folder, has "." or ".." among its parts, or a NUL, where a zip cuts it.
    """
    parts = path.split("/")
    if path.endswith("/") or path.startswith("~/") or not {".", ".."}.isdisjoint(parts):
        raise Refusal(400, f'invalid archpath "{path}"')
    if "\0" in path:
        raise Refusal(400, 'invalid archpath "{}"'.format(path.replace("\0", "\\0")))
    return path


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


def parse_provider(text: str) -> str:
    """Return the canonical name of a provider; "" means ais.

    Raises:
        Refusal: There is no such provider.
    """
    provider = ALIASES.get(text or "ais")
    if provider is None:
        known = "ais, aws (s3://), gcp (gs://), azure (az://), oci (oc://)"
        message = f'invalid backend provider "{text}": must be one of [{known}]'
        raise Refusal(400, message, tcode="ErrInvalidBackendProvider")
    return provider


def parse_namespace(text: str) -> Namespace:
    """Return the namespace that a query parameter says; "" means the global one.

    Raises:
        Refusal: It is malformed.
    """
    try:
        return Namespace.parse(text)
    except UrlError:
        raise Refusal(
            400, f'bucket namespace "{text}" is invalid: expected @uuid#name or #name'
        ) from None


def parse_uname(text: str) -> tuple[BucketName, str]:
    """Parse `provider/@cluster#namespace/bucket/name` into bucket and object name, which may be "".

    Raises:
        Refusal: It is malformed, or not on this gateway.
    """
    provider, _, rest = text.partition("/")
    namespace, _, rest = rest.partition("/")
    bucket, _, name = rest.partition("/")
    if not bucket:
        raise Refusal(400, "bucket name is missing")
    return parse_bucket(bucket, provider, namespace), name


@lru_cache(maxsize=1024)
def parse_bucket(name: str, provider_text: str = "", namespace_text: str = "") -> BucketName:
    """Return the bucket of a name, a provider ("" for ais) and a namespace ("" for the global one).

    Raises:
        Refusal: Bad name, unknown provider, or a bucket that is not on this gateway.
    """
    provider, namespace = parse_provider(provider_text), parse_namespace(namespace_text)
    if provider != "ais":
        raise remote_bucket_not_found(f"{_CLOUD_SCHEMES[provider]}://{name}")
    if namespace.cluster:
        raise remote_bucket_not_found(f"ais://{namespace}/{name}")
    if name.startswith("."):
        raise Refusal(400, f'reserved bucket name "{name}" (unknown system bucket)')
    try:
        check_bucket(name, name)
    except UrlError:
        raise Refusal(400, _invalid_bucket_message(name)) from None
    return BucketName(name, namespace.name)


def is_bucket_name(name: str) -> bool:
    """Tell whether a folder of this name can be a bucket."""
    try:
        check_bucket(name, name)
    except UrlError:
        return False
    return not name.startswith(".")


def is_namespace_folder(name: str) -> bool:
    """Tell whether a folder of this name holds the buckets of a namespace."""
    try:
        return name.startswith("#") and bool(Namespace.parse(name).name)
    except UrlError:
        return False


def _invalid_bucket_message(name: str) -> str:
    if len(name) > 64:
        return f"bucket name is too long: {len(name)} > 64(max length)"
    allowed = "letters, numbers, dashes (-), underscores (_), and dots (.)"
    return f"bucket name is invalid: may only contain {allowed}"


def _too_short(parts: tuple[str, ...]) -> Refusal:
    non_empty = [part for part in parts if part]
    path = "/".join(("v1", *(parts if len(non_empty) > 1 else non_empty)))
    expected = 4 if parts[0] == "objects" else 3
    message = f"URL '{path}' is too short: expected {expected} items, got {1 + len(non_empty)}"
    return Refusal(400, message)


def _too_long(part: str) -> bool:
    return len(part.encode()) > MAX_PART_BYTES
