"""ServerOptions: safe defaults, and no token in a log."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from aisio.gateway.options import ServerOptions


def test_only_this_machine_can_connect_by_default() -> None:
    """Without TLS and a token, a gateway must not be reachable from elsewhere."""
    options = ServerOptions("/data")
    assert (options.host, options.token, options.tls_cert) == ("127.0.0.1", None, None)


def test_secrets_are_not_in_the_repr() -> None:
    """Options are logged and shown in tracebacks."""
    assert "secret" not in repr(ServerOptions("/data", token="secret", jwt_key="secret"))
    assert "secret" not in repr(ServerOptions("/data", s3_access_key="a", s3_secret_key="secret"))


def test_options_do_not_change_while_a_server_runs() -> None:
    """They are a frozen record."""
    with pytest.raises(FrozenInstanceError):
        ServerOptions("/data").read_only = True  # type: ignore[misc]
