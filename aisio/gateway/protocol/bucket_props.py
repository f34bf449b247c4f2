"""Properties of buckets: which of AIStore's a folder can have, and how they are set.

Two of them have a meaning here: whether versions are counted, and which operations are allowed.
Those of disks, mirrors and clouds do not. A request may set them to the value that they have; any
other value is refused, in AIStore's words where a cluster of one target with one disk would refuse
it too.

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
"""The operations that can be allowed, as bits of `access`; the first one is the lowest bit."""

READ_WRITE = sum(
    1 << OPERATIONS.index(name)
    for name in (
        *("GET", "HEAD-OBJECT", "HEAD-BUCKET", "LIST-OBJECTS"),
        *("PUT", "APPEND", "DELETE-OBJECT", "MOVE-OBJECT"),
    )
)
"""The bits that jobs and multipart uploads need, all of them."""

_ALL = (1 << 64) - 1
_MAX_COPIES = 16
_CHECKSUMS = ("crc32c", "md5", "sha256", "sha512", "xxhash", "xxhash2", "none")


class BucketProps(msgspec.Struct, frozen=True):
    """The properties of a bucket that can be set.

    Attributes:
        counts_versions: A write raises an object's version; otherwise the version stays as it is.
        access: What is allowed, as bits of OPERATIONS. Reading is always allowed, as on a cluster
            without authentication.
    """

    counts_versions: bool = True
    access: int = _ALL

    def allows(self, bits: int) -> bool:
        """Tell whether all of these operations are allowed."""
        return self.access & bits == bits

    def denial_message(self, bits: int, bucket: str) -> str:
        """Return the message for operations that are not allowed."""
        denied = [name for bit, name in enumerate(OPERATIONS) if bits == 1 << bit]
        allowed = [name for bit, name in enumerate(OPERATIONS) if self.access >> bit & 1]
        what = denied[0] if denied else "<unknown access>"
        return f"bucket {bucket}: {what} access denied (allowed: [{','.join(allowed) or 'none'}])"

    def updated(self, message: bytes | msgspec.Raw, bucket: str) -> BucketProps:
        """Return the properties that result from a message that sets some of them.

        Args:
            message: JSON, as AIStore's BpropsToSet; null changes nothing.
            bucket: The bucket's URL.

        Raises:
            Refusal: An unknown property or value, or one that this gateway does not support.
        """
        try:
            changes = decode_json(message, _PropsToSet | None, what="cmn.BpropsToSet")
        except Refusal as refusal:
            what = "invalid set-bucket-props request (msg=actm[set-bprops])"
            raise Refusal(400, f"{what}: {refusal.message}") from None
        changes = changes or _PropsToSet()
        _check_checksum(changes.checksum)
        _check_mirror(changes.mirror, bucket)
        _check_fixed(changes)
        counts_versions = changes.versioning.enabled if changes.versioning else None
        return BucketProps(
            self.counts_versions if counts_versions is None else counts_versions,
            self.access if changes.access is None else _parse_access(changes.access),
        )


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    """A part of the message; None leaves a property as it is."""


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


class _PropsToSet(_Strict):
    """The message. More than 10 attributes: they are the fields of AIStore's BpropsToSet."""

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
"""Properties that cannot be changed, and their values."""


def check_copies(copies: int) -> None:
    """Refuse a number of copies of each object that one disk cannot hold.

    Raises:
        Refusal: It is not 1.
    """
    if not 1 <= copies <= _MAX_COPIES:
        raise Refusal(400, f"invalid num copies {copies}, must be in [1, {_MAX_COPIES}] range")
    if copies > 1:
        raise Refusal(400, f"number of copies ({copies}) exceeds the number of mountpaths (1)")


def _check_checksum(checksum: _Checksum | None) -> None:
    kind = checksum.type if checksum else None
    if kind is None or kind == "xxhash2":
        return
    if kind not in _CHECKSUMS and kind not in HASHERS:
        expected = " ".join(_CHECKSUMS)
        raise Refusal(400, f'invalid checksum type "{kind}" (expecting [{expected}])')
    raise unsupported(f"set-bprops checksum.type={kind}")


def _check_mirror(mirror: _Mirror | None, bucket: str) -> None:
    if mirror is None or (mirror.copies in (None, 1) and not mirror.enabled):
        return
    copies = mirror.copies or 2
    message = f"not enough mountpaths (1) to configure {bucket} as {copies}-way mirror"
    raise Refusal(400, message)


def _check_fixed(changes: _PropsToSet) -> None:
    for path, fixed_value in _FIXED.items():
        group, _, name = path.partition(".")
        value = getattr(changes, group)
        if name and value is not None:
            value = getattr(value, name)
        if value is not None and value != fixed_value:
            raise _cannot_set(path, value)
    if (changes.backend_bck or {}).get("name"):
        raise _cannot_set("backend_bck", "a bucket")
    for group in ("extra", "rate_limit", "chunks"):
        if getattr(changes, group):
            raise _cannot_set(group, "a new value")


def _cannot_set(path: str, value: object) -> Refusal:
    if (path, value) == ("write_policy.data", "delayed"):
        return Refusal(400, 'invalid write policy for data: "delayed" not implemented yet')
    return unsupported(f"set-bprops {path}={value}")


def _parse_access(text: str) -> int:
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) > _ALL:
        raise Refusal(400, f'invalid access "{text[:40]}": a number of 64 bits is needed')
    return int(text)
