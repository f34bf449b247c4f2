"""Copy and rename objects and buckets inside a cluster: no byte comes to this process.

An object is copied by one request, whose response says that it is done. A bucket is copied by a
job. AIStore keeps of each node only the last error of a job, and a job may end without some of the
objects: where names collide (`a` and `a/b`), and where a node left. So aisio lists both buckets
before and after, compares size and checksum, and copies by requests of their own what the job did
not: that either repairs it, or says of each object why not.

A job of AIStore 5.0 that copies a bucket stays for 13 s after its last object. aisio returns as
soon as the listings agree. Buckets of a few objects are copied without a job.

Renaming a bucket is a copy followed by the removal of the old one, also of what could not be
copied. AIStore 5.0 loses `a/b` beside `a` that way; so aisio refuses to rename such a bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from aisio.client.jobs import job_report, start_job, wait_for_job
from aisio.client.listing import list_bucket
from aisio.client.object import Object
from aisio.client.session import Session
from aisio.errors import ConfigError, ConflictError, IntegrityError, NotFoundError, StorageError
from aisio.records import ObjectInfo, may_be_same_object
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.urls import ObjectUrl
from aisio.wire import messages

__all__ = ["copy_bucket", "rename_bucket"]

_FEW_OBJECTS = 500
"""So many objects are copied one by one, which takes less time than a job."""

_MAX_REPAIRED = 10_000
"""Where a job has left out more objects, it did not work at all."""

_SHOWN_NAMES = 5
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 1.0
_PROPS = "name,size,checksum"


def copy_bucket(
    session: Session, source: ObjectUrl, to: ObjectUrl, *, prefix: str, prepend: str
) -> None:
    """Copy the objects of a bucket to another one; see `Bucket.copy`.

    Args:
        session: Sends the requests.
        source: The bucket.
        to: The other bucket.
        prefix: Only objects whose names begin so.
        prepend: What the copies' names have in front.
    """
    copy = _BucketCopy(session, source, to, prefix, prepend)
    # In one bucket the copies may have names that are to be copied: a job would copy these too.
    max_listed = None if source == to else _FEW_OBJECTS + 1
    first = list(islice(copy.objects(), max_listed))
    if not first and prefix:
        raise NotFoundError(f"copy {source.root}: no name begins with {prefix!r}", url=source.root)
    if len(first) <= _FEW_OBJECTS or source == to:
        _create(session, to)
        copy.copy_each(first)
        return
    errors = copy.run_job()
    if errors is None:
        return
    not_copied = list(islice(copy.differing(), _MAX_REPAIRED + 1))
    if len(not_copied) > _MAX_REPAIRED:
        raise StorageError(
            f"copy {source.root} to {to.root}: the job left out {not_copied[0].name} and more than "
            f"{_MAX_REPAIRED:,} others: {'; '.join(errors) or 'the cluster says no reason'}",
            url=source.root,
        )
    copy.copy_each(not_copied)


class _BucketCopy:
    """A copy of a bucket; the arguments are those of `copy_bucket`."""

    def __init__(
        self, session: Session, source: ObjectUrl, to: ObjectUrl, prefix: str, prepend: str
    ) -> None:
        self._session = session
        self._source = source
        self._to = to
        self._prefix = prefix
        self._prepend = prepend
        self._about = f"copy {source.root} to {to.root}"

    def objects(self) -> Iterator[ObjectInfo]:
        """List what is to be copied."""
        return _list(self._session, self._source, self._prefix)

    def differing(self) -> Iterator[ObjectInfo]:
        """Yield the objects that have no copy of their size and checksum."""
        copies = _list(self._session, self._to, self._prepend + self._prefix)
        copy = next(copies, None)
        for info in self.objects():  # prepending keeps the order of names
            name = self._prepend + info.name
            while copy is not None and copy.name.encode() < name.encode():
                copy = next(copies, None)
            if copy is None or copy.name != name or not may_be_same_object(info, copy):
                yield info

    def run_job(self) -> tuple[str, ...] | None:
        """Have the cluster copy; return the errors of its nodes when the job has finished.

        Returns None as soon as the job makes no progress and all is copied.
        """
        options = {"prefix": self._prefix, "prepend": self._prepend}
        action = messages.action("copy-bck", options)
        job = start_job(self._session, "POST", self._source, action, to=self._to, safe=True)
        before = compared = -1
        wait_s = _FIRST_WAIT_S
        while not (report := job_report(self._session, job, self._about)).is_finished:
            if report.objects == before != compared:
                compared = before
                if next(self.differing(), None) is None:
                    return None
            before = report.objects
            self._session.waiter.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        return report.errors

    def copy_each(self, infos: Iterable[ObjectInfo]) -> None:
        """Copy objects by a request each.

        Raises:
            StorageError: Objects could not be copied; it has the class of the first one's error.
        """
        results = fetch_in_order(infos, self._copy, result_bytes=lambda _: 1)
        failed = [(info, error) for info, error in results if error is not None]
        if not failed:
            return
        shown = ", ".join(info.name for info, _ in failed[:_SHOWN_NAMES])
        more = ", ..." if len(failed) > _SHOWN_NAMES else ""
        first = failed[0][1]
        raise type(first)(
            f"{self._about}: objects that could not be copied: {len(failed):,} ({shown}{more}): "
            f"{first}",
            url=self._source.root,
            status=first.status,
        ) from first

    def _copy(self, info: ObjectInfo) -> tuple[ObjectInfo, StorageError | None]:
        to = self._to.with_name(self._prepend + info.name)
        try:
            Object(self._session, self._source.with_name(info.name)).copy(to, listed=info)
        except StorageError as error:
            return info, error
        return info, None


def rename_bucket(session: Session, source: ObjectUrl, to: ObjectUrl) -> None:
    """Rename a bucket; see `Bucket.rename`."""
    before = _totals(_refuse_nested_names(_list(session, source, "")))
    job = start_job(session, "POST", source, messages.action("move-bck"), to=to)
    about = f"rename {source.root} to {to.root}"
    report = wait_for_job(session, job, about)
    after = _totals(_list(session, to, ""))
    if after < before or report.is_aborted:
        reasons = "; ".join(report.errors) or "the cluster says no reason"
        raise IntegrityError(
            f"{about}: {before[0]:,} objects of {before[1]:,} bytes were to be moved, {after[0]:,} "
            f"of {after[1]:,} bytes are there: {reasons}",
            url=to.root,
        )


def _refuse_nested_names(infos: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
    """Yield a listing through.

    Raises:
        ConfigError: The name of an object is that of a folder with another object.
    """
    above: list[ObjectInfo] = []  # whose names the present one begins with
    for info in infos:
        while above and not info.name.startswith(above[-1].name):
            above.pop()
        for other in above:
            if info.name.startswith(f"{other.name}/"):
                raise ConfigError(
                    f"rename {info.root}: it has an object {other.name!r} and an object "
                    f"{info.name!r}: AIStore would lose one of them. Rename one of the two first"
                )
        above.append(info)
        yield info


def _totals(infos: Iterable[ObjectInfo]) -> tuple[int, int]:
    count = size_bytes = 0
    for info in infos:
        count += 1
        size_bytes += info.size_bytes or 0
    return count, size_bytes


def _create(session: Session, bucket: ObjectUrl) -> None:
    """Create a bucket unless it exists, as a job that copies to it would."""
    path, query = messages.bucket_path(bucket.bucket), messages.bucket_query(bucket)
    try:
        session.call("HEAD", path, query=query, about=bucket.root)
    except NotFoundError:
        action = messages.action("create-bck")
        with suppress(ConflictError):
            session.call("POST", path, query=query, message=action, about=bucket.root)


def _list(session: Session, bucket: ObjectUrl, prefix: str) -> Iterator[ObjectInfo]:
    return list_bucket(
        session,
        bucket,
        lambda name: Object(session, bucket.with_name(name)).exists(),
        prefix=prefix,
        props=_PROPS if bucket.provider == "ais" else "name,size",
        start_after="",
        page_size=0,
        recursive=True,
    )
