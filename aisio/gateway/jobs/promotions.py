"""Promote: files of the gateway's own machine become objects.

As on a cluster, only files below one folder can be promoted. Otherwise any client could read and
delete every file that the gateway can. Links are skipped, and a path that leads out of that folder
is refused.

Source:
    AIStore 5.0, api/apc/promote.go, and responses of a live cluster.
"""

# ruff: noqa: PTH112
# Files are named in open folders (dir_fd), for which pathlib has no functions.

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import stat
from collections.abc import Iterator

import msgspec
from aiohttp import web

from aisio.gateway.http.cluster import Cluster
from aisio.gateway.http.exchange import ActionMessage, Exchange
from aisio.gateway.http.responses import TEXT, make_response
from aisio.gateway.jobs.job import Job, JobSpec
from aisio.gateway.jobs.jobs import Jobs
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, check_name, check_prefix
from aisio.gateway.storage.file_refusals import ChangedRefusal, being_written
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.records import NO_FILE, FileState
from aisio.gateway.storage.safe_opener import LIST_FOLDER_FLAGS, PathEscapesError, SafeOpener
from aisio.gateway.storage.uploads import Upload

MAX_SYNCHRONOUS_FILES = 16
"""Up to so many files are promoted before the response, more of them in the background."""

_COPY_BYTES = 1 << 20
_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


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
        cluster: The ids that the gateway presents.
        jobs: Runs work in the background.
        root: The folder below which files can be promoted.
    """

    def __init__(self, folder: Folder, cluster: Cluster, jobs: Jobs, root: str) -> None:
        self._folder = folder
        self._cluster = cluster
        self._jobs = jobs
        self._root = root.rstrip("/")

    async def promote(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Promote a file, or the files of a folder; many as a job, whose id is the response."""
        bucket = exchange.target.bucket
        self._folder.require_writable()
        self._folder.require_access(bucket, "PROMOTE")
        self._folder.bucket_path(bucket)
        wanted = _decode(message)
        source = self._checked_source(message.name, wanted.source or "")
        prefix = check_prefix(wanted.name or "")
        if wanted.target_id and wanted.target_id != self._cluster.target_id:
            why = f"promote failure: node {wanted.target_id} not present in Smap v1"
            raise Refusal(400, f"p[{self._cluster.proxy_id}]: {why}", tcode="errNodeNotFound")
        files = await asyncio.to_thread(
            self._files, source, prefix, recursive=bool(wanted.recursive)
        )
        if not files:
            raise Refusal(400, f'directory "{self._root}/{source}" is empty')

        def work(job: Job | None = None) -> None:
            for path, name in files:
                if job is not None:
                    job.check()
                size_bytes = self._promote_file(path, bucket, check_name(name), wanted)
                if job is not None:
                    job.count(size_bytes)

        if len(files) <= MAX_SYNCHRONOUS_FILES:
            await asyncio.to_thread(work)
            return make_response()
        spec = JobSpec("promote", bucket, message=f"src:{self._root}/{source}")
        job = self._jobs.start(spec, work)
        return make_response(job.id.encode(), content_type=TEXT)

    def _checked_source(self, name: str, source: str) -> str:
        """Return the path to promote, relative to the folder.

        Raises:
            Refusal: It may not be promoted.
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
        if not os.path.isdir(self._root):
            raise Refusal(400, f'promote root "{self._root}" does not exist')
        return text[len(self._root) :].strip("/")

    def _files(self, source: str, prefix: str, *, recursive: bool) -> list[tuple[str, str]]:
        """Return the files to promote, each with the name of its object.

        Raises:
            Refusal: The source does not exist, or leads out of the folder.
        """
        text = f"{self._root}/{source}"
        try:
            with contextlib.closing(SafeOpener(self._root)) as opener:
                if stat.S_ISDIR(opener.status(source).st_mode):
                    names = sorted(_files_below(opener, source, recursive=recursive))
                    return [(f"{source}/{name}", prefix + name) for name in names]
        except PathEscapesError:
            raise _bad_source(text, f"is a link that leads out of {self._root}") from None
        except (FileNotFoundError, NotADirectoryError):
            raise Refusal(
                404, f"stat {text}: no such file or directory", tcode="PathError"
            ) from None
        is_name = prefix and not prefix.endswith("/")
        return [(source, prefix if is_name else prefix + source.rpartition("/")[2])]

    def _promote_file(
        self, path: str, bucket: BucketName, name: str, wanted: PromoteMessage
    ) -> int:
        """Promote a file, and return its size in bytes; 0 if the object exists already."""
        if not wanted.overwrite and self._exists(bucket, name):
            return 0
        upload = self._folder.begin_upload(None)
        with contextlib.closing(SafeOpener(self._root)) as opener:
            try:
                self._read(opener, path, upload)
                expected = None if wanted.overwrite else NO_FILE
                _, status = self._folder.finish_upload(upload, [], bucket, name, if_match=expected)
            except ChangedRefusal:
                return 0  # another request has stored the object meanwhile
            finally:
                upload.discard()
            if wanted.delete:
                parent, _, last_part = path.rpartition("/")
                with opener.open_folder(parent) as place, contextlib.suppress(FileNotFoundError):
                    os.unlink(last_part, dir_fd=place.fd)
        return status.st_size

    def _read(self, opener: SafeOpener, path: str, upload: Upload) -> None:
        """Copy a file to an upload.

        Raises:
            Refusal: It now leads out of the folder, is not a file, or is being written.
        """
        text = f"{self._root}/{path}"
        try:
            handle, _ = opener.open(path, _OPEN_FLAGS)
        except PathEscapesError:
            raise _bad_source(text, f"is a link that leads out of {self._root}") from None
        with io.FileIO(handle, "rb") as file:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise _bad_source(text, "is not a file")
            while piece := file.read(_COPY_BYTES):
                upload.write([piece])
            if not FileState.of(os.fstat(handle)).has_same_bytes_as(FileState.of(before)):
                raise being_written(text)

    def _exists(self, bucket: BucketName, name: str) -> bool:
        try:
            self._folder.open_object(bucket, name).file.close()
        except Refusal:
            return False
        return True


def _decode(message: ActionMessage) -> PromoteMessage:
    try:
        decoded = msgspec.json.decode(message.value, type=PromoteMessage | None)
    except msgspec.MsgspecError as error:
        raise Refusal(400, f"failed to unmarshal promote, err: {error}") from None
    return decoded or PromoteMessage()


def _files_below(opener: SafeOpener, source: str, *, recursive: bool) -> Iterator[str]:
    """Yield the files below a folder, relative to it; links are skipped."""
    folders = [""]
    while folders:
        base = folders.pop()
        with (
            opener.open_folder(f"{source}/{base}".strip("/"), LIST_FOLDER_FLAGS) as place,
            os.scandir(place.fd) as entries,
        ):
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    yield f"{base}{entry.name}"
                elif recursive and entry.is_dir(follow_symlinks=False):
                    folders.append(f"{base}{entry.name}/")


def _bad_source(source: str, why: str) -> Refusal:
    quoted = f' "{source}"' if source else ""
    return Refusal(400, f"invalid promote source{quoted}: {why}", tcode="errInvalidPromoteSource")
