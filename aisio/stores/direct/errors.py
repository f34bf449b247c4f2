"""Translates what obstore raises into aisio's errors, by the text that obstore gives them."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from aisio.errors import (
    AccessError,
    AisioError,
    ConfigError,
    ConflictError,
    NotFoundError,
    StorageError,
    StoreTimeoutError,
    UnavailableError,
    UrlError,
)
from aisio.stores.direct.error_codes import error_for_status
from aisio.transport.http.urls import name_hint
from aisio.urls import WEB_SCHEMES, ObjectUrl

_STATUS = re.compile(r"Server returned non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")
_KIND = re.compile(r"\bkind: (Connect|Request|Timeout|Interrupted|Decode)\b")
_REQUEST_URL = re.compile(r"\buri: Some\(\s*(https?://[^\s,]+)")
_WHOLE_URL = re.compile(r"https?://\S+")
# An error of rustls ends the connection as "invalid data", and nothing else does.
_TLS = re.compile(r"kind: InvalidData,\s+error: (\w+)(?:\(\s*(\w+))?")
_SYSTEM = re.compile(r'\bOs \{\s+code: \d+,\s+kind: \w+,\s+message: "([^"]{1,200})"')
_NAME = re.compile(r'"dns error",.*?error: "([^"]{1,200})"', re.DOTALL)
_NO_RANGES = "Range request not supported"
_NO_REGION = "Received redirect without LOCATION"
_CLASSES: dict[str, tuple[type[StorageError], str]] = {
    "FileNotFoundError": (NotFoundError, "no such object"),
    "NotFoundError": (NotFoundError, "no such object"),
    "PermissionDeniedError": (AccessError, "these credentials do not allow it"),
    "UnauthenticatedError": (AccessError, "no or wrong credentials"),
    "AlreadyExistsError": (ConflictError, "a conflict with another operation"),
    "PreconditionError": (ConflictError, "it changed meanwhile"),
}
_BUSY = (429, 503)


class translate_errors:
    """A `with` block that raises aisio's errors in the place of obstore's.

    They have no `__cause__`: obstore's error quotes the response, and an error response may quote
    the signed headers, among them the session token. This is a class because a generator costs each
    read a microsecond more.

    Args:
        operation: What is tried, as in "get".
        url: The object or bucket.
        retry_after_s: Returns the seconds that a busy server asks clients to wait, by the URL of
            the request.
    """

    __slots__ = ("_operation", "_retry_after_s", "_url")

    def __init__(
        self,
        operation: str,
        url: ObjectUrl,
        retry_after_s: Callable[[str], float | None] | None = None,
    ) -> None:
        self._operation = operation
        self._url = url
        self._retry_after_s = retry_after_s

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Raise aisio's error in the place of obstore's."""
        if error is None or isinstance(error, StorageError):
            return
        own = _translation(error, self._operation, self._url)
        if own is None:
            return
        if self._retry_after_s and isinstance(own, StorageError) and own.status in _BUSY:
            request_url = _REQUEST_URL.search(str(error))
            own.retry_after_s = self._retry_after_s(request_url[1]) if request_url else None
        raise own from None


def _translation(error: BaseException, operation: str, url: ObjectUrl) -> AisioError | None:
    """Return aisio's error; None if the error is not obstore's."""
    if isinstance(error, Exception):
        return _error_for(error, operation, url)
    # A panic of Rust is no Exception. It comes from a setting that no check of ours knows.
    if type(error).__name__ != "PanicException":
        return None
    return ConfigError(
        f"{operation} {url}: obstore failed inside ({type(error).__name__}); are endpoint, "
        f"region and credentials as they should be?",
        url=str(url),
    )


def _error_for(error: Exception, operation: str, url: ObjectUrl) -> AisioError | None:
    """Return aisio's error; None if the error is not obstore's.

    The class is known by its name: a second copy of obstore has classes of its own.
    """
    kind, text = type(error).__name__, str(error)
    about = f"{operation} {url}"
    if isinstance(error, ValueError) and text.startswith("Could not parse path"):
        return UrlError(f"{about}: obstore cannot carry this name", url=str(url))
    if not (isinstance(error, FileNotFoundError) or type(error).__module__ == "obstore.exceptions"):
        return None
    if kind == "UnknownConfigurationKeyError":
        return ConfigError(f"{about}: DirectSettings.options: {text.splitlines()[0]}")
    if kind == "InvalidPathError":
        return StorageError(
            f"{about}: there is a name with a control character or '//', which obstore cannot "
            f"carry; read this bucket through an AIStore cluster",
            url=str(url),
        )
    message, _, debug = text.partition("Debug source:")
    if _NO_RANGES in message:
        return StorageError(
            f"{about}: the server sends only the whole of it, and ignores a Range: download it, "
            f"and read the file",
            url=str(url),
        )
    if status := _STATUS.search(message):
        return _status_error(int(status[1]), message, operation, url)
    if kind in _CLASSES:
        cls, meaning = _CLASSES[kind]
        return cls(f"{about}: {meaning}", url=str(url))
    return _connection_error(message, debug, operation, url)


def _status_error(status: int, message: str, operation: str, url: ObjectUrl) -> AisioError:
    code, region = _CODE.search(message), _REGION.search(message)
    web = url.provider in WEB_SCHEMES
    error = error_for_status(
        status,
        code[1] if code else "",
        operation=operation,
        url=str(url),
        region=region[1] if region else "",
        web=web,
    )
    if web and isinstance(error, NotFoundError) and (hint := name_hint(url.name)):
        return NotFoundError(f"{error}; {hint}", url=str(url), status=status)
    return error


def _connection_error(message: str, debug: str, operation: str, url: ObjectUrl) -> AisioError:
    """Return the error for a request without a response, or with one that cannot be used."""
    about = f"{operation} {url}"
    if _NO_REGION in message:
        return error_for_status(301, "", operation=operation, url=str(url))
    request_url = _REQUEST_URL.search(debug)
    host = urlsplit(request_url[1]).netloc.rpartition("@")[2] if request_url else "the store"
    if tls := _TLS.search(debug):
        return AccessError(f"{about}: TLS with {host} failed: {_tls_cause(tls)}", url=str(url))
    if kind := _KIND.search(debug):
        if kind[1] == "Timeout" or "TimedOut" in debug:
            return StoreTimeoutError(
                f"{about}: no answer from {host} within the timeout", url=str(url)
            )
        cause = _connection_cause(debug) or f"the connection failed ({kind[1]})"
        return UnavailableError(f"{about}: no answer from {host}: {cause}", url=str(url))
    first = _WHOLE_URL.sub(host, message.strip().splitlines()[0])
    return StorageError(f"{about}: {first if first.isprintable() else ascii(first)}", url=str(url))


def _connection_cause(debug: str) -> str:
    if name := _NAME.search(debug):
        return f"its name cannot be resolved: {name[1]}"
    system = _SYSTEM.search(debug)
    return system[1] if system else ""


def _tls_cause(match: re.Match[str]) -> str:
    kind, detail = match[1], match[2] or ""
    if kind == "InvalidMessage":
        return f"it does not speak TLS ({detail}): is it an http:// endpoint?"
    if kind == "InvalidCertificate" and not detail.startswith(("Expired", "NotV")):
        return (
            f"its certificate is not trusted ({detail}): name the PEM file of its authority in "
            f"AWS_CA_BUNDLE (S3), AIS_CLIENT_CA or DirectSettings(tls=TlsFiles(ca_file=...))"
        )
    return f"{kind} {detail}".strip()
