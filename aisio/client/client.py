"""Client, Bucket and ObjectGroup: an AIStore cluster as users of aisio see it.

All of them pickle, and any number of threads may use one. They stand in one module because they
make one another: a client makes buckets, a bucket knows its client and makes groups, and a group
knows its bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec

from aisio.client.authn import fetch_token
from aisio.client.base_bucket import BaseBucket
from aisio.client.batch import BatchItem, Missing, get_batch
from aisio.client.batch_archive import BatchOptions
from aisio.client.object import Object
from aisio.client.session import Session
from aisio.config import load_settings
from aisio.errors import (
    StorageError,
    UrlError,
)
from aisio.escapes import first_few
from aisio.records import (
    Concurrency,
    ObjectInfo,
    RetryPolicy,
    Settings,
    Timeouts,
    TlsFiles,
)
from aisio.summary import Summarized, counted, shown
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.urls import ALIASES, Namespace, ObjectUrl
from aisio.wire import messages
from aisio.wire.templates import Template

__all__ = ["Bucket", "Client", "ObjectGroup"]

_SHOWN_NAMES = 3


class Client(Summarized):
    """A client of an AIStore cluster or an aisio gateway.

    Nothing is sent before the first request that needs it. A client pickles, and any thread of any
    process may use it. Bodies come by connections of the process, control calls by those of the
    thread. In a `with` statement it is closed, for good, at the end of the block.

    Args:
        endpoint: Base URL, as in "http://127.0.0.1:8080"; by default that of AIS_ENDPOINT.
        token: Bearer token; by default that of AIS_AUTHN_TOKEN, else that of AIS_AUTHN_TOKEN_FILE,
            which is read again when it changes.
        timeouts: Per request.
        retry: How long and how often to try.
        tls: Certificates for https.
        pool_size: Maximum number of idle connections that are kept to one host.
        direct: Read from the storage node that holds an object, which the client computes from the
            cluster map. Reads go through the proxy only where that fails.

    Raises:
        ConfigError: No endpoint, or a setting that cannot work.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        tls: TlsFiles | None = None,
        pool_size: int | None = None,
        direct: bool = True,
    ) -> None:
        self.session = Session(
            load_settings(
                endpoint,
                token=token,
                timeouts=timeouts,
                retry=retry,
                tls=tls,
                pool_size=pool_size,
                direct=direct,
            )
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> Client:
        """Return a client with exactly these settings; the environment is not read."""
        client = cls.__new__(cls)
        client.session = Session(settings)
        return client

    def login(self, user: str, password: str, *, expires_s: float | None = None) -> Client:
        """Get a token from the AuthN server that AIS_AUTHN_URL names; return a client that has it.

        Args:
            user: User name.
            password: Password; no error shows it.
            expires_s: How long the token is to be valid, in seconds; None leaves it to the server.

        Raises:
            AccessError: AuthN does not know the user, or the password is wrong.
            ConfigError: `expires_s` is not a positive number.
        """
        token = fetch_token(self.settings, user, password, expires_s)
        return Client.from_settings(replace(self.settings, token=token, token_file=None))

    @property
    def settings(self) -> Settings:
        """Endpoint, credentials, timeouts and retries."""
        return self.session.settings

    @property
    def endpoint(self) -> str:
        """Base URL of the cluster's proxy or of the gateway."""
        return self.settings.endpoint

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Client) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash(self.settings)

    def __repr__(self) -> str:
        return f"Client({shown(self.endpoint)!r})"

    def _summary(self) -> Mapping[str, object]:
        return {
            "endpoint": self.endpoint,
            "token": "set" if self.settings.token else "none",
            "reads": "from storage nodes" if self.settings.direct else "through the endpoint",
        }

    def __enter__(self) -> Client:
        self.session.check_open()
        return self

    def __exit__(self, *error: object) -> None:
        """Close the client for good: it, and what was made with it, refuse any further request.

        What is being read can be read to its end.
        """
        self.session.end()

    def bucket(
        self, name: str, provider: str = "ais", *, namespace: Namespace | str | None = None
    ) -> Bucket:
        """Return a bucket by name or URL ("s3://data"); whether it exists is not looked up.

        Args:
            name: Bucket name or URL.
            provider: ais, or a cloud behind the cluster: aws (s3), gcp (gs), azure (az), oci (oc).
                A URL has its own.
            namespace: AIStore namespace, as an object or as "@cluster#name".

        Raises:
            UrlError: The name, provider or namespace is not valid; or the URL has another provider.
        """
        url = ObjectUrl.parse(name if "://" in name else f"{provider}://{name}")
        if url.name or url.provider not in ALIASES.values():
            raise UrlError(
                f"{name!r} is not a bucket: expected a name, or a URL as in ais://imagenet",
                url=name,
            )
        if provider != "ais" and ALIASES.get(provider) != url.provider:
            raise UrlError(f"{name!r} is not a bucket of provider={provider!r}", url=name)
        if namespace:
            space = Namespace.parse(namespace) if isinstance(namespace, str) else namespace
            url = msgspec.structs.replace(url, namespace=space)
        return Bucket(self, url)

    def object(self, url: str | ObjectUrl) -> Object:
        """Return an object by URL; whether it exists is not looked up.

        Raises:
            UrlError: It is not the URL of an object.
        """
        parsed = ObjectUrl.parse(url) if isinstance(url, str) else url
        if parsed.provider not in ALIASES.values():
            raise UrlError(
                f"{str(parsed)!r} is not in a cluster; is ais:// meant?", url=str(parsed)
            )
        return Object(self.session, parsed.require_object())

    def get_batch(
        self,
        entries: Iterable[BatchItem],
        *,
        streaming: bool = True,
        missing: Missing = "raise",
        output_format: str = ".tar",
        colocation: int = 0,
        concurrency: int | Concurrency | None = None,
    ) -> Iterator[tuple[ObjectInfo, bytes | None]]:
        """Read many objects in one request, and yield them in its order, each one accounted for.

        The cluster sends them as one archive without checksums. aisio compares the names, and sizes
        and checksums where the entries have them. What the archive lacks, or has wrong, is read
        object by object. So is everything where the server has no get-batch.

        Args:
            entries: Objects, what a listing says of them, their URLs, (URL of an archive, path of a
                file in it), or `aisio.wire.batch.BatchEntry` for ranges.
            streaming: The server sends the archive while it makes it. If false it completes the
                archive first, and sends the size of each member with it.
            missing: For an object that does not exist: "raise" NotFoundError at its place; "skip"
                it; or "none": yield None for its bytes. A bucket that does not exist always raises.
            output_format: Of the archive on the wire: .tar, .tgz, .tar.gz or .tar.lz4.
            colocation: 1 lets the node that holds most of the objects assemble the archive.
            concurrency: How many objects that the archive lacks are read at once.

        Raises:
            NotFoundError: See `missing`.
            RangeError: A range goes beyond the end of its object.
            ThrottledError: The cluster is overloaded for longer than the retry policy waits.
        """
        options = BatchOptions(streaming, output_format, colocation)
        return get_batch(
            self.session,
            entries,
            options,
            bucket_exists=lambda url: self.bucket(url.root).exists(),
            missing=missing,
            concurrency=concurrency,
        )

    def buckets(self, provider: str = "ais") -> list[Bucket]:
        """List the buckets of one provider."""
        canonical = ObjectUrl.parse(f"{provider}://any").provider
        response = self.session.call(
            "GET",
            "/v1/buckets",
            query={"provider": canonical},
            message=messages.action("list"),
            about=f"{provider}://",
        )
        return [Bucket(self, url) for url in messages.parse_buckets(response.body)]

    def ready(self) -> bool:
        """Tell whether the cluster has started, with one request."""
        try:
            self.session.call("GET", "/v1/health", query={"prr": "true"}, safe=False)
        except StorageError:
            return False
        return True

    def close(self) -> None:
        """Close the calling thread's connections, and the idle ones of the process.

        The next request opens new ones.
        """
        self.session.close()


