"""Every error that aisio raises on purpose.

AisioError
├── UrlError (ValueError)                        a URL or name that is not valid
├── ConfigError (ValueError)                     a setting or argument that cannot work
│   └── NotSupportedError (NotImplementedError)  it has a meaning, but nothing implements it yet
├── MissingExtraError (ImportError)              an optional dependency is not installed
├── CatalogError (ValueError)                    catalog files that are wrong, or a name not in them
├── ArchiveError (ValueError)                    an archive that cannot be unpacked safely
├── CheckpointError (ValueError)                 a checkpoint that is cut, damaged or incomplete
├── ShardError (ValueError, tarfile.TarError)    a shard that is cut, damaged or not a tar
│   └── DecodeError                              a field of a sample that cannot be decoded
└── StorageError                                 a store refused, failed, or did not answer
    ├── NotFoundError (FileNotFoundError)        404
    ├── AccessError (PermissionError)            401, 403
    ├── ConflictError (FileExistsError)          409, 423
    ├── RangeError (ValueError)                  416
    ├── ThrottledError                           429
    ├── UnavailableError (ConnectionError)       5xx; a connection that is refused or reset
    ├── StoreTimeoutError (TimeoutError)         no answer in time
    └── IntegrityError                           the bytes are not those that the store announced
        ├── TruncatedError (EOFError)            there are fewer: the connection was cut
        └── DigestError (ValueError)             they are not those that the catalog names

A DataLoader worker hands an error to the parent as `type(error)(text)`, so each class can be built
from one string and the string says everything; attributes are a convenience of the raising process.
The string never holds the credentials of a URL, nor control characters that a terminal would act
on: see `aisio.redaction` and `aisio.escapes`.
"""

from __future__ import annotations

import logging
import sys
import tarfile

from aisio.escapes import one_line, visible
from aisio.redaction import redacted

_log = logging.getLogger(__name__)


class AisioError(Exception):
    """The root of the tree.

    Attributes:
        url: The URL of the object that the error is about, as the caller wrote it; else None.
    """

    def __init__(self, message: str, *, url: str | None = None) -> None:
        if url and not url.isprintable():
            message = message.replace(url, one_line(url))
        super().__init__(visible(redacted(message)))
        self.url = url


class UrlError(AisioError, ValueError):
    """A URL, bucket name or object name that is not valid."""


class ConfigError(AisioError, ValueError):
    """A setting or argument that cannot work; the text names it and where it was set."""


class NotSupportedError(ConfigError, NotImplementedError):
    """A setting or argument that has a meaning, but that nothing implements yet."""


class MissingExtraError(AisioError, ImportError):
    """An optional dependency is not installed; the text has the pip command."""


class CatalogError(AisioError, ValueError):
    """Catalog files hold errors, or a name is not in them.

    Attributes:
        problems: One line for each error, with file, line, tag and field.
    """

    def __init__(
        self, message: str, *, url: str | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, url=url)
        self.problems = problems


class ArchiveError(AisioError, ValueError):
    """An archive is damaged, or unpacking it would leave its folder or exceed a limit."""


class CheckpointError(AisioError, ValueError):
    """A checkpoint is cut or damaged, lacks something, or its files do not belong together."""


class ShardError(AisioError, ValueError, tarfile.TarError):
    """A shard is cut, damaged, not a tar, or its members do not group into samples.

    Attributes:
        offset: Byte of the shard where the error was found; None if unknown.
    """

    def __init__(self, message: str, *, url: str | None = None, offset: int | None = None) -> None:
        super().__init__(message, url=url)
        self.offset = offset


class DecodeError(ShardError):
    """A field of a sample cannot be decoded; the text names shard, sample and field."""


class StorageError(AisioError):
    """A store refused a request, failed, or sent an unusable response.

    Attributes:
        status: The HTTP status code, where there was one.
        retry_after_s: Seconds to wait before the next try, if the store asked for that.
        given_up: The retry budget is spent: an outer loop must not retry again.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        given_up: bool = False,
    ) -> None:
        super().__init__(message, url=url)
        self.status = status
        self.retry_after_s = retry_after_s
        self.given_up = given_up


class NotFoundError(StorageError, FileNotFoundError):
    """The bucket or object does not exist."""


class AccessError(StorageError, PermissionError):
    """The store asks for other credentials, or these do not permit the operation."""


class ConflictError(StorageError, FileExistsError):
    """The bucket or object exists already, or another operation has locked it."""


class RangeError(StorageError, ValueError):
    """The byte range lies outside the object."""


class ThrottledError(StorageError):
    """The store asks for fewer requests."""


class UnavailableError(StorageError, ConnectionError):
    """The store cannot be reached, broke the connection, or failed inside (5xx)."""


class StoreTimeoutError(StorageError, TimeoutError):
    """The store did not answer, or stopped sending, within the timeout."""


class IntegrityError(StorageError):
    """Length, checksum or identity of the bytes differs from what the store announced."""


class TruncatedError(IntegrityError, EOFError):
    """A body ended before its announced length."""


class DigestError(IntegrityError, ValueError):
    """The bytes, or a listing, do not have the digest that the catalog names."""


def add_note(error: BaseException, text: str) -> None:
    """Add a line to the traceback of an error that the caller's own code raised.

    Python 3.10 has no such notes: there the line goes to the log.
    """
    if sys.version_info >= (3, 11):
        error.add_note(text)
    else:
        _log.error("%s: %s", type(error).__name__, text)
