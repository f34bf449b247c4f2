"""What a catalog names: resources and sources."""

from __future__ import annotations

from typing import Literal

import msgspec


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or an archive, that everyone gets as the same verified bytes.

    Attributes:
        tag: Full name, `<file stem>/<tag>`.
        ngc: Target in NVIDIA's registry, `[org/[team/]]name[:version]`.
        ngc_registry: What kind of target that is.
        pbss: s3:// URL in the store that `AISIO_PBSS_ENDPOINT` names.
        url: URL of any store that aisio reads.
        mirrors: URLs of the same bytes, tried in this order after `url`.
        endpoint: Base URL of the cluster or S3 store that `url`, `mirrors` and `pbss` mean.
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
