"""Checks of the settings of direct stores: obstore panics over some that are wrong."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aisio.config import variables_with
from aisio.errors import ConfigError

__all__ = ["check_endpoint", "check_environment", "check_options", "read_certificates"]

_EXAMPLE = "as in https://minio.example.com:9000"
_CHECKED_VARIABLES = {
    "aws": (
        *("AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_TOKEN"),
        *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT"),
    ),
    "azure": ("AZURE_STORAGE_", "AZURE_CLIENT_", "AZURE_TENANT_"),
}
"""Provider -> prefixes of the variables whose values obstore puts into requests. Google is left
out: the key of a service account is JSON, which has line breaks."""


def check_endpoint(text: str, where: str) -> None:
    """Check the base URL of a store.

    Args:
        text: The URL.
        where: The setting that it comes from.

    Raises:
        ConfigError: It is no base URL.
    """
    if "@" in text:
        raise ConfigError(f"{where} holds a user name or password: give keys as credentials")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(f"{where}={text!r} holds a blank, a line break or a non-ASCII character")
    if not text.startswith(("http://", "https://")):
        raise ConfigError(f"{where}={text!r} does not begin with http:// or https://")
    try:
        parts = urlsplit(text)
        usable = parts.hostname and parts.port != 0
    except ValueError:
        usable = None
    if not usable:
        raise ConfigError(f"{where}={text!r} has no usable host and port, {_EXAMPLE}")
    if "?" in text or "#" in text:
        raise ConfigError(f"{where}={text!r} holds a '?' or '#': it is a base URL, {_EXAMPLE}")


def check_options(options: Mapping[str, Any], provider: str) -> None:
    """Check those of obstore's settings that are text.

    Raises:
        ConfigError: A value has a line break or the like; the message names the setting, but does
            not show the value.
    """
    for name, value in options.items() if provider in _CHECKED_VARIABLES else ():
        _check_text(value, f"DirectSettings.options[{name!r}]")


def check_environment(provider: str) -> None:
    """Check the environment variables that obstore reads itself.

    Raises:
        ConfigError: As for `check_options`.
    """
    for name, value in sorted(variables_with(_CHECKED_VARIABLES.get(provider, ()))):
        _check_text(value, name)


def _check_text(value: Any, where: str) -> None:
    if isinstance(value, str) and (value != value.strip() or not value.isprintable()):
        raise ConfigError(
            f"{where} begins or ends with a blank, or holds a line break or another control "
            f"character; was it made by `echo` without -n?"
        )


def read_certificates(file: str, where: str) -> bytes:
    """Return the certificates of a PEM file.

    Args:
        file: The file.
        where: The setting that names it.

    Raises:
        ConfigError: It cannot be read, or holds no certificates.
    """
    try:
        data = Path(file).expanduser().read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=data.decode("latin-1"))
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{where}={file!r} cannot be used: a PEM file with certificates is needed: {error}"
        ) from error
    return data
