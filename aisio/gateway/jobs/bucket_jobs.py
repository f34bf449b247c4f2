"""Jobs about whole buckets: copy, rename, and the summary of what is in one."""

from __future__ import annotations

import shutil
from typing import Any

import msgspec
from aiohttp import web

from aisio.gateway.http.exchange import (
    ActionMessage,
    Exchange,
    decode_message,
    reply,
)
from aisio.gateway.http.replies import (
    TEXT,
    bucket_entry,
    bucket_props,
    json_body,
)
from aisio.gateway.jobs.groups import (
    copier,
    each,
    namer,
    names_below,
)
from aisio.gateway.jobs.jobs import Job, Jobs
from aisio.gateway.protocol.bucket_props import check_copies
from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, check_prefix, parse_uname
from aisio.gateway.storage.bucket_folders import (
    bucket_exists,
    ensure_bucket,
    has_name,
    rename_bucket,
)
from aisio.gateway.storage.file_statuses import Statuses
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.walk import Directories, Walk

_BLOCK_BYTES = 512


class CopyMessage(msgspec.Struct):
    """How to copy a bucket: AIStore's TCBMsg, less what has no meaning for a folder."""

    prefix: str | None = ""
    prepend: str | None = ""
    extensions: dict[str, str] | None = msgspec.field(name="ext", default=None)
    dry_run: bool | None = False


class SummaryMessage(msgspec.Struct):
    """What to sum up, and which job does so already."""

    uuid: str | None = ""
    prefix: str | None = ""


