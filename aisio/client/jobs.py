"""Jobs of a cluster: start one, and wait until it has finished.

A job is work that a cluster does in the background: deleting a list of objects, copying or renaming
a bucket. AIStore keeps of each node only the last error of a job, so that its report does not name
all objects that failed. Callers find these by a listing.
"""

from __future__ import annotations

from typing import Any

from aisio.client.session import Session
from aisio.errors import ConflictError, StorageError
from aisio.urls import ObjectUrl
from aisio.wire import messages
from aisio.wire.jobs import JobReport, parse_job_reports, uname

__all__ = ["job_report", "start_job", "wait_for_job"]

_FIRST_WAIT_S = 0.02
_LONGEST_WAIT_S = 1.0
_OTHER_JOB_S = 60.0
"""How long another job may keep the bucket. One of AIStore stays for 13 s after its last object."""

_CANNOT_COEXIST = "concurrently"
"""In the error of a job that has to wait for another one ("ErrLimitedCoexistence")."""


def start_job(
    session: Session,
    method: str,
    bucket: ObjectUrl,
    action: dict[str, Any],
    *,
    to: ObjectUrl | None = None,
    safe: bool = False,
) -> str:
    """Start a job on a bucket and return its id; wait where another job of the bucket excludes it.

    Args:
        session: Sends the requests.
        method: HTTP method.
        bucket: The bucket.
        action: The action message.
        to: The bucket that it writes to.
        safe: Whether the message may be sent again after a lost response.

    Raises:
        NotFoundError: No such bucket.
        ConflictError: Another job works on the bucket for a minute and longer.
    """
    query = dict(messages.bucket_query(bucket)) | ({"bck_to": uname(to)} if to else {})
    about = f"{action['action']} {bucket.root}"
    waiter, wait_s = session.waiter, _FIRST_WAIT_S
    give_up_at = waiter.now() + _OTHER_JOB_S
    path = messages.bucket_path(bucket.bucket)
    while True:
        try:
            response = session.call(
                method, path, query=query, message=action, about=about, safe=safe
            )
        except ConflictError as error:
            if _CANNOT_COEXIST not in str(error) or waiter.now() > give_up_at:
                raise
            waiter.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            continue
        return response.body.decode("utf-8", "replace").strip()


def wait_for_job(session: Session, job_id: str, about: str) -> JobReport:
    """Wait until a job has finished, however long that takes, and return the last report.

    Args:
        session: Sends the requests.
        job_id: The job.
        about: What it is for, for errors.

    Raises:
        StorageError: The cluster cannot be asked, or knows no such job.
    """
    wait_s = _FIRST_WAIT_S
    while not (report := job_report(session, job_id, about)).is_finished:
        session.waiter.wait(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
    return report


def job_report(session: Session, job_id: str, about: str) -> JobReport:
    """Ask the nodes of the cluster for their reports of a job.

    Raises:
        StorageError: The cluster cannot be asked, or knows no such job.
    """
    if not job_id:
        raise StorageError(f"{about}: the cluster started no job: its reply has no id")
    response = session.call(
        "GET",
        "/v1/cluster",
        query={"what": "qryxstats"},
        message={"id": job_id},
        about=f"{about} (job {job_id})",
    )
    return parse_job_reports(response.body, about)
