"""Whether the parts of an upload are those that a client lists when it completes the upload."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.checksums import PREFIX, BinaryHasher
from aisio.gateway.s3.documents import malformed
from aisio.gateway.s3.payload import Payload, is_checksum, new_hasher
from aisio.gateway.storage.multipart_uploads import MultipartUpload, Part

__all__ = ["check_completion", "check_of_whole"]

_CHECKSUM = "Checksum"
_CHECKSUM_TYPE = "x-amz-checksum-type"
_OBJECT_SIZE = "x-amz-mp-object-size"
_READ_BYTES = 1 << 20


def check_of_whole(headers: Mapping[str, str]) -> Payload:
    """Return what checks the data of the object by the checksums in the headers.

    Args:
        headers: The headers of the completion.

    Raises:
        Refusal: A checksum is malformed, or of an unknown algorithm.
    """
    composites = _composites(headers)
    return Payload.of_object({k: v for k, v in headers.items() if k not in composites})


def check_completion(
    upload: MultipartUpload, listed: Sequence[ElementTree.Element], headers: Mapping[str, str]
) -> None:
    """Check that the client lists all parts, with the ETags and checksums that they have.

    Files of the parts may be read for it.

    Args:
        upload: The upload.
        listed: The parts that the client lists.
        headers: The headers of the completion.

    Raises:
        Refusal: It does not; or the object has another size, or other checksums of its parts'
            checksums, than the headers say.
    """
    _check_parts(upload, listed)
    announced = headers.get(_OBJECT_SIZE)
    size_bytes = sum(part.size_bytes for part in upload.parts.values())
    if announced is not None and announced != str(size_bytes):
        message = f"{_OBJECT_SIZE} is {announced}, the parts have {size_bytes} bytes"
        raise Refusal(400, message, tcode="InvalidRequest")
    for header, value in _composites(headers).items():
        actual = _composite(upload, header)
        if value not in (actual, f"{actual}-{len(listed)}"):
            message = f"the parts have other checksums than {header} says"
            raise Refusal(400, message, tcode="BadDigest")


def _check_parts(upload: MultipartUpload, listed: Sequence[ElementTree.Element]) -> None:
    if not listed:
        raise malformed("no parts")
    numbers = list[int]()
    for element in listed:
        text = element.findtext("PartNumber") or ""
        number = int(text) if re.fullmatch("[0-9]{1,5}", text) else 0
        part = upload.parts.get(number)
        if part is None or not _is_listed_part(part, element):
            message = f"part {text} was not uploaded, or has another ETag or checksum"
            raise Refusal(400, message, tcode="InvalidPart")
        numbers.append(number)
    if numbers != sorted(set(numbers)):
        raise Refusal(400, "parts must be listed in ascending order", tcode="InvalidPartOrder")
    if len(numbers) != len(upload.parts):
        counts = f"requested {len(numbers)} parts, have {len(upload.parts)}"
        message = f"partial completion is not allowed: {counts}"
        raise Refusal(400, message, tcode="InvalidRequest")


def _is_listed_part(part: Part, listed: ElementTree.Element) -> bool:
    """Tell whether a part has the ETag and checksums that the client says, as far as it does."""
    tag = (listed.findtext("ETag") or "").strip().strip('"')
    if tag and tag != part.md5().hex():
        return False
    headers = {
        f"{PREFIX}{child.tag.removeprefix(_CHECKSUM).lower()}": (child.text or "").strip()
        for child in listed
        if child.tag.startswith(_CHECKSUM)
    }
    if not headers:
        return True
    check = Payload.of_object(headers)
    with part.upload.read() as file:
        while piece := file.read(_READ_BYTES):
            check.write([piece])
    try:
        check.finish()
    except Refusal:
        return False
    return True


def _composites(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with a checksum of the parts' checksums.

    Source: Amazon S3 User Guide, "Composite and full object checksum types".
    """
    is_composite = headers.get(_CHECKSUM_TYPE, "").upper() == "COMPOSITE"
    return {
        name: value
        for name, value in headers.items()
        if is_checksum(name) and (is_composite or "-" in value)
    }


def _composite(upload: MultipartUpload, header: str) -> str:
    """Return the checksum of the parts' checksums, as a header has it."""
    whole = new_hasher(header)
    for _, part in sorted(upload.parts.items()):
        whole.update(_digest(part, new_hasher(header)))
    return base64.b64encode(whole.digest()).decode()


def _digest(part: Part, hasher: BinaryHasher) -> bytes:
    with part.upload.read() as file:
        while piece := file.read(_READ_BYTES):
            hasher.update(piece)
    return hasher.digest()
