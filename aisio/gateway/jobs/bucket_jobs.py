"""Jobs on whole buckets: copy, rename, and the summary of a bucket's contents."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from aisio.gateway.http.bodies import bucket_entry, bucket_props, json_body
from aisio.gateway.http.exchange import ActionMessage, Exchange, decode_message
from aisio.gateway.http.responses import TEXT, make_response
from aisio.gateway.jobs.groups import apply_to_each, copy_action, names_with_prefix, renaming
from aisio.gateway.jobs.job import Job, JobSpec, JobState
from aisio.gateway.jobs.jobs import Jobs
from aisio.gateway.protocol.bucket_props import check_copies
from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, check_prefix, parse_uname
from aisio.gateway.storage.bucket_folders import (
    bucket_already_exists,
    ensure_bucket,
    is_name_taken,
    rename_bucket,
)
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.multipart_uploads import MultipartUploads
from aisio.gateway.storage.status_reader import StatusReader
from aisio.gateway.storage.walk import DirectoryReader, Walk

_BLOCK_BYTES = 512


class CopyMessage(msgspec.Struct):
    """How to copy a bucket: AIStore's TCBMsg, without what has no meaning for a folder."""

    prefix: str | None = ""
    prepend: str | None = ""
    extensions: dict[str, str] | None = msgspec.field(name="ext", default=None)
    dry_run: bool | None = False


class SummaryMessage(msgspec.Struct):
    """What to summarize, and the id of the job that already does so."""

    uuid: str | None = ""
    prefix: str | None = ""


