"""Promote: files of the gateway's own machine become objects.

As on a cluster, only files below one folder can: any other client could read whatever the gateway
can, and delete it. Links are passed over, and a way that leads out of that folder is refused.

Source:
    AIStore 5.0, api/apc/promote.go, and replies of a live cluster.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
from aiohttp import web

from aisio.gateway.exchange import ActionMessage, Exchange, reply
from aisio.gateway.folder import Folder
from aisio.gateway.jobs import Job, Jobs
from aisio.gateway.names import BucketName, check_name, check_prefix
from aisio.gateway.refusals import Refusal
from aisio.gateway.replies import TEXT, Cluster

SYNCHRONOUS_FILES = 16
"""Up to so many are promoted before the answer, more in the background."""

_COPY_BYTES = 1 << 20


class PromoteMessage(msgspec.Struct):
    """What to promote, and how."""

    target_id: str | None = msgspec.field(name="tid", default="")
    source: str | None = msgspec.field(name="src", default="")
    name: str | None = msgspec.field(name="obj", default="")
    recursive: bool | None = msgspec.field(name="rcr", default=False)
    overwrite: bool | None = msgspec.field(name="ovw", default=False)
    delete: bool | None = msgspec.field(name="dls", default=False)


class Promotions:
    """Promotes files, over HTTP.

    Args:
        folder: The served folder.
        cluster: The names that the gateway goes by.
        jobs: Where work in the background is done.
        root: The folder that holds what may be promoted.
    """

    def __init__(self, folder: Folder, cluster: Cluster, jobs: Jobs, root: str) -> None:
        self._folder = folder
        self._cluster = cluster
        self._jobs = jobs
        self._root = root.rstrip("/")

    async def promote(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Promote a file, or those of a folder; many of them as a job, whose id is the answer."""
        bucket = exchange.target.bucket
        self._folder.require_writable()
        self._folder.require_access(bucket, "PROMOTE")
        self._folder.bucket_path(bucket)
        wanted = _read(message)
        source = self._source(message.name, wanted.source or "")
        prefix = check_prefix(wanted.name or "")
        if wanted.target_id and wanted.target_id != self._cluster.target_id:
            told = f"promote failure: node {wanted.target_id} not present in Smap v1"
            raise Refusal(400, f"p[{self._cluster.proxy_id}]: {told}", tcode="errNodeNotFound")
        files = await asyncio.to_thread(_files, source, prefix, recursive=bool(wanted.recursive))
        if not files:
            raise Refusal(400, f'directory "{source}" is empty')

        def work(job: Job | None = None) -> None:
            for path, name in files:
                if job is not None:
                    job.check()
                size_bytes = self._take(path, bucket, check_name(name), wanted)
                if job is not None:
                    job.count(size_bytes)

        if len(files) <= SYNCHRONOUS_FILES:
            await asyncio.to_thread(work)
            return reply()
        job = self._jobs.start("promote", work, bucket=bucket, message=f"src:{source}")
        return reply(job.id.encode(), kind=TEXT)

    def _source(self, name: str, source: str) -> Path:
        """Return what is to be promoted, if that is allowed.

        Raises:
            Refusal: It is not, or not there.
        """
        if source and name and source != name:
            raise Refusal(400, f'conflicting promote source: "{name}" vs "{source}"')
        text = name or source
        if not text:
            raise _bad_source("", "pathname is empty")
        if not text.startswith("/"):
            raise _bad_source(text, "must be an absolute path")
        if not {".", ".."}.isdisjoint(text.split("/")):
            raise _bad_source(text, "must not contain '.' or '..' path elements")
        if text != self._root and not text.startswith(f"{self._root}/"):
            raise _bad_source(text, f"must be under {self._root}")
        root, path = Path(self._root), Path(text)
        if not root.exists():
            raise Refusal(400, f'promote root "{self._root}" does not exist')
        if not path.resolve().is_relative_to(root.resolve()):
            raise _bad_source(text, f"is a link that leads out of {self._root}")
        if not path.exists():
            raise Refusal(404, f"stat {text}: no such file or directory", tcode="PathError")
        return path

    def _take(self, path: Path, bucket: BucketName, name: str, wanted: PromoteMessage) -> int:
        """Promote a file, and return its size in bytes; 0 if there is such an object already."""
        if not wanted.overwrite and self._has(bucket, name):
            return 0
        upload = self._folder.begin_upload(None)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(path, flags), "rb", buffering=0) as file:  # noqa: PTH123
                while piece := file.read(_COPY_BYTES):
                    upload.write([piece])
            _, status = self._folder.finish_upload(upload, [], bucket, name)
        finally:
            upload.discard()
        if wanted.delete:
            path.unlink(missing_ok=True)
        return status.st_size

    def _has(self, bucket: BucketName, name: str) -> bool:
        try:
            self._folder.open_object(bucket, name).file.close()
        except Refusal:
            return False
        return True


def _read(message: ActionMessage) -> PromoteMessage:
    try:
        found = msgspec.json.decode(message.value, type=PromoteMessage | None)
    except msgspec.MsgspecError as error:
        raise Refusal(400, f"failed to unmarshal promote, err: {error}") from None
    return found or PromoteMessage()


def _files(source: Path, prefix: str, *, recursive: bool) -> list[tuple[Path, str]]:
    """Return the files to promote, and what each will be called."""
    if not source.is_dir():
        whole = prefix and not prefix.endswith("/")
        return [(source, prefix if whole else prefix + source.name)]
    paths = source.rglob("*") if recursive else source.iterdir()
    files = sorted(path for path in paths if path.is_file() and not path.is_symlink())
    return [(path, prefix + str(path.relative_to(source))) for path in files]


def _bad_source(source: str, why: str) -> Refusal:
    told = f' "{source}"' if source else ""
    return Refusal(400, f"invalid promote source{told}: {why}", tcode="errInvalidPromoteSource")
