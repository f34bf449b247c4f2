"""ObjectUrl: the address of an object, a prefix or a bucket.

    ais://imagenet/train/a.jpg          provider://bucket/name
    ais://@f3Kd#ml/imagenet/a.jpg       with a namespace: @cluster#name
    file:///data/shards/a.tar           a local file: no bucket, absolute path
    https://host:8443/data/a.tar        a web server, read only
    oss://bucket/train/a.tar            Alibaba Cloud OSS: no cluster
    memory://scratch/a.tar              the memory of this process

A name is literal: `?`, `#`, `%`, spaces and any Unicode belong to it and are never percent-decoded,
because AIStore allows them in names. Names are quoted only when a request is sent.

Source: AIStore's naming rules, release 5.0 (bucket and namespace characters, provider aliases).
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import PurePath
from urllib.parse import urlsplit

import msgspec

from aisio.errors import UrlError

ALIASES = {
    "ais": "ais",
    "aws": "aws",
    "s3": "aws",
    "gcp": "gcp",
    "gs": "gcp",
    "azure": "azure",
    "az": "azure",
    "oci": "oci",
    "oc": "oci",
}
FILE = "file"
MEMORY = "memory"
OSS = "oss"
WEB_SCHEMES = ("http", "https")
"""Web servers; their "bucket" is host[:port], and a name is sent quoted, never as a query."""
CLOUD_SCHEMES = frozenset({"s3", "gs", "az", OSS})
"""For URLs of these schemes, the endpoint in a catalog is a store of that protocol, no cluster."""

_EXAMPLES = "a right URL looks like ais://bucket/name, s3://bucket/prefix/ or file:///folder/name"
_HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SURROGATES = re.compile("[\ud800-\udfff]")
"""How Python represents the bytes of a file's name that are not UTF-8."""
_BUCKET = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_SYSTEM_BUCKETS = frozenset({".sys-inventory", ".sys-shardidx"})
_NAMESPACE = re.compile(
    r"(?:@(?P<cluster>[A-Za-z0-9][A-Za-z0-9_-]{0,31})?)?(?:#(?P<name>[A-Za-z0-9_-]*))?"
)


class Namespace(msgspec.Struct, frozen=True, gc=False):
    """The AIStore namespace of a bucket; the empty one is the cluster's own global namespace.

    Attributes:
        cluster: UUID or alias of a remote cluster, without the `@`.
        name: Namespace within that cluster, without the `#`.
    """

    cluster: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Namespace:
        """Parse `@cluster#name`; an empty part may be left out with its mark.

        Raises:
            UrlError: The text has another form.
        """
        match = _NAMESPACE.fullmatch(text)
        if match is None:
            raise UrlError(
                f"{text!r} is not a namespace: expected @cluster#name, @cluster or #name"
            )
        return cls(match["cluster"] or "", match["name"] or "")

    def __str__(self) -> str:
        return (f"@{self.cluster}" if self.cluster else "") + (f"#{self.name}" if self.name else "")

    def __bool__(self) -> bool:
        return bool(self.cluster or self.name)


