"""Who signs requests to OSS: the keys of an argument, a JSON file, a provider, or the environment.

The JSON file is that of Alibaba's OSS connector for PyTorch:

    {"AccessKeyId": "...", "AccessKeySecret": "...", "SecurityToken": "...",
     "Expiration": "2026-11-30T12:00:00Z"}

The last two fields may be left out. A provider is any object whose `get_credentials()` returns the
keys, as those of `alibabacloud_oss_v2.credentials` and of `oss2.credentials` do. It is called for
each request, as the SDKs do, and renews the keys itself.

No error and no `repr` shows a secret or a token.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from aisio.config import first_set
from aisio.errors import AccessError, ConfigError

__all__ = [
    "CredentialsFile",
    "EnvironmentCredentials",
    "OssCredentials",
    "Provider",
    "provider_for",
]

_log = logging.getLogger(__name__)

_FIELDS = ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")
_REQUIRED = _FIELDS[:2]
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_OPTIONS = ("access_key_id", "access_key_secret", "security_token")
_VARIABLES = ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN")
_HINT = (
    "pass DirectSettings(credentials=) with a provider or the path of a JSON file, set "
    "OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or, for a public bucket, pass "
    "options={'skip_signature': True}"
)


@dataclass(frozen=True)
class OssCredentials:
    """The keys of one moment.

    Attributes:
        access_key_id: The public part.
        access_key_secret: What signs; not shown.
        security_token: Sent along with temporary keys; "" for none; not shown.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)


class Provider(Protocol):
    """Anything that returns keys, as the credentials providers of Alibaba's SDKs do."""

    def get_credentials(self) -> Any:
        """Return an object with access_key_id, access_key_secret and security_token."""


def provider_for(credentials: Any, options: Mapping[str, Any]) -> Callable[[], OssCredentials]:
    """Return the function that returns the keys for each request.

    Args:
        credentials: A provider, the path of a JSON file, or None.
        options: May hold the keys themselves.

    Raises:
        ConfigError: It is none of these, both are given, or a key of two is missing.
    """
    keys = {name: options[name] for name in _OPTIONS if options.get(name)}
    if credentials is None:
        return _FixedCredentials(keys) if keys else EnvironmentCredentials()
    if keys:
        raise ConfigError(
            f"DirectSettings has both credentials and options[{next(iter(keys))!r}]: pass one"
        )
    if isinstance(credentials, (str, os.PathLike)):
        return CredentialsFile(credentials)
    if not callable(getattr(credentials, "get_credentials", None)):
        raise ConfigError(
            f"DirectSettings.credentials is a {type(credentials).__name__}: expected the path of a "
            f"JSON file, or an object with get_credentials()"
        )
    return _ProvidedCredentials(credentials)


class _FixedCredentials:
    """The keys of an argument."""

    def __init__(self, keys: Mapping[str, Any]) -> None:
        values = [keys.get(name, "") for name in _OPTIONS]
        names = [f"DirectSettings.options[{name!r}]" for name in _OPTIONS]
        self._credentials = _checked(values, names, "DirectSettings.options")

    def __call__(self) -> OssCredentials:
        return self._credentials


class EnvironmentCredentials:
    """The keys in OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN."""

    def __call__(self) -> OssCredentials:
        """Return the keys.

        Raises:
            AccessError: There are none, or one of two is missing.
        """
        values = [first_set(name) or "" for name in _VARIABLES]
        if not any(values[:2]):
            raise AccessError(f"no credentials for OSS: {_HINT}")
        try:
            return _checked(values, _VARIABLES, "the environment")
        except ConfigError as error:
            raise AccessError(str(error)) from None


