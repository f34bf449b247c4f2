"""Verifies the signatures of S3 requests: version 4 in headers, URLs and chunks, version 2 in URLs.

Pure. boto3 still signs the URLs that it gives away by version 2 in regions that had it.

Source: AWS General Reference, "Signature Version 4"; Amazon S3 API Reference, "Authenticating
Requests (AWS Signature Version 4)"; Amazon S3 Developer Guide (2006-03-01), "Signing and
authenticating REST requests", for version 2.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from aisio.gateway.protocol.refusals import Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
MAX_SKEW_S = 15 * 60
"""How far a client's clock may be from the gateway's, in seconds; that of Amazon S3."""

_MAX_EXPIRES_S = 7 * 24 * 3600
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_EMPTY_SHA256 = hashlib.sha256().hexdigest()
_FIELD = re.compile(r"\s*(Credential|SignedHeaders|Signature)=([^,\s]*)\s*")
_SPACES = re.compile(" +")
_SIGNED_IN_V2 = frozenset(
    {
        *("acl", "cors", "delete", "lifecycle", "location", "logging", "notification"),
        *("partNumber", "policy", "requestPayment", "restore", "tagging", "torrent", "uploadId"),
        *("uploads", "versionId", "versioning", "versions", "website"),
        *("response-cache-control", "response-content-disposition", "response-content-encoding"),
        *("response-content-language", "response-content-type", "response-expires"),
    }
)


@dataclass(frozen=True, slots=True)
class Keys:
    """The access key and secret key that requests must be signed with."""

    access_key: str
    secret_key: str = field(repr=False)


class SignedRequest(NamedTuple):
    """What of a request is signed.

    Attributes:
        method: The HTTP method.
        path: The path as it was sent.
        query: The query as it was sent, without "?".
        headers: Values by names in lower case; those of repeated headers joined by ",".
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


class ChunkSignatures:
    """Verifies the signatures of chunks, each of which signs the one before it.

    Args:
        key: The signing key.
        date: The date of the request, as in its header.
        scope: Its credential scope.
        seed: Its signature, which the first chunk signs.
    """

    def __init__(self, key: bytes, date: str, scope: str, seed: str) -> None:
        self._key = key
        self._stamp = f"{date}\n{scope}"
        self._previous = seed

    def check_chunk(self, sha256: str, signature: str) -> None:
        """Check the signature of a chunk.

        Args:
            sha256: The hash of its data.
            signature: As sent with it.

        Raises:
            Refusal: It is wrong.
        """
        self._check("PAYLOAD", f"{_EMPTY_SHA256}\n{sha256}", signature)

    def check_trailer(self, text: bytes, signature: str) -> None:
        """Check the signature of the trailing headers.

        Raises:
            Refusal: It is wrong.
        """
        self._check("TRAILER", hashlib.sha256(text).hexdigest(), signature)

    def _check(self, kind: str, hashes: str, signature: str) -> None:
        text = f"{ALGORITHM}-{kind}\n{self._stamp}\n{self._previous}\n{hashes}"
        _compare(_hmac(self._key, text).hex(), signature)
        self._previous = signature


def verify(request: SignedRequest, keys: Keys, now: datetime) -> ChunkSignatures | None:
    """Verify the signature of a request.

    Args:
        request: The request.
        keys: The keys that it must be signed with.
        now: The time, in UTC.

    Returns:
        What verifies the chunks of its body; None for version 2, which has no signed chunks.

    Raises:
        Refusal: It is not signed, or not by these keys, is too old, or leaves a header unsigned.
    """
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    authorization = request.headers.get("authorization", "")
    if authorization.startswith(f"{ALGORITHM} "):
        return _verify_headers(request, authorization, keys, now)
    if "X-Amz-Signature" in query:
        return _verify_url(request, query, keys, now)
    if "Signature" in query and "AWSAccessKeyId" in query:
        _verify_url_v2(request, query, keys, now)
    elif authorization:
        raise _denied(
            "InvalidRequest",
            f"the authorization mechanism is not supported: sign requests by {ALGORITHM}",
            400,
        )
    else:
        raise _denied("AccessDenied", "the request is not signed, and the gateway has S3 keys")
    return None


def _verify_headers(
    request: SignedRequest, authorization: str, keys: Keys, now: datetime
) -> ChunkSignatures:
    fields = dict(_FIELD.findall(authorization.removeprefix(ALGORITHM)))
    if fields.keys() < {"Credential", "SignedHeaders", "Signature"}:
        raise _denied("AuthorizationHeaderMalformed", "the Authorization header is incomplete", 400)
    date = request.headers.get("x-amz-date") or _basic_date(request.headers.get("date", ""))
    scope = _check_credential(fields["Credential"], date, keys)
    skew_s = abs((now - _parse_date(date)).total_seconds())
    if skew_s > MAX_SKEW_S:
        message = f"the clocks of client and gateway differ by {skew_s:.0f} s"
        raise _denied("RequestTimeTooSkewed", message)
    payload = request.headers.get("x-amz-content-sha256", "")
    if not payload:
        raise _denied("InvalidRequest", "the header x-amz-content-sha256 is missing", 400)
    key = _signing_key(keys, scope)
    canonical = _canonical(request, fields["SignedHeaders"], request.query, payload)
    _compare(_hmac(key, _to_sign(date, scope, canonical)).hex(), fields["Signature"])
    return ChunkSignatures(key, date, scope, fields["Signature"])


