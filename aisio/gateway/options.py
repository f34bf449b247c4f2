"""ServerOptions: the settings of a gateway."""

from __future__ import annotations

from dataclasses import dataclass, field

PROMOTE_ROOT = "/var/lib/ais/promote"
"""The folder whose files AIStore can promote to objects."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to serve a folder.

    Attributes:
        folder: What to serve: its folders are buckets, the files below them are objects.
        host: Address to listen at; loopback by default.
        port: Port to listen at; 0 takes any free one.
        token: Bearer token that every request but health checks must carry; None for none.
        read_only: Refuse changes, and leave no trace in the folder.
        verbose: Write a line to stderr for each request.
        tls_cert: PEM file of the certificate to serve https with; None serves http.
        tls_key: PEM file of its private key; None if the certificate's file holds it.
        promote_root: The folder below which files can be promoted to objects.
        tls_client_ca: PEM file of authorities, one of which must have signed each client's
            certificate; None demands no certificates of clients.
        jwt_key: Key that AuthN signs its tokens with: such a token, unexpired and an
            administrator's, is accepted as well; None for none.
        signed_redirects: Serve objects at a second port, and there only what the first one has
            redirected and signed, as AIStore 5.1 does with `auth.intra_cluster.request_auth`.
        s3_access_key: Access key that requests below /s3 must be signed with; None accepts all.
        s3_secret_key: Its secret key.
    """

    folder: str
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = field(default=None, repr=False)
    read_only: bool = False
    verbose: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    promote_root: str = PROMOTE_ROOT
    tls_client_ca: str | None = None
    jwt_key: str | None = field(default=None, repr=False)
    signed_redirects: bool = False
    s3_access_key: str | None = None
    s3_secret_key: str | None = field(default=None, repr=False)