class Bucket(BaseBucket, Summarized):
    """A bucket of a cluster; made by `Client.bucket`."""

    def __init__(self, client: Client, url: ObjectUrl) -> None:
        super().__init__(client.session, url)
        self.client = client

    def _sibling(self, name: str) -> Bucket:
        return self.client.bucket(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bucket) and (self.client, self.url) == (other.client, other.url)

    def __hash__(self) -> int:
        return hash((self.client, self.url))

    def __repr__(self) -> str:
        return f"Bucket({shown(self.url)!r}, endpoint={shown(self.client.endpoint)!r})"

    def _summary(self) -> Mapping[str, object]:
        return {"url": self.url, "endpoint": self.client.endpoint}

    def objects(
        self,
        names: Iterable[str] | None = None,
        *,
        template: str | None = None,
        count: int | None = None,
    ) -> ObjectGroup:
        """Return a group of objects, by their names or by a template of names.

        Args:
            names: Object names, in the order in which they are to be read.
            template: As in "s-{000..099}.tar", "s-@099.tar" or "s-%03d.tar"; see
                `aisio.wire.templates`.
            count: How many names a template of the last form makes.

        Raises:
            UrlError: A name or template that is not valid.
            ConfigError: Both names and template, or neither.
        """
        return ObjectGroup(self, self._names(names, template, count))