class _ProvidedCredentials:
    """The keys that a provider returns."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._name = type(provider).__name__

    def __call__(self) -> OssCredentials:
        try:
            keys = self._provider.get_credentials()
        except Exception as error:
            # No cause is chained: the provider's own errors may quote what it was answered.
            raise AccessError(
                f"{self._name}.get_credentials() failed with {type(error).__name__}"
            ) from None
        values = [_value(keys, name) or "" for name in _OPTIONS]
        names = [f"{name} of {self._name}.get_credentials()" for name in _OPTIONS]
        try:
            return _checked(values, names, f"{self._name}.get_credentials()")
        except ConfigError as error:
            raise AccessError(str(error)) from None


def _value(keys: Any, name: str) -> Any:
    """Return an attribute; that of the older SDK may also be a method, as get_access_key_id()."""
    if hasattr(keys, name):
        return getattr(keys, name)
    method = getattr(keys, f"get_{name}", None)
    return method() if callable(method) else None


class CredentialsFile:
    """The keys in a JSON file, which is read again when it has changed, as when it has expired.

    A program may be just writing the file: where it cannot be read again, the keys that were read
    before are used until they expire.

    Args:
        file: The file; "~" is the user's home folder.
        now: Returns the present time.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._file = Path(file)
        self._now = now
        self._read: tuple[tuple[int, int, int], OssCredentials, datetime | None] | None = None
        self._warned_of = ""

    def __repr__(self) -> str:
        return f"CredentialsFile({str(self._file)!r})"

    def __getstate__(self) -> dict[str, Any]:
        # Keys travel to a worker by the path alone.
        return {"_file": self._file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        CredentialsFile.__init__(self, state["_file"])

    def __call__(self) -> OssCredentials:
        """Return the keys; those of an expired file are used as they are, and OSS refuses them.

        Raises:
            ConfigError: The file is missing, or not such a file; the text says what is wrong.
        """
        known = self._read
        try:
            version = self._version()
            if known is None or version != known[0]:
                credentials, expiration = self._load()
                self._read = known = version, credentials, expiration
                self._warned_of = ""
        except ConfigError as error:
            if known is None or (known[2] is not None and known[2] <= self._now()):
                raise
            if self._warned_of != (problem := str(error)):  # there may be thousands of requests
                self._warned_of = problem
                _log.warning("%s; the keys that were read before are used on", problem)
        return known[1]

    def _version(self) -> tuple[int, int, int]:
        try:
            status = self._file.expanduser().stat()
        except (OSError, RuntimeError) as error:
            raise self._error(f"cannot be read: {error}") from None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _load(self) -> tuple[OssCredentials, datetime | None]:
        try:
            fields = json.loads(self._file.expanduser().read_text("utf-8"))
        except OSError as error:
            raise self._error(f"cannot be read: {error}") from None
        except (ValueError, RecursionError) as error:
            # No cause is chained: the error of json holds the file's content.
            line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
            raise self._error(f"is no JSON ({type(error).__name__}{line})") from None
        if not isinstance(fields, dict):
            raise self._error(f"holds a {type(fields).__name__}, not a JSON object with these")
        for name in _REQUIRED:
            if not fields.get(name):
                raise self._error(f"has {'no' if name not in fields else 'an empty'} {name}")
        values = [fields.get(name) or "" for name in _FIELDS[:3]]
        names = [f"{name} of {self._file}" for name in _FIELDS]
        return _checked(values, names, str(self._file)), self._expiration(fields.get("Expiration"))

    def _expiration(self, text: Any) -> datetime | None:
        if text is None or text == "":
            return None
        try:
            return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=timezone.utc)
        except (TypeError, ValueError):
            raise self._error(
                f"has Expiration={text!r}, expected a time as 2026-11-30T12:00:00Z"
            ) from None

    def _error(self, problem: str) -> ConfigError:
        return ConfigError(
            f"credentials file {str(self._file)!r} {problem}: expected JSON with "
            f"{' and '.join(_REQUIRED)}, and for temporary keys {' and '.join(_FIELDS[2:])}"
        )


def _checked(values: list[Any], names: Any, where: str) -> OssCredentials:
    """Return keys that a header can carry.

    Args:
        values: Access key, secret, and token or "".
        names: What each is called, for errors.
        where: What holds them.

    Raises:
        ConfigError: One is missing, no text, or has blanks or other characters that no key has.
    """
    for name, value in zip(names, values, strict=False):
        if not isinstance(value, str):
            raise ConfigError(f"{name} is a {type(value).__name__}, not a text")
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            raise ConfigError(f"{name} holds a blank, a line break or a non-ASCII character")
    missing = [name for name, value in zip(names[:2], values[:2], strict=True) if not value]
    if missing:
        raise ConfigError(f"{where} has no keys for OSS, or one of two: {missing[0]} is empty")
    return OssCredentials(*values)
