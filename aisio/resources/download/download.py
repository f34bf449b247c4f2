"""Download a resource into a file in one pass, hashed while it is written, and resumable.

The bytes go into a partial file beside the target. It is renamed to the target when its digest is
right. A small state beside it names the origin and the version of the bytes. Where both are still
the same, the next download hashes what the partial file holds and continues behind it. So a process
that is killed loses nothing that it had written, and the bytes of two versions never mix.

The bytes of several responses are joined in two cases: where a digest, of the catalog or of the
origin itself, shows in the end whether all is right; and where nothing would show it anyway, as
with most web servers. A partial file of another process is only used with a digest of the catalog.

Nothing is synced to the disk before the rename: that costs more than the download. What is left of
a file after a power cut is found by its size and time (see `aisio.resources.cache.cache`).
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from aisio.errors import (
    AisioError,
    DigestError,
    IntegrityError,
    RangeError,
    StorageError,
    TruncatedError,
    UnavailableError,
)
from aisio.records import RetryPolicy
from aisio.resources.cache.disk import DISK_FULL_ERRNOS
from aisio.resources.download.digests import Digest, parse_digest
from aisio.resources.download.hashed_file import HashedFile
from aisio.resources.download.partial import PartialFile, PartialState
from aisio.transport.retries import RETRYABLE, Attempts

OnProgress: TypeAlias = "Callable[[int, int | None], object]"
"""Called with the bytes so far and the size of the resource, None if it is unknown."""

_RENEW_BUDGET_BYTES = 1024 * 1024
_log = logging.getLogger(__name__)


class NoSpaceError(OSError):
    """The disk has less free space than the size that an origin names.

    Another origin may name another size, and the right one.
    """


_Failure: TypeAlias = "AisioError | NoSpaceError"


class OriginResponse(Protocol):
    """The bytes of one version of a resource, from a first byte to its end, to be read once.

    Attributes:
        start: First byte that it delivers; 0 where the server ignores ranges.
        size_bytes: Size of the whole resource, not of this response; None if the server does not
            say.
        version: ETag, checksum or version: equal ones mean equal bytes. None if there is none.
        sha256: Hexadecimal SHA256 of the whole resource, where the origin names one and the reader
            has to check it; else None.
        checks_itself: True if a response with the whole resource checks its bytes, by more than
            their number. Nothing checks the bytes of a response that starts later.
    """

    start: int
    size_bytes: int | None
    version: str | None
    sha256: str | None
    checks_itself: bool

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end.

        Raises:
            StorageError: As the store raises it; TruncatedError if the connection was cut.
        """

    def close(self) -> None:
        """Release the connection."""


class Origin(Protocol):
    """One place that a resource can be downloaded from.

    Attributes:
        url: Names the origin in messages and states: without credentials or query.
    """

    url: str

    def open(self, start: int = 0) -> OriginResponse:
        """Open the resource from a byte on; the origin itself retries this.

        Args:
            start: First byte. The response may start at 0 instead, where the origin has no ranges
                or the resource has no such byte; `OriginResponse.start` says so.

        Raises:
            AisioError: It does not exist, is refused, or cannot be reached after some attempts.
        """


def download(
    origins: Sequence[Origin],
    target: Path,
    *,
    digest: str | None,
    on_progress: OnProgress | None = None,
    before_replacing: Callable[[], object] = lambda: None,
    retry: RetryPolicy | None = None,
) -> str:
    """Download a resource from the first origin that gives the right bytes.

    The caller makes sure that only one process at a time downloads to a target.

    Args:
        origins: Where the resource is, the best origin first.
        target: The file; an old one stays until the new bytes are complete and right.
        digest: The right digest, as a catalog writes it; None allows any.
        on_progress: Called after each piece.
        before_replacing: Called when the bytes are right, before they become the target.
        retry: For bodies that break off, where the origin cannot resume them itself.

    Returns:
        The digest of the bytes, as a catalog writes it.

    Raises:
        DigestError: The bytes do not have the digest; nothing of them is kept.
        StorageError: No origin gave them; of the class of all failures, if they have the same.
        OSError: They cannot be written: no space, or no permission.
    """
    expected = parse_digest(digest)
    partial = PartialFile(target)
    failures: list[tuple[str, _Failure]] = []
    for number, origin in enumerate(origins, 1):
        attempts = Attempts(retry or RetryPolicy())
        try:
            actual = _Download(origin, partial, expected, on_progress, attempts).run()
        except (AisioError, NoSpaceError) as error:
            failures.append((origin.url, error))
            if number < len(origins):
                _log.warning("%s cannot be downloaded from %s: %s", target.name, origin.url, error)
            continue
        before_replacing()
        partial.finish()
        return expected.as_text(actual)
    raise _combined(target.name, failures)


