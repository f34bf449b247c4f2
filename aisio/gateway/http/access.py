"""Access: which requests are answered, by their tokens and by where they come from.

A gateway with signed redirects has two ports, as a cluster has nodes: at one it is the proxy, at
the other the target. The proxy demands the token and redirects what is about objects. The target
demands no token, but a redirect that the proxy has signed.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from aiohttp import web

from aisio.gateway.http.exchange import Exchange
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.signatures import RedirectSigner
from aisio.gateway.protocol.tokens import check_jwt

_CHALLENGE: Mapping[str, str] = MappingProxyType({"WWW-Authenticate": "Bearer"})
_PUBLIC_AT_TARGETS = frozenset({("GET", "daemon"), ("GET", "health"), ("HEAD", "health")})


class Tokens:
    """Which bearer tokens are accepted.

    Args:
        token: The one token; None for none.
        jwt_key: The key that AuthN signs its tokens with; None if it signs none.
    """

    def __init__(self, token: str | None, jwt_key: str | None) -> None:
        self._token = None if token is None else f"Bearer {token}".encode()
        self._jwt_key = None if jwt_key is None else jwt_key.encode()

    def check(self, text: str) -> None:
        """Check the token of a request.

        Args:
            text: The token as the header "Authorization" has it; "" for none.

        Raises:
            Refusal: 401: it is missing, wrong or has expired. 403: it is not an administrator's.
        """
        if self._token is None and self._jwt_key is None:
            return
        sent = text.encode("utf-8", "surrogateescape")
        if not sent:
            raise Refusal(401, "token required", headers=_CHALLENGE)
        if self._token is not None and hmac.compare_digest(sent, self._token):
            return
        if self._jwt_key is None:
            raise Refusal(401, "invalid token", headers=_CHALLENGE)
        check_jwt(text.removeprefix("Bearer "), self._jwt_key, time.time())


class SignedRedirects:
    """What a gateway's proxy redirects, and what its target accepts.

    Args:
        signer: Signs and verifies.
        target_port: The port at which the gateway is the target.
    """

    def __init__(self, signer: RedirectSigner, target_port: int) -> None:
        self._signer = signer
        self._target_port = target_port

    @property
    def verifying_key(self) -> str:
        """The proxy's public key."""
        return self._signer.verifying_key

    def is_at_target(self, request: web.BaseRequest) -> bool:
        """Tell whether a request has come to the port of the target."""
        transport = request.transport
        address = transport.get_extra_info("sockname") if transport is not None else None
        return address is not None and address[1] == self._target_port

    def refuse_at_target(self, request: web.BaseRequest) -> None:
        """Check that a request of a kind that only the proxy answers has come to the proxy.

        Raises:
            Refusal: 403: it has come to the target.
        """
        if self.is_at_target(request):
            raise Refusal(403, "direct target access denied")

    def target_origin(self, exchange: Exchange) -> str:
        """Return the target's address as this client knows it."""
        parts = urlsplit(exchange.origin)
        host = parts.hostname or "127.0.0.1"
        return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{self._target_port}"

    def check_at_target(self, exchange: Exchange) -> None:
        """Check that the proxy has sent a request to the target.

        Raises:
            Refusal: 400 or 403: it has not. 401: its signature is not right.
        """
        request, group = exchange.request, exchange.target.parts[0]
        if (request.method, group) in _PUBLIC_AT_TARGETS:
            return
        if group not in ("objects", "ml"):
            raise Refusal(403, "direct target access denied")
        if not exchange.is_redirected:
            raise Refusal(400, "not an intra-control request")
        method, query = request.method, exchange.target.query
        self._signer.verify(method, *exchange.signed_parts, query)

    async def redirect(self, exchange: Exchange) -> web.Response | None:
        """Redirect a request for an object to the target; return None for any other.

        The handlers of other requests may redirect them, which is signed as well.
        """
        exchange.signer = self._signer
        exchange.target_origin = self.target_origin(exchange)
        if exchange.target.parts[0] != "objects" or exchange.request.method == "OPTIONS":
            return None
        return await exchange.redirect_to_target(self._signer.proxy_id)
