"""A client that signs chunks, written after Amazon's documentation and not after the gateway."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

import requests

_KIND = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
_CRC = "x-amz-checksum-crc32"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), "sha256").digest()


def put_in_chunks(
    url: str,
    keys: tuple[str, str],
    chunks: list[bytes],
    *,
    sent: list[bytes] | None = None,
    skew: timedelta = timedelta(),
    trailer: str = "",
) -> requests.Response:
    """Upload an object in signed chunks with a signed checksum behind them.

    Args:
        url: Where to.
        keys: Access key and secret key.
        chunks: What is signed.
        sent: What is sent, if not that.
        skew: How wrong the clock is.
        trailer: The checksum, if not the right one.
    """
    date = (datetime.now(timezone.utc) + skew).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/ais/s3/aws4_request"
    key = f"AWS4{keys[1]}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    headers = {
        "host": urlsplit(url).netloc,
        "x-amz-content-sha256": _KIND,
        "x-amz-date": date,
        "x-amz-decoded-content-length": str(sum(map(len, chunks))),
        "x-amz-trailer": _CRC,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"PUT\n{urlsplit(url).path}\n\n{lines}\n{names}\n{_KIND}"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{_sha256(canonical.encode())}"
    signature = _mac(key, text).hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys[0]}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    body = b""
    for chunk, data in zip([*chunks, b""], [*(sent or chunks), b""], strict=True):
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{signature}\n{_sha256(b'')}\n"
        signature = _mac(key, text + _sha256(chunk)).hex()
        body += f"{len(data):x};chunk-signature={signature}\r\n".encode()
        body += data + b"\r\n" if data else b""
    crc = zlib.crc32(b"".join(chunks)).to_bytes(4, "big")
    line = f"{_CRC}:{trailer or base64.b64encode(crc).decode()}"
    text = f"AWS4-HMAC-SHA256-TRAILER\n{date}\n{scope}\n{signature}\n"
    signature = _mac(key, text + _sha256(f"{line}\n".encode())).hex()
    body += f"{line}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()
    return requests.put(url, data=body, headers=headers)