class BucketJobs:
    """Jobs on whole buckets, over HTTP.

    Args:
        folder: The served folder.
        directories: Its directories' contents.
        jobs: Runs the jobs.
        uploads: The multipart uploads to the buckets.
    """

    def __init__(
        self,
        folder: Folder,
        directories: DirectoryReader,
        jobs: Jobs,
        uploads: MultipartUploads,
    ) -> None:
        self._folder = folder
        self._directories = directories
        self._jobs = jobs
        self._uploads = uploads

    async def copy(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Copy a bucket's objects to another bucket, which is created if it does not exist."""
        source, destination = self._source_and_destination(exchange)
        self._folder.require_access(source)
        wanted = decode_message(message.value, CopyMessage)
        if source == destination:
            raise Refusal(400, f'cannot copy-bck bucket "{source.url}" onto itself')
        prefix = check_prefix(wanted.prefix or "")
        if not wanted.dry_run:
            ensure_bucket(self._folder, destination)
        rename = renaming(wanted.prepend or "", wanted.extensions or {})
        copy = copy_action(self._folder, source, destination, rename, dry_run=bool(wanted.dry_run))

        def work(job: Job) -> None:
            names = names_with_prefix(self._folder, self._directories, source, prefix)
            apply_to_each(job, names, copy, continue_on_error=True)

        summary = f"cp {source.url}=>{destination.url}"
        job = self._jobs.start(JobSpec(message.action, source, destination, message=summary), work)
        return make_response(job.id.encode(), content_type=TEXT)

    async def rename(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Rename a bucket."""
        source, destination = self._source_and_destination(exchange)
        self._folder.require_access(source, "MOVE-BUCKET")
        if source == destination:
            raise Refusal(
                400, f'cannot rename bucket "{source.url}" to itself ("{destination.url}")'
            )
        if is_name_taken(self._folder, destination):
            raise bucket_already_exists(destination, 400)

        def work(job: Job) -> None:
            rename_bucket(self._folder, source, destination)
            self._uploads.drop_bucket(source)

        job = self._jobs.start(JobSpec(message.action, source, destination), work)
        return make_response(job.id.encode(), content_type=TEXT)

    async def make_copies(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Start a job that finds nothing to do: each object has its one copy already."""
        bucket = exchange.target.bucket
        self._folder.require_writable()
        self._folder.bucket_path(bucket)
        self._folder.require_access(bucket)
        check_copies(decode_json(message.value, int, what=message.action, strict=False))
        job = self._jobs.start(JobSpec(message.action, bucket), lambda job: None)
        return make_response(job.id.encode(), content_type=TEXT)

    async def summary(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Start to summarize a bucket, or send the summary of a job."""
        bucket = exchange.target.bucket
        self._folder.bucket_path(bucket)
        wanted = decode_message(message.value, SummaryMessage)
        if not wanted.uuid:
            job = self._start_summary(bucket, check_prefix(wanted.prefix or ""))
            return make_response(job.id.encode(), status=202, content_type=TEXT)
        summary = self._find_summary(bucket, wanted.uuid)
        if summary is None:
            raise Refusal(400, f'summary-bck: invalid UUID "{wanted.uuid}"')
        if summary.state is JobState.RUNNING:
            return make_response(summary.id.encode(), status=202, content_type=TEXT)
        return make_response(json_body([_result(summary)]), content_type=TEXT)

    async def info(self, exchange: Exchange) -> web.StreamResponse:
        """Send a bucket's properties; start to summarize it, or send the summary of a job."""
        bucket, parts = exchange.target.bucket, exchange.target.parts
        status = self._folder.bucket_status(bucket)
        uuid = exchange.target.query.get("uuid")
        prefix = check_prefix(parts[2]) if len(parts) > 2 else ""
        job = self._find_summary(bucket, uuid) if uuid else self._start_summary(bucket, prefix)
        if job is None:
            raise Refusal(500, f'invalid xaction (job) UUID "{uuid}"')
        headers = [
            ("Ais-Bucket-Props", bucket_props(self._folder.metadata.props(bucket), status)),
            ("Ais-Xaction-Id", job.id),
        ]
        if not uuid or job.state is JobState.RUNNING:
            return make_response(status=202, headers=headers)
        summary = msgspec.json.encode(_result(job) | {"is_present": True}).decode()
        return make_response(headers=[*headers, ("Ais-Bucket-Summ", summary)])

    def _source_and_destination(self, exchange: Exchange) -> tuple[BucketName, BucketName]:
        self._folder.require_writable()
        source = exchange.target.bucket
        self._folder.bucket_path(source)
        destination = exchange.target.query.get("bck_to")
        if not destination:
            raise Refusal(400, 'missing "bck_to" query parameter')
        return source, parse_uname(destination)[0]

    def _start_summary(self, bucket: BucketName, prefix: str) -> Job:
        def work(job: Job) -> None:
            job.result = self._summarize(job, bucket, prefix)

        return self._jobs.start(JobSpec("summary-bck", bucket), work)

    def _find_summary(self, bucket: BucketName, uuid: str) -> Job | None:
        job = self._jobs.find(uuid)
        if job is None or (job.spec.kind, job.spec.bucket) != ("summary-bck", bucket):
            return None
        return job

    def _summarize(self, job: Job, bucket: BucketName, prefix: str) -> dict[str, Any]:
        root = self._folder.bucket_path(bucket)
        walk = Walk(self._directories, prefix, "", recursive=True)
        totals = _Totals()
        with StatusReader(self._folder.opener) as statuses:
            for item in walk.below(root):
                job.check()
                status = statuses.read(item.path or "")
                if status is not None:
                    totals.add(status)
                    job.count(status.st_size)
        disk_bytes = shutil.disk_usage(f"{self._folder.root}/{root}").total
        return bucket_entry(bucket) | totals.summary(disk_bytes)


@dataclass
class _Totals:
    """What is in a bucket.

    Attributes:
        count: How many objects.
        size_bytes: How many bytes these have.
        on_disk_bytes: How many bytes these take on the disk.
        min_bytes: The size of the smallest one.
        max_bytes: The size of the largest one.
    """

    count: int = 0
    size_bytes: int = 0
    on_disk_bytes: int = 0
    min_bytes: int = 1 << 62
    max_bytes: int = 0

    def add(self, status: os.stat_result) -> None:
        """Count an object."""
        self.count += 1
        self.size_bytes += status.st_size
        self.on_disk_bytes += status.st_blocks * _BLOCK_BYTES
        self.min_bytes = min(self.min_bytes, status.st_size)
        self.max_bytes = max(self.max_bytes, status.st_size)

    def summary(self, disk_bytes: int) -> dict[str, Any]:
        """Return the totals as AIStore writes them."""
        return {
            "ObjCount": {"obj_count_present": str(self.count), "obj_count_remote": "0"},
            "ObjSize": {
                "obj_min_size": self.min_bytes if self.count else 0,
                "obj_avg_size": self.size_bytes // self.count if self.count else 0,
                "obj_max_size": self.max_bytes,
            },
            "TotalSize": {
                "size_on_disk": str(self.on_disk_bytes),
                "size_all_present_objs": str(self.size_bytes),
                "size_all_remote_objs": "0",
                "total_disks_size": str(disk_bytes),
            },
            "used_pct": self.on_disk_bytes * 100 // disk_bytes,
            "is_present": False,
        }


def _result(job: Job) -> dict[str, Any]:
    """Return the summary that a finished job has made.

    Raises:
        Refusal: The job has failed.
    """
    if job.result is None:
        raise Refusal(500, job.error)
    summary: dict[str, Any] = job.result
    return summary
