"""Bytes of a resource on their way into a file: one pass, hashed while they are written.

The bytes go into a partial file beside the target, which gets the target's name when its digest is
the right one. Beside it a small state says of which origin and version it is: the next download
goes on behind it where both are still the same, and hashes first what is there. So a process that
is killed loses nothing that it had written, and there is never a mixture.

Replies are joined where a digest tells in the end whether all is right, the catalog's or the one
that the origin itself promises, and where nothing would tell anyway, as of a web server. What
another process left is only used with the catalog's.

Nothing is forced to the disk before it gets its name: that costs more than the download, and what a
lost machine leaves of a file is found by its size and time (see `aisio.resources.cache.cache`).
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from aisio.resources.download.digests import Digest, parse_digest
from aisio.resources.download.hashed_file import HashedFile
from aisio.resources.download.partial import Partial, State
from aisio.transport.retries import RETRYABLE, Attempts

Show: TypeAlias = "Callable[[int, int | None], object]"
"""Is told how many bytes are there, and how many there will be if that is known."""

_RENEWED_BY_BYTES = 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_log = logging.getLogger(__name__)


class NoSpaceError(OSError):
    """The disk has no room for as many bytes as an origin says it will send.

    Another origin may tell another size, and the true one.
    """


class Reply(Protocol):
    """The bytes of one version of a resource, from some byte to its end, open for reading once.

    Attributes:
        start: First byte that it delivers; 0 where the server ignores ranges.
        size_bytes: Bytes of the whole resource, not of this reply; None if the server does not say.
        version: ETag, checksum or version, such that the same one means the same bytes; None if
            there is nothing of that kind.
        sha256: What the whole resource must hash to, in hexadecimal digits, where the origin says
            so and leaves the check to who reads; else None.
        checks_itself: Whoever reads all of it in one reply has its bytes checked, by more than
            their number; of a reply that begins later nobody checks them.
    """

    start: int
    size_bytes: int | None
    version: str | None
    sha256: str | None
    checks_itself: bool

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end.

        Raises:
            StorageError: As a store raises it; TruncatedError where the connection was cut.
        """

    def close(self) -> None:
        """Let go of the connection."""


class Origin(Protocol):
    """One place that has a resource.

    Attributes:
        url: For messages and for telling origins apart: without credentials or query.
    """

    url: str

    def open(self, start: int = 0) -> Reply:
        """Open the resource from a byte on; its own retries are behind it.

        Args:
            start: First byte. An origin without ranges, or whose resource is not longer, may
                begin at 0 and says so in `Reply.start`.

        Raises:
            AisioError: It is not there, refused, or not reached after some tries.
        """


def download(
    origins: Sequence[Origin],
    target: Path,
    *,
    digest: str | None,
    show: Show | None = None,
    before_replacing: Callable[[], object] = lambda: None,
    retry: RetryPolicy | None = None,
) -> str:
    """Have the bytes of the first origin that gives the right ones, as a file.

    The caller sees to it that only one process at a time downloads to a target.

    Args:
        origins: Where they are, the best one first.
        target: The file; what is there stays until the new bytes are complete and right.
        digest: What they must hash to, as a catalog writes it; None takes any.
        show: Is told of the progress.
        before_replacing: Is called when the bytes are right, before they become the target.
        retry: For replies that break off, and cannot mend that themselves.

    Returns:
        The digest of what was written, as a catalog writes it.

    Raises:
        DigestError: The bytes are not the ones that the digest names; nothing is left of them.
        StorageError: No origin gave them; of the kind on which all agree, if they do.
        OSError: They cannot be written: no space, or no permission.
    """
    wanted = parse_digest(digest)
    partial = Partial(target)
    failures: list[tuple[str, AisioError | NoSpaceError]] = []
    for number, origin in enumerate(origins, 1):
        try:
            got = _Download(origin, partial, wanted, show, Attempts(retry or RetryPolicy())).run()
        except (AisioError, NoSpaceError) as error:
            failures.append((origin.url, error))
            if number < len(origins):
                _log.warning("%s cannot be had from %s: %s", target.name, origin.url, error)
            continue
        before_replacing()
        partial.finish()
        return wanted.written(got)
    raise _failure_of_all(target.name, failures)


def _failure_of_all(
    name: str, failures: list[tuple[str, AisioError | NoSpaceError]]
) -> AisioError | NoSpaceError:
    if len(failures) == 1 or all(isinstance(error, NoSpaceError) for _, error in failures):
        return failures[0][1]
    kinds = {type(error) for _, error in failures if isinstance(error, AisioError)}
    kind: type[AisioError] = kinds.pop() if len(kinds) == 1 else StorageError
    if DigestError in kinds:
        kind = DigestError
    told = "".join(f"\n  {url}: {error}" for url, error in failures)
    return kind(f"{name}: none of {len(failures)} sources gave it:{told}")


