"""Every error that aisio raises on purpose.

AisioError
├── UrlError (ValueError)                        a URL or name that cannot be meant
├── ConfigError (ValueError)                     a setting or argument that cannot work
├── MissingExtraError (ImportError)              an optional dependency is not installed
├── CatalogError (ValueError)                    catalog files that are wrong, or a name not in them
├── ArchiveError (ValueError)                    an archive that cannot be unpacked safely
├── ShardError (ValueError, tarfile.TarError)    a shard that is cut, damaged or not a tar
└── StorageError                                 what a store answered, or failed to
    ├── NotFoundError (FileNotFoundError)        404
    ├── AccessError (PermissionError)            401, 403
    ├── ConflictError (FileExistsError)          409, 423
    ├── RangeError (ValueError)                  416
    ├── ThrottledError                           429
    ├── UnavailableError (ConnectionError)       5xx, a node away, refused, reset
    ├── StoreTimeoutError (TimeoutError)         no answer in time
    └── IntegrityError                           the bytes are not the ones the store promised
        ├── TruncatedError (EOFError)            there are fewer of them: the connection was cut
        └── DigestError (ValueError)             they are not the ones the catalog names

A DataLoader worker hands an error to the parent as `type(error)(text)`, so each class can be built
from one string and the string says everything; attributes are a convenience of the raising process.
The string never holds the credentials of a URL, nor what a terminal would obey: see
`aisio.redaction` and `aisio.escapes`.
"""

from __future__ import annotations

import tarfile

from aisio.escapes import one_line, visible
from aisio.redaction import redacted


class AisioError(Exception):
    """The root of the tree.

    Attributes:
        url: What the error is about, as it was given, where that is one object; else None.
    """

    def __init__(self, message: str, *, url: str | None = None) -> None:
        if url and not url.isprintable():
            message = message.replace(url, one_line(url))
        super().__init__(visible(redacted(message)))
        self.url = url


class UrlError(AisioError, ValueError):
    """A URL, bucket name or object name that no store could resolve."""


class ConfigError(AisioError, ValueError):
    """A setting or argument that cannot work; names it and where it came from."""


class MissingExtraError(AisioError, ImportError):
    """An optional dependency is not installed; the text holds the pip command."""


class CatalogError(AisioError, ValueError):
    """Catalog files that are wrong, or a name that is not in them.

    Attributes:
        problems: One line for each thing that is wrong, with file, line, tag and field.
    """

    def __init__(
        self, message: str, *, url: str | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, url=url)
        self.problems = problems


class ArchiveError(AisioError, ValueError):
    """An archive that is damaged, or whose members would lead out of its folder or over a bound."""


class ShardError(AisioError, ValueError, tarfile.TarError):
    """A shard that is cut, damaged, not a tar, or whose members do not group into samples.

    Attributes:
        offset: Byte of the shard where the trouble was met; None if unknown.
    """

    def __init__(self, message: str, *, url: str | None = None, offset: int | None = None) -> None:
        super().__init__(message, url=url)
        self.offset = offset


class StorageError(AisioError):
    """A store refused, failed, or answered something unusable.

    Attributes:
        status: The HTTP status code, where there was one.
        retry_after_s: Seconds the store asked to wait before the next try, if it did.
        given_up: It was tried until a budget was spent: no outer loop is to begin again.
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
    """The store wants other credentials, or forbids this to these."""


class ConflictError(StorageError, FileExistsError):
    """It exists already, or is locked by another operation."""


class RangeError(StorageError, ValueError):
    """The byte range lies outside the object."""


class ThrottledError(StorageError):
    """The store asks for fewer requests."""


class UnavailableError(StorageError, ConnectionError):
    """The store cannot be reached, broke the connection, or failed inside (5xx)."""


class StoreTimeoutError(StorageError, TimeoutError):
    """The store did not answer, or went silent, within the timeout."""


class IntegrityError(StorageError):
    """Length, checksum or identity of the bytes differs from what the store promised."""


class TruncatedError(IntegrityError, EOFError):
    """A body ended before its promised length."""


class DigestError(IntegrityError, ValueError):
    """The bytes, or a listing, are not the ones that the catalog names by their digest."""
