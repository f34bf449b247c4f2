"""Values that several packages share: frozen, picklable, equal by content."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import msgspec

from aisio.errors import ConfigError
from aisio.limits import is_positive, is_whole


# gc=False: these values cannot be part of a reference cycle, and the garbage collector need not
# visit the millions of a listing.
class Checksum(msgspec.Struct, frozen=True, gc=False):
    """A checksum as AIStore or OSS names it.

    Attributes:
        kind: "xxhash2" (XXH64, seed 0; "xxhash" in older buckets), "md5", "crc32c", "sha256" or
            "sha512"; "crc64ecma" from OSS.
        value: Lowercase hexadecimal digits.
    """

    kind: str
    value: str


class ObjectInfo(msgspec.Struct, frozen=True, gc=False):
    """What a store reports of one object, in a listing or in the response to a HEAD request.

    Attributes:
        root: URL of the bucket, without a trailing slash ("ais://imagenet").
        name: Object name within it.
        size_bytes: Object size; None if the store does not report it.
        checksum: Of the whole object; None if the store does not report it.
        version: AIStore's or the cloud's version; "" if there is none.
        etag: Entity tag without quotes; "" if there is none.
        mtime_s: Last change (from AIStore: last access) in seconds since 1970; 0.0 if unknown.
        custom: The object's custom metadata.
        label: What a manifest says the object is; "" if none does.
        location: The target and disk of AIStore that hold it, where a listing was asked for them.
    """

    root: str
    name: str
    size_bytes: int | None = None
    checksum: Checksum | None = None
    version: str = ""
    etag: str = ""
    mtime_s: float = 0.0
    custom: dict[str, str] = msgspec.field(default_factory=dict)
    label: str = ""
    location: str = ""

    def __hash__(self) -> int:
        return hash((self.root, self.name, self.size_bytes, self.checksum, self.version, self.etag))

    @property
    def url(self) -> str:
        """The object's full URL."""
        return f"{self.root}/{self.name}"


class UnfinishedUpload(msgspec.Struct, frozen=True):
    """An upload that is neither complete nor aborted: it goes on, or its process has ended.

    Attributes:
        url: The object that it would become.
        id: What the store knows it by; for a local file the path of the temporary file.
        begun_s: When it was begun (of a local file: last written to), in seconds since 1970; 0.0
            if unknown.
    """

    url: str
    id: str
    begun_s: float = 0.0


class Deleted(msgspec.Struct, frozen=True):
    """What a call that deletes many objects has done.

    Attributes:
        count: How many objects were deleted.
        missing: Names that were to be deleted and did not exist, in the caller's order.
    """

    count: int
    missing: tuple[str, ...] = ()


def may_be_same_object(first: ObjectInfo, second: ObjectInfo) -> bool:
    """Tell whether two answers can be about one object, by size and checksum if both have them."""
    if None not in (first.size_bytes, second.size_bytes) and first.size_bytes != second.size_bytes:
        return False
    a, b = first.checksum, second.checksum
    return a is None or b is None or a.kind != b.kind or a.value == b.value