class _Download:
    """One origin's try to fill a partial file."""

    def __init__(
        self,
        origin: Origin,
        partial: Partial,
        wanted: Digest,
        show: Show | None,
        attempts: Attempts,
    ) -> None:
        self._origin = origin
        self._partial = partial
        self._wanted = wanted
        self._show = show
        self._attempts = attempts
        self._version: str | None = None
        self._promised: str | None = None
        self._checks_itself = False
        self._farthest = 0
        self._joined = False

    def run(self) -> str:
        """Fill the file and return its digest."""
        try:
            with HashedFile(self._partial.path, self._wanted.algorithm) as file:
                return self._run(file)
        except (AisioError, KeyboardInterrupt) as error:
            if isinstance(error, DigestError) or not self._can_be_gone_on_with():
                self._partial.remove()
            raise
        except OSError as error:
            self._partial.remove()
            if error.errno in _FULL and error.filename is None:
                told = self._no_space(error.errno, "it could not be written to its end")
                raise OSError(*told) from error
            raise
        except BaseException:
            self._partial.remove()
            raise

    def _can_be_gone_on_with(self) -> bool:
        return self._wanted.value is not None and self._partial.state() is not None

    def _run(self, file: HashedFile) -> str:
        """Fill the file; once more from its first byte on, where what was joined is not right."""
        anew = not self._take_over(file)
        try:
            got = self._fill(file, anew=anew)
            if self._fits(got):
                return got
            wrong: StorageError = self._wrong(got)
            if not self._joined:
                raise wrong
        except (TruncatedError, DigestError):
            raise
        except (IntegrityError, RangeError) as error:
            wrong = error
        _log.warning("%s; it begins anew", wrong)
        got = self._fill(file, anew=True)
        if not self._fits(got):
            raise self._wrong(got)
        return got

    def _fits(self, got: str) -> bool:
        return self._expected in (None, got)

    @property
    def _expected(self) -> str | None:
        """What it must hash to; the catalog's word counts, and then the origin's."""
        return self._wanted.value or self._promised

    def _take_over(self, file: HashedFile) -> bool:
        """Take over what an earlier process left of the same origin; tell whether there is any."""
        state = self._partial.state() if self._wanted.value is not None else None
        if state is None or state.url != self._origin.url:
            return False
        file.take_over()
        if state.size_bytes is not None and file.size_bytes > state.size_bytes:
            return False
        self._version, self._farthest = state.version, file.size_bytes
        self._joined = True
        return True

    def _fill(self, file: HashedFile, *, anew: bool = False) -> str:
        state = self._partial.state()
        if anew:
            self._version, self._promised, self._farthest = None, None, 0
        elif state is not None and state.size_bytes == file.size_bytes:
            return file.hexdigest()
        while True:
            # Outside: what refuses to open has been tried again by the origin itself.
            reply = self._open(file)
            try:
                self._receive(reply, file)
                return file.hexdigest()
            except RETRYABLE as error:
                self._attempts.failed(error)

    def _receive(self, reply: Reply, file: HashedFile) -> None:
        size = reply.size_bytes
        try:
            if size is not None:
                self._check_space(size, file.size_bytes)

            def readinto(buffer: memoryview) -> int:
                with _as_origins(self._origin):
                    return reply.readinto(buffer)

            file.receive(readinto, lambda done: self._moved(done, size))
        finally:
            reply.close()
        if size is not None and file.size_bytes != size:
            raise self._cut(size, file.size_bytes)

    def _open(self, file: HashedFile) -> Reply:
        """Open the reply that goes on where the file ends, else one that begins anew."""
        is_checked = self._expected is not None
        can_join = self._version is not None and (is_checked or not self._checks_itself)
        start = file.size_bytes if can_join else 0
        reply = self._ask(start)
        if start and reply.start == start and reply.version == self._version:
            self._joined = True
            return reply
        if reply.start:
            reply.close()
            reply = self._ask(0)
        if reply.start:
            reply.close()
            raise IntegrityError(
                f"GET {self._origin.url}: asked for all, it answers from byte {reply.start} on",
                url=self._origin.url,
            )
        self._begin(file, reply)
        return reply

    def _ask(self, start: int) -> Reply:
        with _as_origins(self._origin):
            return self._origin.open(start)

    def _begin(self, file: HashedFile, reply: Reply) -> None:
        file.restart()
        self._joined = False
        self._version, self._promised = reply.version, reply.sha256
        self._checks_itself = reply.checks_itself
        usable = reply.version is not None and self._wanted.value is not None
        self._partial.note(
            State(self._origin.url, reply.version or "", reply.size_bytes) if usable else None
        )

    def _moved(self, done: int, size: int | None) -> None:
        # Only what is new counts: a server that cuts each reply in the middle must be given up.
        if done >= self._farthest + _RENEWED_BY_BYTES:
            self._farthest = done
            self._attempts.renew()
        if self._show:
            self._show(done, size)

    def _check_space(self, size: int, there: int) -> None:
        usage = shutil.disk_usage(self._partial.target.parent)
        # Some network file systems know no sizes.
        if usage.total and usage.free < size - there:
            why = f"{size - there:,} bytes are needed, {usage.free:,} are free"
            raise NoSpaceError(*self._no_space(errno.ENOSPC, why))

    def _no_space(self, number: int, why: str) -> tuple[int, str, str]:
        advice = "make room (aisio cache prune) or take another folder"
        target = str(self._partial.target)
        return number, f"{os.strerror(number)}: {why}; {advice}", target

    def _cut(self, expected: int, got: int) -> TruncatedError:
        url = self._origin.url
        return TruncatedError(
            f"GET {url}: cut short: expected {expected:,} bytes, got {got:,}", url=url
        )

    def _wrong(self, got: str) -> DigestError:
        wanted, url = self._wanted, self._origin.url
        if wanted.value is not None:
            cause = f"Either {url} has changed, or the catalog is wrong"
        else:
            cause = f"It is what {url} itself promises: try again later"
        return DigestError(
            f"{wanted.algorithm.upper()} hash of downloaded file ({self._partial.target.name}) "
            f"does not match the known hash: expected {self._expected} but got {got}. Nothing of "
            f"it was kept. {cause}",
            url=url,
        )


@contextmanager
def _as_origins(origin: Origin) -> Iterator[None]:
    """Tell what a file system says of an origin, as NFS may, from what it says of the target."""
    try:
        yield
    except AisioError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"GET {origin.url}: {error.strerror or error}", url=origin.url
        ) from error