class ObjectGroup(Summarized):
    """Some objects of a bucket, in the caller's order; made by `Bucket.objects`.

    Whether they exist is not looked up: reading a missing one raises NotFoundError.
    """

    def __init__(self, bucket: Bucket, names: tuple[str, ...] | Template) -> None:
        self.bucket = bucket
        self._names = names

    def __len__(self) -> int:
        return self._names.count if isinstance(self._names, Template) else len(self._names)

    def __iter__(self) -> Iterator[Object]:
        return (self.bucket.object(name) for name in self.names())

    def __contains__(self, name: Any) -> bool:
        """Tell whether the group has an object of this name; not whether that exists."""
        if isinstance(name, Object):
            return any(item == name for item in self)
        return name in self.names()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectGroup) and (self.bucket, self._names) == (
            other.bucket,
            other._names,
        )

    def __hash__(self) -> int:
        return hash((self.bucket, self._names))

    def __repr__(self) -> str:
        return f"ObjectGroup({shown(self.bucket.url)!r}, {counted(len(self), 'object')})"

    def _summary(self) -> Mapping[str, object]:
        names = list(islice(self.names(), _SHOWN_NAMES + 1))
        return {
            "bucket": self.bucket.url,
            "objects": len(self),
            "names": first_few(names, _SHOWN_NAMES),
            "endpoint": self.bucket.client.endpoint,
        }

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with the prefix, in order."""
        names = self._names.names() if isinstance(self._names, Template) else iter(self._names)
        return (name for name in names if name.startswith(prefix))

    def list(self, prefix: str = "", *, sizes: bool = False) -> Iterator[ObjectInfo]:
        """Yield what is known of each object whose name begins with the prefix.

        Args:
            prefix: Plain-string prefix of the names.
            sizes: Request the size of each object, by one request each. If false only names are
                known.

        Raises:
            NotFoundError: With sizes, an object that does not exist.
        """
        for name in self.names(prefix):
            yield (
                self.bucket.object(name).head() if sizes else ObjectInfo(self.bucket.url.root, name)
            )

    def get_all(
        self, *, concurrency: int | Concurrency | None = None
    ) -> Iterator[tuple[ObjectInfo, bytes]]:
        """Read the objects, several at once, and yield them in the group's order, verified.

        Args:
            concurrency: How many at once, or the bounds within which aisio finds the best number.

        Raises:
            NotFoundError: An object does not exist; those before it are yielded first.
            IntegrityError: The bytes are not the ones that the cluster promised.
        """
        return fetch_in_order(
            self,
            Object.get_with_info,
            send_ahead=Object.send_ahead,
            limit=AdaptiveLimit(Concurrency.of(concurrency)),
            result_bytes=lambda result: len(result[1]),
        )
