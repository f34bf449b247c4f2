"""The entries of a catalog: resources and named sources."""

from __future__ import annotations

from typing import Literal

import msgspec

from aisio.urls import ALIASES, CLOUD_SCHEMES

KINDS = ("urls", "prefix", "template", "manifest", "tar")
"""The fields of a source that say where its objects are; it has exactly one of them."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A file or archive whose bytes are verified on download.

    More than 10 attributes: they are the fields of the file format.

    Attributes:
        tag: Full name, `<file stem>/<tag>`.
        ngc: Target in NVIDIA's registry, `[org/[team/]]name[:version]`.
        ngc_registry: The kind of that target.
        pbss: s3:// URL in the store that `AISIO_PBSS_ENDPOINT` names.
        url: URL of any store that aisio reads.
        mirrors: URLs of the same bytes, tried in this order after `url`.
        endpoint: Base URL of the cluster or S3 store of `url`, and of those of `mirrors` and `pbss`
            that are on the same kind of server.
        sha256: Digest of the file as it is downloaded, 64 hexadecimal digits, or `md5:...` and
            other `algorithm:hex`; None if it is not known.
        owner: "Name <email>".
        description: For human readers.
        unpack: False keeps an archive packed.
        decompress: False keeps a compressed file compressed.

    Source:
        The fields of bionemo-core 2.4.5, and url, mirrors and endpoint.
    """

    tag: str
    sha256: str | None
    owner: str
    ngc: str | None = None
    ngc_registry: Literal["model", "resource"] | None = None
    pbss: str | None = None
    url: str | None = None
    mirrors: tuple[str, ...] = ()
    endpoint: str | None = None
    description: str | None = None
    unpack: Literal[False] | None = None
    decompress: Literal[False] | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """`url` and `mirrors`, in the order in which they are tried."""
        return (self.url, *self.mirrors) if self.url else self.mirrors

    def endpoint_for(self, url: str) -> str | None:
        """Return `endpoint` if it is that of a URL of this resource, else None.

        The endpoint is one server: a cluster, or a store of s3://, gs://, az:// or oss://. The
        first of `url`, `mirrors` and `pbss` that needs an endpoint determines which of these it is.
        A mirror on another kind of server does not use it.
        """
        urls = (*self.urls, self.pbss or "")
        kind = next(filter(None, map(_server_kind, urls)), None)
        return self.endpoint if _server_kind(url) == kind else None

    @property
    def filename(self) -> str:
        """The name of the file: the last part of pbss, else of url, else of the first mirror."""
        urls = (self.pbss, *self.urls) if self.pbss else self.urls
        return urls[0].rpartition("/")[2]


def _server_kind(url: str) -> str | None:
    """Return the kind of server that an endpoint of a URL is; None if it cannot have one."""
    scheme = url.partition("://")[0]
    if scheme in CLOUD_SCHEMES:
        return scheme
    return "cluster" if scheme in ALIASES else None


class NamedSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source of objects that has a name: exactly one of urls, prefix, template, manifest and tar.

    More than 10 attributes: they are the fields of the file format.

    Attributes:
        tag: Full name, `<file stem>/<tag>`.
        urls: URLs of objects, in their order.
        prefix: URL with which those of all its objects begin.
        template: URL with ranges, as in `ais://data/train-{000..099}.tar`.
        manifest: URL of a file that lists the objects.
        tar: URL of a tar archive whose members are the objects.
        endpoint: Base URL of the cluster or store of these URLs.
        etl_name: ETL that transforms each object in the cluster.
        digest: "sha256:..." of the listing; None if it is not known.
        owner: "Name <email>".
        description: For human readers.
    """

    tag: str
    urls: tuple[str, ...] | None = None
    prefix: str | None = None
    template: str | None = None
    manifest: str | None = None
    tar: str | None = None
    endpoint: str | None = None
    etl_name: str | None = None
    digest: str | None = None
    owner: str | None = None
    description: str | None = None

    @property
    def kind(self) -> str:
        """Which of urls, prefix, template, manifest and tar it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)
