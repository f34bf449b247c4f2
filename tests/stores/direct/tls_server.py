"""A scripted server that speaks TLS, with a certificate that nobody trusts yet."""

from __future__ import annotations

import socket
import ssl

from tests.http_server import Reply, Server
from tests.resources.certificates import Authority


class TlsServer(Server):
    """Answers as `Server` does, over TLS.

    Attributes:
        handshakes: How many were begun.
    """

    def __init__(self, authority: Authority, *replies: Reply) -> None:
        super().__init__(*replies)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.certificate, authority.key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")
        self.handshakes = 0

    def __enter__(self) -> TlsServer:
        super().__enter__()
        return self

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection, which shakes hands."""
        self.handshakes += 1
        return super().get_request()
