"""Logging in at AuthN, AIStore's server for users and tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from aisio.client.session import Session
from aisio.errors import ConfigError
from aisio.limits import is_positive, is_whole
from aisio.records import Settings
from aisio.wire import messages

__all__ = ["fetch_token"]


def fetch_token(settings: Settings, user: str, password: str, expires_s: float | None) -> str:
    """Get a token for a user; arguments and errors as for `Client.login`.

    Args:
        settings: Their `authn_url` names the server.
        user: User name.
        password: Password.
        expires_s: How long the token is to be valid, in seconds; None leaves it to the server.
    """
    message: dict[str, Any] = {"password": password}
    if expires_s is not None:
        if not is_positive(expires_s) or not is_whole(int(expires_s * 1e9)):
            raise ConfigError(f"login: expires_s={expires_s}: a positive number is needed")
        message["expires_in"] = int(expires_s * 1e9)
    server = replace(
        settings,
        endpoint=settings.authn_url,
        endpoint_from="AIS_AUTHN_URL",
        token=None,
        token_file=None,
    )
    path = f"/v1/users/{quote(user, safe='')}"
    return messages.parse_token(Session(server).call("POST", path, message=message).body)
