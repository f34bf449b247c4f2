"""Signs redirects to targets, and verifies them, as AIStore does from release 5.1 on.

A signature is valid for one method, path and body length. It covers neither the query nor the range
of bytes, and never expires: it is of no use once the node has a new key, after a restart.

Source:
    AIStore, ais/signverify.go and ais/htrun.go (`qencode`); compared with a live cluster of its
    main branch with signatures switched on, in November 2026.
"""

from __future__ import annotations

import secrets
import struct
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping

from aisio.errors import MissingExtraError
from aisio.gateway.protocol.refusals import Refusal

__all__ = ["RedirectSigner"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SIGNATURE_LENGTH = 86
_MAP_VERSION = 1


class RedirectSigner:
    """Signs redirects of one proxy with an Ed25519 key that only this process has.

    Args:
        proxy_id: The id of the proxy.

    Attributes:
        proxy_id: As above.
        verifying_key: The public key, in base64, as a cluster map shows it.

    Raises:
        MissingExtraError: The package cryptography is not installed.
    """

    def __init__(self, proxy_id: str) -> None:
        try:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError as error:
            raise MissingExtraError(
                "signed redirects need cryptography: pip install cryptography"
            ) from error
        self.proxy_id = proxy_id
        self._key = Ed25519PrivateKey.generate()
        self._public_key = self._key.public_key()
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        self.verifying_key = b64encode(self._public_key.public_bytes(*raw)).decode()
        self._nonce = secrets.randbits(16)

    def sign(self, method: str, path: str, length: int) -> dict[str, str]:
        """Return the query parameters that a redirect is signed with.

        Args:
            method: HTTP method of the redirected request.
            path: Its path, decoded.
            length: The length of its body, in bytes.
        """
        self._nonce += 1
        payload = _payload(method, path, self.proxy_id, _MAP_VERSION, length, self._nonce)
        signature = urlsafe_b64encode(self._key.sign(payload)).rstrip(b"=").decode()
        return {"u": signature, "vpams": _base36(_MAP_VERSION), "x": _base36(self._nonce)}

    def verify(self, method: str, path: str, length: int, query: Mapping[str, str]) -> None:
        """Check the signature of a redirected request.

        Args:
            method: As for `sign`; so are the next two.
            path: The path.
            length: The length of the body.
            query: The query parameters of the request.

        Raises:
            Refusal: 401: it is missing, or not right for this request.
        """
        from cryptography.exceptions import InvalidSignature

        signature = query.get("u", "")
        if not signature:
            raise Refusal(401, f"missing signature [smapVer 0 vs Smap v{_MAP_VERSION}]")
        if len(signature) != _SIGNATURE_LENGTH:
            raise Refusal(401, f"invalid signature length: {len(signature)}")
        if query.get("pid") != self.proxy_id:
            raise Refusal(401, f"cannot verify request: node {query.get('pid')} not present")
        try:
            raw = urlsafe_b64decode(signature + "==")
            version, nonce = int(query.get("vpams", ""), 36), int(query.get("x", ""), 36)
            payload = _payload(method, path, self.proxy_id, version, length, nonce)
            self._public_key.verify(raw, payload)
        except (Error, ValueError, struct.error) as error:
            raise Refusal(401, f"invalid signature encoding: {error}") from None
        except InvalidSignature:
            raise Refusal(401, "node signature verification failed") from None


def _payload(method: str, path: str, pid: str, version: int, length: int, nonce: int) -> bytes:
    texts = b"".join(text.encode() + b"\0" for text in (method, path, pid))
    return texts + struct.pack(">QQQ", version, length, nonce)


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"
