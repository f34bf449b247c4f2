"""What a catalog names: resources and sources."""

from __future__ import annotations

from typing import Literal

import msgspec

from aisio.urls import ALIASES, CLOUD_SCHEMES

KINDS = ("urls", "prefix", "template", "manifest", "tar")
"""The fields of a source that say where its objects are; it has exactly one of them."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or an archive, that everyone gets as the same verified bytes.

    Attributes:
        tag: Full name, `<file stem>/<tag>`.
        ngc: Target in NVIDIA's registry, `[org/[team/]]name[:version]`.
        ngc_registry: What kind of target that is.
        pbss: s3:// URL in the store that `AISIO_PBSS_ENDPOINT` names.
        url: URL of any store that aisio reads.
        mirrors: URLs of the same bytes, tried in this order after `url`.
        endpoint: Base URL of the cluster or S3 store that `url` means, and with it those of
            `mirrors` and `pbss` that are served alike.
        sha256: Digest of the file as it is downloaded, 64 hexadecimal digits, or `md5:...` and
            other `algorithm:hex`; None: not known.
        owner: "Name <email>".
        description: For people.
        unpack: False leaves an archive packed.
        decompress: False leaves a compressed file compressed.

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
        """Return `endpoint` where it is meant for a URL of this resource.

        It is one server, a cluster or a store of s3://, gs:// or az://, as the first of `url`,
        `mirrors` and `pbss` needs that needs one. A mirror elsewhere is not to be asked for there.
        """
        places = (*self.urls, self.pbss or "")
        meant = next(filter(None, map(_server_of, places)), None)
        return self.endpoint if _server_of(url) == meant else None

    @property
    def filename(self) -> str:
        """The last part of pbss, else of url, else of the first mirror: what the file is called."""
        places = (self.pbss, *self.urls) if self.pbss else self.urls
        return places[0].rpartition("/")[2]


def _server_of(url: str) -> str | None:
    """Tell what kind of server an endpoint of a URL is; None where it can have none."""
    scheme = url.partition("://")[0]
    if scheme in CLOUD_SCHEMES:
        return scheme
    return "cluster" if scheme in ALIASES else None


class NamedSource(msgspec.Struct, frozen=True, kw_only=True):
    """Objects that are read by a name: exactly one of urls, prefix, template, manifest and tar.

    Attributes:
        tag: Full name, `<file stem>/<tag>`.
        urls: URLs of objects, in their order.
        prefix: URL that the names of all its objects begin with.
        template: URL with ranges, as in `ais://data/train-{000..099}.tar`.
        manifest: URL of a file that lists the objects.
        tar: URL of a tar archive whose members are the objects.
        endpoint: Base URL of the cluster that these URLs mean.
        etl_name: Transformation that the cluster applies to each object.
        digest: "sha256:..." of the listing; None: not known.
        owner: "Name <email>".
        description: For people.
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
