"""Delete many objects of a bucket, and account for each name.

AIStore deletes a list of names in one job. The job's report has a count, and of each node the last
error alone: it does not say which names did not exist. So aisio finds out first which of the names
exist. It lists the stretch of the bucket in which the names lie. Where that stretch holds far more
other names, and for a few names, each object is deleted by a request of its own, whose response
says whether it existed.

A job that has counted fewer objects than it was given is followed by a request for each of them:
those that still exist are the failed ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from aisio.client.jobs import start_job, wait_for_job
from aisio.client.listing import list_bucket
from aisio.client.object import Object
from aisio.client.session import Session
from aisio.errors import StorageError
from aisio.records import Deleted, ObjectInfo
from aisio.transport.concurrency.delete_each import delete_each
from aisio.urls import ObjectUrl
from aisio.wire import messages

__all__ = ["delete_listed", "delete_names"]

_JOB_NAMES = 10_000
"""Names of one job: its message is then about 1 MB."""

_FEW_NAMES = 100
"""So many objects are deleted one by one: that takes fewer round trips than a listing and a job."""

_LISTED_PER_NAME = 10


def delete_names(session: Session, bucket: ObjectUrl, names: Iterable[str]) -> Deleted:
    """Delete the objects of these names; see `Bucket.delete_many`.

    Args:
        session: Sends the requests.
        bucket: The bucket.
        names: Names of objects, each at most once.

    Raises:
        StorageError: Objects could not be deleted; the text names the first of them.
    """
    deletion, names = _Deletion(session, bucket), iter(names)
    missing: list[str] = []
    while batch := list(islice(names, _JOB_NAMES)):
        existing = deletion.existing(batch)
        if existing is None:
            missing += deletion.one_by_one(batch)
        else:
            deletion.by_job([name for name in batch if name in existing])
            missing += [name for name in batch if name not in existing]
    return Deleted(deletion.count, tuple(missing))


def delete_listed(session: Session, bucket: ObjectUrl, prefix: str) -> Deleted:
    """Delete the objects whose names begin with a prefix, as listed; see `delete_names`."""
    deletion = _Deletion(session, bucket)
    # A listing goes on after the last name it has sent, whether or not that still exists.
    infos = deletion.list(prefix)
    while batch := [info.name for info in islice(infos, _JOB_NAMES)]:
        deletion.by_job(batch)
    return Deleted(deletion.count)


class _Deletion:
    """Deletes objects of one bucket.

    Args:
        session: Sends the requests.
        bucket: The bucket.

    Attributes:
        count: How many objects were deleted.
    """

    def __init__(self, session: Session, bucket: ObjectUrl) -> None:
        self._session = session
        self._bucket = bucket
        self.count = 0

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List the names that begin with a prefix."""
        return list_bucket(
            self._session,
            self._bucket,
            lambda name: self._object(name).exists(),
            prefix=prefix,
            props="name",
            start_after="",
            page_size=0,
            recursive=True,
        )

    def existing(self, batch: Sequence[str]) -> set[str] | None:
        """Return the names of a batch that exist; None where listing them would take too long."""
        if len(batch) <= _FEW_NAMES:
            return None
        wanted, last = set(batch), max(name.encode() for name in batch)
        existing = set()
        prefix = os.path.commonprefix(batch)  # noqa: RUF071 - a prefix of names, not of folders
        for number, info in enumerate(self.list(prefix)):
            if info.name.encode() > last:
                break
            if number > _LISTED_PER_NAME * len(batch):
                return None
            if info.name in wanted:
                existing.add(info.name)
        return existing

    def one_by_one(self, names: Sequence[str]) -> tuple[str, ...]:
        """Delete objects by a request each; return the names that did not exist."""
        deleted = delete_each(
            lambda name: self._object(name).delete(),
            self._bucket.root,
            names,
            is_missing=self._require_bucket,
            deleted_before=self.count,
        )
        self.count += deleted.count
        return deleted.missing

    def by_job(self, names: Sequence[str]) -> None:
        """Delete objects that exist; those that others delete meanwhile count as deleted.

        Raises:
            StorageError: Some of them still exist.
        """
        if len(names) <= _FEW_NAMES:  # AIStore would take an empty list for all objects
            deleted_by_others = self.one_by_one(names)
            self.count += len(deleted_by_others)
            return
        action = messages.action("delete-listrange", {"objnames": list(names)})
        about = f"delete {len(names):,} objects of {self._bucket.root}"
        job = start_job(self._session, "DELETE", self._bucket, action, safe=True)
        report = wait_for_job(self._session, job, about)
        if report.objects != len(names) or report.errors:
            self._require_deleted(names, "; ".join(report.errors))
        self.count += len(names)

    def _require_deleted(self, names: Sequence[str], reason: str) -> None:
        def require_deleted(name: str) -> None:
            if self._object(name).exists():
                raise StorageError(
                    f"{self._bucket.root}/{name} still exists: "
                    f"{reason or 'the cluster says no reason'}"
                )

        delete_each(require_deleted, self._bucket.root, names, deleted_before=self.count)

    def _require_bucket(self) -> None:
        path = messages.bucket_path(self._bucket.bucket)
        query = messages.bucket_query(self._bucket)
        self._session.call("HEAD", path, query=query, about=self._bucket.root)

    def _object(self, name: str) -> Object:
        return Object(self._session, self._bucket.with_name(name))
