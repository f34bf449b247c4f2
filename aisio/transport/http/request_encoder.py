"""RequestEncoder: requests to one host, as the bytes that go to its socket."""

from __future__ import annotations

import re
from collections.abc import Mapping

import requests

__all__ = ["RequestEncoder"]

_NOT_IN_A_TARGET = re.compile(r"[^\x21-\x7e]")
_NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


class RequestEncoder:
    """Encodes requests to one host; threads may share it.

    Args:
        host: Host name or address, without brackets.
        port: Its port.

    Source:
        RFC 9112, section 3.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = _host_header(host, port)
        # Most requests have the headers of the one before. Both stand in one tuple, because another
        # thread may replace them.
        self._last: tuple[Mapping[str, str], bytes] = ({}, _header_lines(self._host, {}))

    def encode(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> bytes:
        """Return a whole request.

        Args:
            method: HTTP method.
            target: Path and query.
            headers: Besides those of any request. They may have the Content-Length of the body, or
                without a body that of one which will not be sent.
            body: The body; None for none.

        Raises:
            requests.RequestException: The target or a header cannot be sent.
        """
        if _NOT_IN_A_TARGET.search(target):
            raise requests.exceptions.InvalidURL(f"{target!r} cannot stand in a request")
        last_headers, lines = self._last
        if headers != last_headers:
            lines = _header_lines(self._host, headers)
            self._last = (dict(headers), lines)
        line = f"{method} {target} HTTP/1.1\r\n".encode("ascii")
        if body is None or "Content-Length" in headers:
            return line + lines + b"\r\n" + (body or b"")
        return b"%sContent-Length: %d\r\n\r\n%s" % (line + lines, len(body), body)


def _host_header(host: str, port: int) -> str:
    try:
        name = host.encode("ascii").decode()
    except UnicodeError:
        name = host.encode("idna").decode()
    name = f"[{name}]" if ":" in name else name
    return name if port == 80 else f"{name}:{port}"


def _header_lines(host: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"Host: {host}\r\n", "Accept-Encoding: identity\r\n"]
    for name, value in headers.items():
        if _NOT_IN_A_VALUE.search(value):
            # Without the value: it may be a token.
            raise requests.exceptions.InvalidHeader(f"the value of {name} cannot stand in a header")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")