def _combined(name: str, failures: list[tuple[str, _Failure]]) -> _Failure:
    """Return one error that names the failure of each origin."""
    if len(failures) == 1 or all(isinstance(error, NoSpaceError) for _, error in failures):
        return failures[0][1]
    kinds = {type(error) for _, error in failures if isinstance(error, AisioError)}
    kind: type[AisioError] = kinds.pop() if len(kinds) == 1 else StorageError
    if DigestError in kinds:
        kind = DigestError
    lines = "".join(f"\n  {url}: {error}" for url, error in failures)
    return kind(f"{name}: none of {len(failures)} sources gave it:{lines}")


@dataclass(frozen=True)
class _Version:
    """What the response that the file starts with said; the attributes of `OriginResponse`."""

    name: str | None = None
    sha256: str | None = None
    checks_itself: bool = False


class _Download:
    """The download of a partial file from one origin."""

    def __init__(
        self,
        origin: Origin,
        partial: PartialFile,
        expected: Digest,
        on_progress: OnProgress | None,
        attempts: Attempts,
    ) -> None:
        self._origin = origin
        self._partial = partial
        self._expected = expected
        self._on_progress = on_progress
        self._attempts = attempts
        self._version = _Version()
        self._is_joined = False
        self._high_water_bytes = 0

    def run(self) -> str:
        """Fill the file and return its digest; after an error, keep only what can be resumed."""
        try:
            with HashedFile(self._partial.path, self._expected.algorithm) as file:
                return self._download(file)
        except (AisioError, KeyboardInterrupt) as error:
            if isinstance(error, DigestError) or not self._is_resumable():
                self._partial.remove()
            raise
        except OSError as error:
            self._partial.remove()
            if error.errno in DISK_FULL_ERRNOS and error.filename is None:
                why = "it could not be written to its end"
                raise self._disk_full(OSError, error.errno, why) from error
            raise
        except BaseException:
            self._partial.remove()
            raise

    def _is_resumable(self) -> bool:
        return self._expected.value is not None and self._partial.read_state() is not None

    def _download(self, file: HashedFile) -> str:
        """Fill the file; once more from its first byte, where joined bytes turn out wrong."""
        try:
            actual = self._fill(file, self._resume(file))
        except (TruncatedError, DigestError):
            raise
        except (IntegrityError, RangeError) as error:
            wrong: StorageError = error
        else:
            if not self._is_joined or self._is_right(actual):
                return self._checked(actual)
            wrong = self._digest_error(actual)
        _log.warning("%s; downloading it from its start", wrong)
        return self._checked(self._fill(file, None))

    def _resume(self, file: HashedFile) -> PartialState | None:
        """Hash what an earlier process downloaded from the same origin; None if there is none."""
        state = self._partial.read_state() if self._expected.value is not None else None
        if state is None or state.url != self._origin.url:
            return None
        file.hash_existing()
        if state.size_bytes is not None and file.size_bytes > state.size_bytes:
            return None
        self._version, self._high_water_bytes = _Version(state.version), file.size_bytes
        self._is_joined = True
        return state

    def _checked(self, actual: str) -> str:
        if not self._is_right(actual):
            raise self._digest_error(actual)
        return actual

    def _is_right(self, actual: str) -> bool:
        return self._digest_to_check() in (None, actual)

    def _digest_to_check(self) -> str | None:
        """Return the digest of the catalog; that of the origin where the catalog has none."""
        return self._expected.value or self._version.sha256

    def _fill(self, file: HashedFile, resumed: PartialState | None) -> str:
        if resumed is None:
            self._version, self._high_water_bytes = _Version(), 0
        elif resumed.size_bytes == file.size_bytes:
            return file.hexdigest()
        while True:
            # Outside of the try: the origin has already retried what it cannot open.
            response = self._open(file)
            try:
                self._receive(response, file)
                return file.hexdigest()
            except RETRYABLE as error:
                self._attempts.failed(error)

    def _open(self, file: HashedFile) -> OriginResponse:
        """Open a response that continues the file; else one that starts it over."""
        is_checked_at_end = self._digest_to_check() is not None
        can_join = is_checked_at_end or not self._version.checks_itself
        start = file.size_bytes if can_join and self._version.name is not None else 0
        response = self._request(start)
        if start and response.start == start and response.version == self._version.name:
            self._is_joined = True
            return response
        if response.start:
            response.close()
            response = self._request(0)
        if response.start:
            response.close()
            url, first = self._origin.url, response.start
            raise IntegrityError(
                f"GET {url}: requested all bytes, the response starts at byte {first}", url=url
            )
        self._start_over(file, response)
        return response

    def _request(self, start: int) -> OriginResponse:
        with _origin_errors(self._origin):
            return self._origin.open(start)

    def _start_over(self, file: HashedFile, response: OriginResponse) -> None:
        file.restart()
        self._is_joined = False
        self._version = _Version(response.version, response.sha256, response.checks_itself)
        state = None
        if response.version is not None and self._expected.value is not None:
            state = PartialState(self._origin.url, response.version, response.size_bytes)
        self._partial.write_state(state)

    def _receive(self, response: OriginResponse, file: HashedFile) -> None:
        size = response.size_bytes
        try:
            if size is not None:
                self._check_space(size - file.size_bytes)

            def readinto(buffer: memoryview) -> int:
                with _origin_errors(self._origin):
                    return response.readinto(buffer)

            file.receive(readinto, lambda done: self._report(done, size))
        finally:
            response.close()
        if size is not None and file.size_bytes != size:
            url = self._origin.url
            raise TruncatedError(
                f"GET {url}: cut short: expected {size:,} bytes, got {file.size_bytes:,}", url=url
            )

    def _report(self, done: int, size: int | None) -> None:
        # Bytes that came before do not count: a server that cuts each response in the middle must
        # use up the retry budget.
        if done >= self._high_water_bytes + _RENEW_BUDGET_BYTES:
            self._high_water_bytes = done
            self._attempts.renew()
        if self._on_progress:
            self._on_progress(done, size)

    def _check_space(self, needed_bytes: int) -> None:
        usage = shutil.disk_usage(self._partial.target.parent)
        # Some network file systems have no sizes: their total is 0.
        if usage.total and usage.free < needed_bytes:
            why = f"{needed_bytes:,} bytes are needed, {usage.free:,} are free"
            raise self._disk_full(NoSpaceError, errno.ENOSPC, why)

    def _disk_full(self, kind: type[OSError], number: int, why: str) -> OSError:
        advice = "make room (aisio cache prune) or take another folder"
        return kind(number, f"{os.strerror(number)}: {why}; {advice}", str(self._partial.target))

    def _digest_error(self, actual: str) -> DigestError:
        url = self._origin.url
        if self._expected.value is not None:
            cause = f"Either {url} has changed, or the catalog is wrong"
        else:
            cause = f"It is what {url} itself promises: try again later"
        return DigestError(
            f"{self._expected.algorithm.upper()} hash of downloaded file "
            f"({self._partial.target.name}) does not match the known hash: expected "
            f"{self._digest_to_check()} but got {actual}. Nothing of it was kept. {cause}",
            url=url,
        )


@contextmanager
def _origin_errors(origin: Origin) -> Iterator[None]:
    """Raise an OSError of the origin, as NFS has them, apart from one of the target."""
    try:
        yield
    except AisioError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"GET {origin.url}: {error.strerror or error}", url=origin.url
        ) from error