class BucketJobs:
    """Jobs about whole buckets, over HTTP.

    Args:
        folder: The served folder.
        directories: Its folders' contents.
        jobs: Where the work is done.
    """

    def __init__(self, folder: Folder, directories: Directories, jobs: Jobs) -> None:
        self._folder = folder
        self._directories = directories
        self._jobs = jobs

    async def copy(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Copy a bucket's objects to another one, which is made if it is not there."""
        source, target = self._pair(exchange)
        self._folder.require_access(source)
        wanted = decode_message(message.value, CopyMessage)
        if source == target:
            raise Refusal(400, f'cannot copy-bck bucket "{source.url}" onto itself')
        prefix = check_prefix(wanted.prefix or "")
        if not wanted.dry_run:
            ensure_bucket(self._folder, target)
        new_name = namer(wanted.prepend or "", wanted.extensions or {})
        copy = copier(self._folder, source, target, new_name, dry_run=bool(wanted.dry_run))

        def work(job: Job) -> None:
            names = names_below(self._folder, self._directories, source, prefix)
            each(job, names, copy, goes_on=True)

        told = f"cp {source.url}=>{target.url}"
        job = self._jobs.start(message.action, work, bucket=source, target=target, message=told)
        return reply(job.id.encode(), kind=TEXT)

    async def rename(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Give a bucket another name."""
        source, target = self._pair(exchange)
        self._folder.require_access(source, "MOVE-BUCKET")
        if source == target:
            raise Refusal(400, f'cannot rename bucket "{source.url}" to itself ("{target.url}")')
        if has_name(self._folder, target):
            raise bucket_exists(target, 400)

        def work(job: Job) -> None:
            rename_bucket(self._folder, source, target)

        job = self._jobs.start(message.action, work, bucket=source, target=target)
        return reply(job.id.encode(), kind=TEXT)

    async def make_copies(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Have one copy of each object, as there is; a job that finds nothing to do."""
        bucket = exchange.target.bucket
        self._folder.require_writable()
        self._folder.bucket_path(bucket)
        self._folder.require_access(bucket)
        check_copies(decode_json(message.value, int, what=message.action, strict=False))
        job = self._jobs.start(message.action, lambda job: None, bucket=bucket)
        return reply(job.id.encode(), kind=TEXT)

    async def summary(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Begin to sum up a bucket, or tell what is known by now."""
        bucket = exchange.target.bucket
        self._folder.bucket_path(bucket)
        wanted = decode_message(message.value, SummaryMessage)
        if not wanted.uuid:
            job = self._sum_up(bucket, check_prefix(wanted.prefix or ""))
            return reply(job.id.encode(), status=202, kind=TEXT)
        found = self._summing(bucket, wanted.uuid)
        if found is None:
            raise Refusal(400, f'summary-bck: invalid UUID "{wanted.uuid}"')
        if not found.done_ns:
            return reply(found.id.encode(), status=202, kind=TEXT)
        return reply(json_body([_finished(found)]), kind=TEXT)

    async def info(self, exchange: Exchange) -> web.StreamResponse:
        """Send a bucket's properties, and begin to sum it up or tell what is known by now."""
        bucket, parts = exchange.target.bucket, exchange.target.parts
        status = self._folder.bucket_status(bucket)
        uuid = exchange.target.query.get("uuid")
        prefix = check_prefix(parts[2]) if len(parts) > 2 else ""
        job = self._summing(bucket, uuid) if uuid else self._sum_up(bucket, prefix)
        if job is None:
            raise Refusal(500, f'invalid xaction (job) UUID "{uuid}"')
        headers = [
            ("Ais-Bucket-Props", bucket_props(self._folder.metadata.props(bucket), status)),
            ("Ais-Xaction-Id", job.id),
        ]
        if not uuid or not job.done_ns:
            return reply(status=202, headers=headers)
        found = msgspec.json.encode(_finished(job) | {"is_present": True}).decode()
        return reply(headers=[*headers, ("Ais-Bucket-Summ", found)])

    def _pair(self, exchange: Exchange) -> tuple[BucketName, BucketName]:
        self._folder.require_writable()
        source = exchange.target.bucket
        self._folder.bucket_path(source)
        target = exchange.target.query.get("bck_to")
        if not target:
            raise Refusal(400, 'missing "bck_to" query parameter')
        return source, parse_uname(target)[0]

    def _sum_up(self, bucket: BucketName, prefix: str) -> Job:
        def work(job: Job) -> None:
            job.result = self._summarize(job, bucket, prefix)

        return self._jobs.start("summary-bck", work, bucket=bucket)

    def _summing(self, bucket: BucketName, uuid: str) -> Job | None:
        job = self._jobs.find(uuid)
        is_it = job is not None and (job.kind, job.bucket) == ("summary-bck", bucket)
        return job if is_it else None

    def _summarize(self, job: Job, bucket: BucketName, prefix: str) -> dict[str, Any]:
        root = self._folder.bucket_path(bucket)
        count, total, on_disk, least, most = 0, 0, 0, 1 << 62, 0
        walk = Walk(self._directories, prefix, "", recursive=True)
        with Statuses(self._folder.beneath) as statuses:
            for found in walk.below(root):
                job.check()
                status = statuses.of(found.path or "")
                if status is None:
                    continue
                size = status.st_size
                count, total, on_disk = count + 1, total + size, on_disk + status.st_blocks
                least, most = min(least, size), max(most, size)
                job.count(size)
        disk = shutil.disk_usage(f"{self._folder.root}/{root}")
        return bucket_entry(bucket) | {
            "ObjCount": {"obj_count_present": str(count), "obj_count_remote": "0"},
            "ObjSize": {
                "obj_min_size": least if count else 0,
                "obj_avg_size": total // count if count else 0,
                "obj_max_size": most,
            },
            "TotalSize": {
                "size_on_disk": str(on_disk * _BLOCK_BYTES),
                "size_all_present_objs": str(total),
                "size_all_remote_objs": "0",
                "total_disks_size": str(disk.total),
            },
            "used_pct": on_disk * _BLOCK_BYTES * 100 // disk.total,
            "is_present": False,
        }


def _finished(job: Job) -> dict[str, Any]:
    if job.result is None:
        raise Refusal(500, job.error)
    found: dict[str, Any] = job.result
    return found
