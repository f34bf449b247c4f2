"""What obstore raises, as aisio's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from aisio.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    NotFoundError,
    StorageError,
    StoreTimeoutError,
    UnavailableError,
    UrlError,
)
from aisio.http_urls import name_hint
from aisio.urls import MEMORY, ObjectUrl
from aisio.wire.messages import error_for

_STATUS = re.compile(r"Server returned non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_KIND = re.compile(r"\bkind: (Connect|Request|Timeout|Interrupted|Decode)\b")
_CLASSES: dict[str, tuple[type[StorageError], str]] = {
    "FileNotFoundError": (NotFoundError, "no such object"),
    "NotFoundError": (NotFoundError, "no such object"),
    "PermissionDeniedError": (AccessError, "these credentials do not allow it"),
    "UnauthenticatedError": (AccessError, "no or wrong credentials"),
    "AlreadyExistsError": (ConflictError, "a conflict with another operation"),
    "PreconditionError": (ConflictError, "it changed meanwhile"),
}


@contextmanager
def translated(operation: str, url: ObjectUrl) -> Iterator[None]:
    """Turn what obstore raises into aisio's errors, in this one place.

    Without the cause: it quotes the reply, and a refusal may quote the signed headers, among them
    the session token.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        found = _error_for(error, operation, url)
        if found is None:
            raise
        raise found from None


def _error_for(error: Exception, operation: str, url: ObjectUrl) -> Exception | None:
    """Return aisio's error; None where the error is not obstore's.

    By the class's name: a copy of obstore has classes of its own.
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
    if kind in _CLASSES:
        cls, meaning = _CLASSES[kind]
        return cls(f"{about}: {meaning}{_web_hint(cls, url)}", url=str(url))
    return _generic_error(text, operation, url)


def _generic_error(text: str, operation: str, url: ObjectUrl) -> Exception:
    message, _, debug = text.partition("Debug source:")
    if status := _STATUS.search(message):
        code = _CODE.search(message)
        said = code[1] if code else "the store refused"
        return error_for(int(status[1]), said, operation=operation, url=str(url))
    if kind := _KIND.search(debug):
        timed_out = kind[1] == "Timeout" or "TimedOut" in debug
        cls = StoreTimeoutError if timed_out else UnavailableError
        what = "no answer within the timeout" if timed_out else "the connection failed"
        return cls(f"{operation} {url}: {what} ({kind[1]})", url=str(url))
    return StorageError(f"{operation} {url}: {message.strip().splitlines()[0]}", url=str(url))


def _web_hint(cls: type[StorageError], url: ObjectUrl) -> str:
    hint = "" if url.provider == MEMORY else name_hint(url.name)
    return f"; {hint}" if hint and cls is NotFoundError else ""