def _verify_url(
    request: SignedRequest, query: Mapping[str, str], keys: Keys, now: datetime
) -> ChunkSignatures:
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        message = f"X-Amz-Algorithm is not {ALGORITHM}"
        raise _denied("AuthorizationQueryParametersError", message, 400)
    date, expires = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
    scope = _check_credential(query.get("X-Amz-Credential", ""), date, keys)
    if not re.fullmatch("[0-9]{1,6}", expires) or int(expires) > _MAX_EXPIRES_S:
        message = f"X-Amz-Expires is not a number of seconds up to {_MAX_EXPIRES_S}"
        raise _denied("AuthorizationQueryParametersError", message, 400)
    age_s = (now - _parse_date(date)).total_seconds()
    if age_s < -MAX_SKEW_S:
        raise _denied("AccessDenied", "the URL is not valid yet")
    if age_s > int(expires):
        raise _denied("AccessDenied", "the URL has expired")
    items = request.query.split("&")
    unsigned = "&".join(item for item in items if not item.startswith("X-Amz-Signature="))
    payload = request.headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)
    canonical = _canonical(request, query.get("X-Amz-SignedHeaders", ""), unsigned, payload)
    key, signature = _signing_key(keys, scope), query["X-Amz-Signature"]
    _compare(_hmac(key, _to_sign(date, scope, canonical)).hex(), signature)
    return ChunkSignatures(key, date, scope, signature)


def _verify_url_v2(
    request: SignedRequest, query: Mapping[str, str], keys: Keys, now: datetime
) -> None:
    _check_access_key(query["AWSAccessKeyId"], keys)
    expires = query.get("Expires", "")
    if not re.fullmatch("[0-9]{1,12}", expires) or now.timestamp() > int(expires):
        raise _denied("AccessDenied", "the URL has expired")
    # boto3 leaves the path of the endpoint out of what it signs.
    paths = (request.path, request.path.removeprefix("/s3"))
    expected = [_signature_v2(request, query, path, keys) for path in paths]
    if not any(_is_same(signature, query["Signature"]) for signature in expected):
        raise _mismatch()


def _signature_v2(request: SignedRequest, query: Mapping[str, str], path: str, keys: Keys) -> str:
    headers = request.headers
    lines = [request.method, headers.get("content-md5", ""), headers.get("content-type", "")]
    lines.append(query["Expires"])
    lines += [f"{name}:{value.strip()}" for name, value in sorted(headers.items()) if _is_amz(name)]
    signed = sorted(item for item in query.items() if item[0] in _SIGNED_IN_V2)
    resource = "&".join(f"{name}={value}" if value else name for name, value in signed)
    lines.append(f"{path}?{resource}" if resource else path)
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return base64.b64encode(hmac.digest(keys.secret_key.encode(), text, "sha1")).decode()


def _check_credential(credential: str, date: str, keys: Keys) -> str:
    """Check the access key and the scope of a credential; return the scope."""
    access_key, *scope = credential.rsplit("/", 4)
    _check_access_key(access_key, keys)
    if len(scope) != 4 or scope[2:] != ["s3", "aws4_request"] or scope[0] != date[:8]:
        message = "the credential is not of the form KEY/DATE/REGION/s3/aws4_request"
        raise _denied("AuthorizationHeaderMalformed", message, 400)
    return "/".join(scope)


def _check_access_key(access_key: str, keys: Keys) -> None:
    sent = access_key.encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(sent, keys.access_key.encode()):
        raise _denied("InvalidAccessKeyId", "the gateway does not know this access key")


def _canonical(request: SignedRequest, signed_headers: str, query: str, payload: str) -> str:
    """Return the canonical request.

    Raises:
        Refusal: The host or a header of S3 is not signed.
    """
    names = signed_headers.split(";")
    required = {"host"} | {name for name in request.headers if _is_amz(name)}
    if unsigned := sorted(required - {*names, "x-amz-content-sha256"}):
        raise _denied("AccessDenied", f"headers that are not signed: {', '.join(unsigned)}")
    headers = [
        f"{name}:{_SPACES.sub(' ', request.headers.get(name, '').strip())}\n" for name in names
    ]
    # "+" is a space, which is signed as "%20": obstore sends it so.
    items = query.replace("+", "%20").split("&")
    pairs = sorted(
        (_encode(name), _encode(value))
        for name, _, value in (item.partition("=") for item in items if item)
    )
    return "\n".join(
        (
            request.method,
            _encode(request.path, "/"),
            "&".join(f"{name}={value}" for name, value in pairs),
            "".join(headers),
            signed_headers,
            payload,
        )
    )


def _to_sign(date: str, scope: str, canonical: str) -> str:
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{date}\n{scope}\n{digest}"


def _signing_key(keys: Keys, scope: str) -> bytes:
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256")


def _encode(text: str, safe: str = "") -> str:
    """Return text with the one percent-encoding that is signed, whatever encoding it has."""
    return quote(unquote_to_bytes(text.encode("utf-8", "surrogateescape")), safe=f"{safe}-_.~")


def _parse_date(date: str) -> datetime:
    try:
        return datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        raise _denied("AccessDenied", "the request has no valid x-amz-date") from None


def _basic_date(http_date: str) -> str:
    try:
        return parsedate_to_datetime(http_date).astimezone(timezone.utc).strftime(_DATE_FORMAT)
    except (ValueError, TypeError, OverflowError):
        return ""


def _is_amz(name: str) -> bool:
    return name.startswith("x-amz-")


def _compare(expected: str, sent: str) -> None:
    if not _is_same(expected, sent):
        raise _mismatch()


def _is_same(expected: str, sent: str) -> bool:
    return hmac.compare_digest(expected.encode(), sent.encode("utf-8", "surrogateescape"))


def _mismatch() -> Refusal:
    return _denied(
        "SignatureDoesNotMatch",
        "the signature is not the one that the gateway computes: check the secret key",
    )


def _denied(code: str, message: str, status: int = 403) -> Refusal:
    return Refusal(status, message, tcode=code)