def same_version(first: ObjectInfo, second: ObjectInfo) -> bool:
    """Tell whether two answers are about the same bytes, by all that both of them say.

    Where the first identifies its bytes by more than their number, the second must agree in one of
    these: a checksum in one and an entity tag in the other prove nothing.
    """
    sizes = (first.size_bytes, second.size_bytes)
    if None not in sizes and sizes[0] != sizes[1]:
        return False
    identities = (
        (first.checksum, second.checksum),
        (first.version, second.version),
        (first.etag, second.etag),
    )
    said_by_both = [(one, other) for one, other in identities if one and other]
    if any(one != other for one, other in said_by_both):
        return False
    return bool(said_by_both) or not (first.checksum or first.version or first.etag)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes [start, stop) of an object.

    Attributes:
        start: First byte, counted from 0.
        stop: One past the last byte; None for the object's end.
    """

    start: int
    stop: int | None = None

    def __post_init__(self) -> None:
        if not is_whole(self.start) or not (
            self.stop is None or is_whole(self.stop, self.start + 1)
        ):
            raise ConfigError(
                f"not a byte range: [{self.start}, {self.stop}): 0 <= start < stop is needed, "
                f"in whole numbers"
            )

    def __str__(self) -> str:
        """The value of a Range header (RFC 9110, section 14.1.2: the last byte is included)."""
        return f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for a store, in seconds; None waits for ever.

    Attributes:
        connect_s: For the connection to be made.
        read_s: For the next bytes of a response.
        least_bytes_per_s: Low-speed limit of a body. If a body delivers less than this on average
            over `slow_s` of waiting for it, the connection is closed, and the read goes on with a
            new one. None sets no limit.
        slow_s: The time over which the speed is measured. Neither the time that a consumer spends
            between its reads counts nor the wait for the first byte. Also how long the head of a
            response may take from its first byte; None for `least_bytes_per_s` switches that off
            too.
    """

    connect_s: float | None = 3.0
    read_s: float | None = 20.0
    least_bytes_per_s: float | None = 1024.0
    slow_s: float = 20.0

    def __post_init__(self) -> None:
        for limit in (self.connect_s, self.read_s):
            if limit is not None and not is_positive(limit):
                raise ConfigError(f"{self}: connect_s and read_s must be positive, or None")
        if not self.slow_s > 0 or not (self.least_bytes_per_s or 0) >= 0:
            raise ConfigError(f"{self}: slow_s must be positive and least_bytes_per_s not negative")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try a failed request again.

    The wait before try n + 1 is drawn from [0, first_wait_s * 2**(n - 1)].

    Attributes:
        total_s: Time budget from the first failure to the start of the last try, in seconds.
        attempts: Maximum number of tries, the first included; 1 switches retries off.
        first_wait_s: Upper bound of the first wait, in seconds.
        longest_wait_s: Upper bound of any wait, in seconds; a longer Retry-After is obeyed within
            the budget.

    Source:
        "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
    """

    total_s: float = 60.0
    attempts: int = 30
    first_wait_s: float = 0.1
    longest_wait_s: float = 10.0

    def __post_init__(self) -> None:
        times = (self.total_s, self.first_wait_s, self.longest_wait_s)
        if not self.attempts >= 1 or not all(seconds >= 0 for seconds in times):
            raise ConfigError(f"{self}: attempts must be at least 1 and no time negative")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificates for https.

    Relative paths are made absolute: a program, or a worker of it, may be in another folder when
    the files are read. A "~" at their beginning is the user's home folder.

    Attributes:
        verify: Check the server's certificate.
        ca_file: PEM file of the certificate authorities to trust; without it the file that
            REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names, else those of the package certifi.
        client_cert_file: PEM file of the client's certificate; None for none.
        client_key_file: Its private key; None if the certificate's file holds it.
    """

    verify: bool = True
    ca_file: str | None = None
    client_cert_file: str | None = None
    client_key_file: str | None = None

    def __post_init__(self) -> None:
        for name in ("ca_file", "client_cert_file", "client_key_file"):
            file = getattr(self, name)
            if file:
                path = os.path.abspath(os.path.expanduser(file))  # noqa: PTH100, PTH111 - no "//"
                object.__setattr__(self, name, path)


def is_sendable_token(token: str) -> bool:
    """Tell whether a header can carry a bearer token: printable ASCII without blanks."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


@dataclass(frozen=True)
class Settings:
    """The settings of a session; made by `aisio.config.load_settings`.

    Attributes:
        endpoint: Base URL of the cluster's proxy or gateway, without a trailing slash.
        token: Bearer token; never shown by `repr`.
        token_file: Where the token is from, and is read again when it changes; None for no file.
        authn_url: Base URL of the AuthN server.
        timeouts: Per request.
        retry: Across requests.
        tls: Certificates.
        pool_size: Idle connections kept to one host.
        direct: Read from the target that holds an object, not through the proxy.
        endpoint_from: Where the endpoint was set, for errors; "" if that is not known.

    Raises:
        ConfigError: No header can carry the token.
    """

    endpoint: str
    token: str | None = field(default=None, repr=False)
    authn_url: str = "http://localhost:52001"
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy = RetryPolicy()
    tls: TlsFiles = TlsFiles()
    pool_size: int = 10
    direct: bool = True
    endpoint_from: str = field(default="", compare=False)
    token_file: str | None = None

    def __post_init__(self) -> None:
        if self.token and not is_sendable_token(self.token):
            # The message does not quote the token: it is a secret.
            raise ConfigError("the token holds blanks, control characters or non-ASCII characters")


MAX_CONCURRENT_READS = 64
"""Maximum number of a process's reading threads, and of the requests that it sends ahead; threads
that send at the same moment may exceed it by a few."""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many small reads may be in flight at once.

    Attributes:
        fixed: Always this many; None adapts the number to the store.
        start: How many to begin with, unless the first reads show that fewer are enough.
        most: The maximum number, up to 64.
        most_bytes: Maximum number of bytes that are in flight or wait for their turn; a larger
            object is read alone.

    Raises:
        ConfigError: A number is out of range.
    """

    fixed: int | None = None
    start: int = 8
    most: int = 32
    most_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        numbers = (self.start, self.most) if self.fixed is None else (self.fixed,)
        if not all(is_whole(number, 1) and number <= MAX_CONCURRENT_READS for number in numbers):
            raise ConfigError(
                f"{self}: a number of reads at once lies between 1 and {MAX_CONCURRENT_READS}"
            )
        if not is_whole(self.most_bytes, 1):
            raise ConfigError(f"{self}: most_bytes must be at least 1")

    @classmethod
    def of(cls, value: int | Concurrency | None) -> Concurrency:
        """Return the record for an argument `concurrency=`: a fixed number, a record, or None.

        Raises:
            ConfigError: A number is out of range.
        """
        if value is None:
            return cls()
        return cls(fixed=value) if isinstance(value, int) else value