class ObjectUrl(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The address of an object, of all names that begin with a prefix, or (no name) of a bucket.

    Attributes:
        provider: Canonical: ais, aws, gcp, azure, oci, oss, file, memory, or a web server's scheme.
        bucket: Bucket name; empty for file; host[:port] of a web server.
        name: Object name or prefix, any Unicode; for file, the path without its leading "/".
        namespace: AIStore namespace; empty for the global one.
        scheme: How the text spelled the provider ("s3" for aws), so that it round-trips; `==`
            ignores it.
    """

    provider: str
    bucket: str
    name: str = ""
    namespace: Namespace = Namespace()
    scheme: str = ""

    @classmethod
    def parse(cls, text: str) -> ObjectUrl:
        """Parse the URL of an object, prefix or bucket.

        Raises:
            UrlError: No scheme, an unknown one, no bucket, or a name that no store accepts.
        """
        if not isinstance(text, str):
            raise UrlError(f"{text!r} is no text: {_no_text_hint(text)}{_EXAMPLES}", url=repr(text))
        scheme, separator, rest = text.partition("://")
        if not separator:
            raise UrlError(f"{text!r} is not a URL: {_no_scheme_hint(text)}{_EXAMPLES}", url=text)
        if scheme == FILE:
            return cls._parse_file(text, rest)
        if scheme in (OSS, MEMORY, *WEB_SCHEMES):
            return cls._parse_direct(text, scheme, rest)
        if scheme not in ALIASES:
            known = ", ".join([*ALIASES, OSS, FILE, MEMORY, *WEB_SCHEMES])
            raise UrlError(
                f"{text!r}: unknown scheme {scheme!r}, expected one of {known}; {_EXAMPLES}",
                url=text,
            )
        namespace = Namespace()
        if rest[:1] in ("@", "#"):
            head, _, rest = rest.partition("/")
            namespace = Namespace.parse(head)
        bucket, _, name = rest.partition("/")
        check_bucket(bucket, text)
        return cls(ALIASES[scheme], bucket, name, namespace, scheme)._with_checked_name()

    @classmethod
    def _parse_file(cls, text: str, rest: str) -> ObjectUrl:
        if not rest.startswith("/"):
            raise UrlError(
                f"{text!r}: a file URL holds an absolute path, as in file:///folder/name", url=text
            )
        return cls(FILE, "", rest[1:], scheme=FILE)._with_checked_name()

    @classmethod
    def _parse_direct(cls, text: str, scheme: str, rest: str) -> ObjectUrl:
        bucket, _, name = rest.partition("/")
        if scheme in (OSS, MEMORY):
            check_bucket(bucket, text)
        elif not _HOST.fullmatch(bucket):
            # The message does not quote the text: before an "@" there may be a password.
            raise UrlError(f"{scheme}:// must be followed by host or host:port, and no user name")
        return cls(scheme, bucket, name, scheme=scheme)._with_checked_name()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectUrl) and self._identity() == other._identity()

    def __ne__(self, other: object) -> bool:
        return not self == other  # that of Struct does not ask __eq__

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, Namespace, str, str]:
        return self.provider, self.namespace, self.bucket, self.name

    def __str__(self) -> str:
        root = self.root
        return f"{root}/{self.name}" if self.name else root + "/" * (self.provider == FILE)

    @property
    def root(self) -> str:
        """The URL of the bucket, without a trailing slash; `root + "/" + name` names an object."""
        if self.provider == FILE:
            return "file://"
        where = self.namespace
        namespace = f"{where}/" if where.cluster or where.name else ""
        return f"{self.scheme or self.provider}://{namespace}{self.bucket}"

    def with_name(self, name: str) -> ObjectUrl:
        """Return the address of another name in the same bucket.

        Raises:
            UrlError: No store accepts that name.
        """
        url = ObjectUrl(self.provider, self.bucket, name, self.namespace, self.scheme)
        check_prefix(name, url)
        if not name.isascii():
            url._check_encoding()
        return url

    def _check_encoding(self) -> None:
        # A local file's name may hold any bytes.
        if self.provider != FILE and _SURROGATES.search(self.name):
            raise UrlError(
                f"{str(self)!r}: the name is not UTF-8, as all names of objects are; rename it",
                url=str(self),
            )

    def _with_checked_name(self) -> ObjectUrl:
        check_prefix(self.name, self)
        if not self.name.isascii():
            self._check_encoding()
        return self

    def join(self, name: str) -> ObjectUrl:
        """Return the address of `name` below this prefix, with one "/" between the two."""
        if not self.name or self.name.endswith("/"):
            return self.with_name(self.name + name)
        return self.with_name(f"{self.name}/{name}")

    def require_object(self) -> ObjectUrl:
        """Return self if it can name one object.

        Raises:
            UrlError: It names a bucket or a folder-like prefix.
        """
        if not self.name or self.name.endswith("/"):
            raise UrlError(
                f"{str(self)!r} names no object: a name without a final '/' must follow the bucket",
                url=str(self),
            )
        return self


def folder_url(url: ObjectUrl) -> str:
    """Return the URL up to the last "/" of its name."""
    return f"{url.root}/{url.name[: url.name.rfind('/') + 1]}"


def check_bucket(bucket: str, text: str) -> str:
    """Return a bucket name if AIStore accepts it; errors quote `text`.

    Raises:
        UrlError: It is empty, over 64 characters, or holds others than letters, digits, `-`, `_`
            and `.`.
    """
    if not bucket:
        raise UrlError(f"{text!r} has no bucket; {_EXAMPLES}", url=text)
    if bucket not in _SYSTEM_BUCKETS and (not _BUCKET.fullmatch(bucket) or ".." in bucket):
        # There may be a password before an "@" or after a ":".
        is_secret = "@" in bucket or ":" in bucket
        shown = "what follows '://'" if is_secret else repr(bucket)
        raise UrlError(
            f"{text!r}: {shown} is not a bucket name: up to 64 letters, digits, '-', '_' "
            f"or '.', no '..' and no leading '.'",
            url=text,
        )
    return bucket


def check_prefix(name: str, text: str | ObjectUrl) -> str:
    """Return an object name or prefix if every store accepts it; errors quote `text`.

    Raises:
        UrlError: It begins with "/" or "~/", has an empty, "." or ".." element, or holds a NUL.
    """
    if name.startswith("~/") or "\0" in name:
        problem = "begin with '~/' or hold a NUL character"
    elif name.startswith("/") or "//" in name:
        problem = (
            "begin with '/' or hold '//': AIStore collapses them, so that it would mean another"
        )
    elif "." in name and not {".", ".."}.isdisjoint(name.split("/")):
        problem = "have '.' or '..' as a path element"
    else:
        return name
    raise UrlError(f"{str(text)!r}: a name cannot {problem}", url=str(text))


def _no_scheme_hint(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    if colon and scheme in ALIASES and rest:
        return f"'//' is missing, was {scheme}://{rest.lstrip('/')} meant? "
    if text.startswith("/"):
        return f"for a local file write file://{text}; "
    return ""


def _no_text_hint(value: object) -> str:
    if not isinstance(value, PurePath) or ":/" in str(value):  # a path joins the two slashes
        return ""
    path = f"file://{value}" if value.is_absolute() else "'file://' and the absolute path"
    return f"for a local file write {path}; "


@lru_cache(maxsize=256)
def is_base_url(text: str) -> bool:
    """Tell whether a text is http:// or https://, a host, and at most a port and a path.

    A URL with a user name or password is none: it holds a secret.
    """
    # urlsplit drops line breaks, tabs and surrounding blanks instead of refusing them.
    if not text.isprintable() or any(mark in text for mark in " \\?#"):
        return False
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(known) and parts.username is None and not parts.netloc.endswith(":")
