"""Properties of buckets: which of AIStore's a folder can have, and how they are set.

Two of them mean something here: whether versions are counted, and who may change what. Those of a
disk, a mirror or a cloud do not: to set them to what they are is no error, all else is refused, in
AIStore's words where a cluster of one target with one disk would refuse it too.

Source:
    AIStore 5.0, api/apc/access.go, and replies of a live cluster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from aisio.formats.checksums import HASHERS
from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal, unsupported

OPERATIONS = (
    "GET",
    "HEAD-OBJECT",
    "PUT",
    "APPEND",
    "DELETE-OBJECT",
    "MOVE-OBJECT",
    "PROMOTE",
    "UPDATE-OBJECT",
    "HEAD-BUCKET",
    "LIST-OBJECTS",
    "PATCH",
    "SET-BUCKET-ACL",
    "LIST-BUCKETS",
    "SHOW-CLUSTER",
    "CREATE-BUCKET",
    "DESTROY-BUCKET",
    "MOVE-BUCKET",
    "ADMIN",
)
"""What may be allowed; the first one is the lowest bit."""

READ_WRITE = sum(
    1 << OPERATIONS.index(name)
    for name in (
        *("GET", "HEAD-OBJECT", "HEAD-BUCKET", "LIST-OBJECTS"),
        *("PUT", "APPEND", "DELETE-OBJECT", "MOVE-OBJECT"),
    )
)
"""What jobs and uploads in parts need, all of it."""

_ALL = (1 << 64) - 1
_MOST_COPIES = 16
_CHECKSUMS = ("crc32c", "md5", "sha256", "sha512", "xxhash", "xxhash2", "none")


class BucketProps(msgspec.Struct, frozen=True):
    """What can be set of a bucket.

    Attributes:
        counts_versions: Objects have versions; without, those that have one keep it.
        access: What is allowed, as bits. As on a cluster that asks nobody who he is, reading is
            always.
    """

    counts_versions: bool = True
    access: int = _ALL

    def allow(self, bits: int) -> bool:
        """Tell whether all of that may be done."""
        return self.access & bits == bits

    def denial(self, bits: int, bucket: str) -> str:
        """Return what to say where it may not."""
        wanted = [name for bit, name in enumerate(OPERATIONS) if bits == 1 << bit]
        allowed = [name for bit, name in enumerate(OPERATIONS) if self.access >> bit & 1]
        told = f"{wanted[0] if wanted else '<unknown access>'} access denied"
        return f"bucket {bucket}: {told} (allowed: [{','.join(allowed) or 'none'}])"

    def changed(self, message: bytes | msgspec.Raw, bucket: str) -> BucketProps:
        """Return the properties after a message that sets some of them.

        Args:
            message: JSON, as AIStore's BpropsToSet; null changes nothing.
            bucket: The bucket's URL.

        Raises:
            Refusal: An unknown property or value, or one that this gateway cannot have.
        """
        try:
            wanted = decode_json(message, _Wanted | None, what="cmn.BpropsToSet") or _Wanted()
        except Refusal as refusal:
            told = "invalid set-bucket-props request (msg=actm[set-bprops])"
            raise Refusal(400, f"{told}: {refusal.message}") from None
        _check_checksum(wanted.checksum)
        _check_copies(wanted.mirror, bucket)
        _check_rest(wanted)
        versioning = wanted.versioning or _Versioning()
        counts = versioning.enabled
        return BucketProps(
            self.counts_versions if counts is None else counts,
            self.access if wanted.access is None else _access_of(wanted.access),
        )


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    """A part of the message; what is not given is not to be changed."""


class _Versioning(_Strict):
    enabled: bool | None = None
    validate_warm_get: bool | None = None
    synchronize: bool | None = None


class _Checksum(_Strict):
    type: str | None = None
    validate_cold_get: bool | None = None
    validate_warm_get: bool | None = None
    validate_obj_move: bool | None = None
    enable_read_range: bool | None = None


class _Mirror(_Strict):
    copies: int | None = None
    burst_buffer: int | None = None
    enabled: bool | None = None


class _ErasureCoding(_Strict):
    data_slices: int | None = None
    parity_slices: int | None = None
    enabled: bool | None = None
    objsize_limit: int | None = None
    compression: str | None = None
    bundle_multiplier: int | None = None
    burst_buffer: int | None = None
    disk_only: bool | None = None


class _Lru(_Strict):
    dont_evict_time: str | None = None
    capacity_upd_time: str | None = None
    batch_size: int | None = None
    enabled: bool | None = None


class _WritePolicy(_Strict):
    data: str | None = None
    md: str | None = None


class _Wanted(_Strict):
    versioning: _Versioning | None = None
    checksum: _Checksum | None = None
    mirror: _Mirror | None = None
    ec: _ErasureCoding | None = None
    lru: _Lru | None = None
    write_policy: _WritePolicy | None = None
    access: str | None = None
    features: str | None = None
    backend_bck: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None
    rate_limit: dict[str, Any] | None = None
    chunks: dict[str, Any] | None = None


_FIXED: Mapping[str, Any] = {
    "versioning.validate_warm_get": False,
    "versioning.synchronize": False,
    "checksum.validate_cold_get": False,
    "checksum.validate_warm_get": False,
    "checksum.validate_obj_move": False,
    "checksum.enable_read_range": False,
    "lru.enabled": False,
    "ec.enabled": False,
    "write_policy.data": "immediate",
    "write_policy.md": "immediate",
    "features": "0",
}
"""What cannot be changed, and is so."""


def check_copies(copies: int) -> None:
    """Refuse a number of copies of each object that one disk cannot hold.

    Raises:
        Refusal: It is not 1.
    """
    if not 1 <= copies <= _MOST_COPIES:
        told = f"invalid num copies {copies}, must be in [1, {_MOST_COPIES}] range"
        raise Refusal(400, told)
    if copies > 1:
        raise Refusal(400, f"number of copies ({copies}) exceeds the number of mountpaths (1)")


def _check_checksum(checksum: _Checksum | None) -> None:
    kind = checksum.type if checksum else None
    if kind is None or kind == "xxhash2":
        return
    if kind not in _CHECKSUMS and kind not in HASHERS:
        told = f'invalid checksum type "{kind}" (expecting [{" ".join(_CHECKSUMS)}])'
        raise Refusal(400, told)
    raise unsupported(f"set-bprops checksum.type={kind}")


def _check_copies(mirror: _Mirror | None, bucket: str) -> None:
    if mirror is None or (mirror.copies in (None, 1) and not mirror.enabled):
        return
    copies = mirror.copies or 2
    told = f"not enough mountpaths (1) to configure {bucket} as {copies}-way mirror"
    raise Refusal(400, told)


def _check_rest(wanted: _Wanted) -> None:
    for path, value in _FIXED.items():
        group, _, name = path.partition(".")
        found = getattr(wanted, group)
        if name and found is not None:
            found = getattr(found, name)
        if found is not None and found != value:
            raise _refused(path, found)
    if (wanted.backend_bck or {}).get("name"):
        raise _refused("backend_bck", "a bucket")
    for group in ("extra", "rate_limit", "chunks"):
        if getattr(wanted, group):
            raise _refused(group, "a new value")


def _refused(path: str, value: object) -> Refusal:
    if (path, value) == ("write_policy.data", "delayed"):
        return Refusal(400, 'invalid write policy for data: "delayed" not implemented yet')
    return unsupported(f"set-bprops {path}={value}")


def _access_of(text: str) -> int:
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) > _ALL:
        raise Refusal(400, f'invalid access "{text[:40]}": a number of 64 bits is needed')
    return int(text)
