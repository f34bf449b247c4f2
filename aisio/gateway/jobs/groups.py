"""Jobs on many objects of a bucket: delete, copy, archive.

A message names the objects by a list of names, a template, or a prefix.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import msgspec
from aiohttp import web

from aisio.errors import UrlError
from aisio.gateway.archives.content import NewMember
from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.archives.writes import format_of_new_archive, write_archive
from aisio.gateway.http.exchange import ActionMessage, Exchange, decode_message
from aisio.gateway.http.responses import TEXT, make_response
from aisio.gateway.jobs.job import Job, JobSpec
from aisio.gateway.jobs.jobs import Jobs
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import (
    BucketName,
    check_name,
    check_prefix,
    parse_bucket,
)
from aisio.gateway.storage.bucket_folders import ensure_bucket
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.moves import copy_object
from aisio.gateway.storage.pieces import PIECE_BYTES
from aisio.gateway.storage.walk import DirectoryReader, Walk
from aisio.wire.templates import parse_template

_TEMPLATE = re.compile(r"[{}]|@\d|%\d*d")


class NamespaceMessage(msgspec.Struct):
    """A namespace in a message."""

    uuid: str = ""
    name: str = ""


class BucketMessage(msgspec.Struct):
    """A bucket in a message."""

    name: str = ""
    provider: str = ""
    namespace: NamespaceMessage | None = None

    @property
    def bucket(self) -> BucketName:
        """The bucket.

        Raises:
            Refusal: The message names none, or one that is not on this gateway.
        """
        if not self.name:
            raise Refusal(400, "bucket name is missing")
        namespace = self.namespace or NamespaceMessage()
        text = ""
        if namespace.uuid or namespace.name:
            text = f"@{namespace.uuid}#{namespace.name}"
        return parse_bucket(self.name, self.provider, text)


class GroupMessage(msgspec.Struct):
    """Which objects an action is for, and how to do it: twelve fields, as in AIStore's message.

    Attributes:
        names: Names of objects; None to use the template.
        template: A template, a prefix, or "" and "*" for all.
        continue_on_error: Process the other objects if one is missing.
        destination: The bucket to write to.
        archive: Name of the archive to make.
        mime: Its format, if the name does not say it.
        include_bucket_names: Name members bucket/object.
        append_if_exists: Append the members to the archive of that name, if there is one.
        base_names_only: Name members by the last part of the object's name.
        prepend: Text to put before the copies' names.
        dry_run: Copy nothing.
        extensions: New extensions for old ones.
    """

    names: list[str] | None = msgspec.field(name="objnames", default=None)
    template: str | None = ""
    continue_on_error: bool | None = msgspec.field(name="coer", default=False)
    destination: BucketMessage | None = msgspec.field(name="tobck", default=None)
    archive: str | None = msgspec.field(name="archname", default="")
    mime: str | None = ""
    include_bucket_names: bool | None = msgspec.field(name="isbn", default=False)
    append_if_exists: bool | None = msgspec.field(name="aate", default=False)
    base_names_only: bool | None = msgspec.field(name="bnonly", default=False)
    prepend: str | None = ""
    dry_run: bool | None = False
    extensions: dict[str, str] | None = msgspec.field(name="ext", default=None)

    def describe(self) -> str:
        """Return what a job says of its objects."""
        if self.names is None:
            return f"template:{self.template or '*'}"
        shown = " ".join(self.names[:4])
        return f"list:[{shown}{' ...' if len(self.names) > 4 else ''}]"


class GroupJobs:
    """Jobs on many objects, over HTTP.

    Args:
        folder: The served folder.
        directories: Its directories' contents.
        archives: The indexes of its archives.
        jobs: Runs the jobs.
    """

    def __init__(
        self, folder: Folder, directories: DirectoryReader, archives: IndexCache, jobs: Jobs
    ) -> None:
        self._folder = folder
        self._directories = directories
        self._archives = archives
        self._jobs = jobs

    async def delete(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Delete objects; the job reports those that are missing, and deletes the others."""
        bucket, group = self._read(exchange, message)
        names = self._names(bucket, group)

        def delete(name: str) -> int:
            self._folder.delete_object(bucket, name)
            return 0

        def work(job: Job) -> None:
            apply_to_each(job, names, delete, continue_on_error=True)

        return self._start(JobSpec(message.action, bucket, message=group.describe()), work)

    async def copy(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Copy objects to a bucket, which is created if it does not exist."""
        bucket, group = self._read(exchange, message)
        destination = (group.destination or BucketMessage()).bucket
        names = self._names(bucket, group)
        if not group.dry_run:
            ensure_bucket(self._folder, destination)
        rename = renaming(group.prepend or "", group.extensions or {})
        dry_run, continue_on_error = bool(group.dry_run), bool(group.continue_on_error)
        copy = copy_action(self._folder, bucket, destination, rename, dry_run=dry_run)

        def work(job: Job) -> None:
            apply_to_each(job, names, copy, continue_on_error=continue_on_error)

        summary = f"cp {bucket.url}=>{destination.url}; {group.describe()}"
        return self._start(JobSpec(message.action, bucket, destination, message=summary), work)

    async def archive(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Make an archive of objects, or append them to an archive."""
        bucket, group = self._read(exchange, message)
        destination = (group.destination or BucketMessage()).bucket
        self._folder.bucket_path(destination)
        form = format_of_new_archive(group.archive or "", group.mime or "")
        target = destination, check_name(group.archive or "")
        names = self._names(bucket, group)

        def work(job: Job) -> None:
            members = self._members(job, bucket, group, names)
            first = next(members, None)
            if first is None:
                return
            existing = self._folder.identity(*target) if group.append_if_exists else None
            write_archive(
                self._folder,
                self._archives,
                target,
                form,
                chain([first], members),
                append_to=existing,
            )

        summary = f"{bucket.url}=>{destination.url}"
        return self._start(JobSpec(message.action, bucket, destination, message=summary), work)

    def _read(self, exchange: Exchange, message: ActionMessage) -> tuple[BucketName, GroupMessage]:
        """Check that the action is allowed; return its bucket and message."""
        self._folder.require_writable()
        bucket = exchange.target.bucket
        self._folder.bucket_path(bucket)
        deletes = message.action == "delete-listrange"
        self._folder.require_access(bucket, "DELETE-OBJECT" if deletes else "")
        if not message.has_value:  # a cluster would apply it to all objects
            raise Refusal(400, f"{message.action}: no objects are named")
        return bucket, decode_message(message.value, GroupMessage)

    def _names(self, bucket: BucketName, group: GroupMessage) -> Iterable[str]:
        """Return the names of the objects; a template is checked now, a prefix is listed later."""
        if group.names is not None:
            return group.names
        text = group.template or ""
        if not _TEMPLATE.search(text):
            prefix = "" if text == "*" else check_prefix(text)
            return names_with_prefix(self._folder, self._directories, bucket, prefix)
        try:
            return parse_template(text).names()
        except UrlError as error:
            raise Refusal(400, str(error), tcode="errTemplateInvalid") from None

    def _members(
        self, job: Job, bucket: BucketName, group: GroupMessage, names: Iterable[str]
    ) -> Iterator[NewMember]:
        for name in names:
            job.check()
            try:
                opened = self._folder.open_object(bucket, check_name(name))
            except Refusal as refusal:
                if not group.continue_on_error:
                    raise
                job.fail(refusal.message)
                continue
            member_name = name.rpartition("/")[2] if group.base_names_only else name
            with opened.file as file:
                yield NewMember(
                    f"{bucket.name}/{member_name}" if group.include_bucket_names else member_name,
                    opened.status.st_size,
                    int(opened.status.st_atime),
                    iter(lambda file=file: os.read(file.fileno(), PIECE_BYTES), b""),  # type: ignore[misc]
                )
            job.count(opened.status.st_size)

    def _start(self, spec: JobSpec, work: Callable[[Job], None]) -> web.StreamResponse:
        job = self._jobs.start(spec, work)
        return make_response(job.id.encode(), content_type=TEXT)


def names_with_prefix(
    folder: Folder, directories: DirectoryReader, bucket: BucketName, prefix: str
) -> Iterator[str]:
    """Yield the names that begin with a prefix. All are listed when the first one is needed."""
    walk = Walk(directories, prefix, "", recursive=True)
    yield from [item.name for item in walk.below(folder.bucket_path(bucket))]


def apply_to_each(
    job: Job, names: Iterable[str], action: Callable[[str], int], *, continue_on_error: bool
) -> None:
    """Apply an action to each object.

    Args:
        job: The job that this is part of.
        names: The objects' names.
        action: The action; returns how many bytes it has moved.
        continue_on_error: Go on with the other objects if one is refused.
    """
    for name in names:
        job.check()
        try:
            job.count(action(check_name(name)))
        except Refusal as refusal:
            job.fail(refusal.message)
            if not continue_on_error:
                return


def renaming(prepend: str, extensions: dict[str, str]) -> Callable[[str], str]:
    """Return the function from an object's name to the name of its copy.

    Args:
        prepend: Text to put before the name.
        extensions: New extensions for old ones, with or without their dots.
    """
    changes = {old.lstrip("."): new.lstrip(".") for old, new in extensions.items()}

    def rename(name: str) -> str:
        stem, dot, extension = name.rpartition(".")
        if dot and extension in changes:
            name = f"{stem}.{changes[extension]}"
        return prepend + name

    return rename


def copy_action(
    folder: Folder,
    source: BucketName,
    destination: BucketName,
    rename: Callable[[str], str],
    *,
    dry_run: bool,
) -> Callable[[str], int]:
    """Return the function that copies one object, or only opens it; it returns the size."""

    def copy(name: str) -> int:
        if not dry_run:
            return copy_object(folder, (source, name), (destination, check_name(rename(name))))
        opened = folder.open_object(source, name)
        opened.file.close()
        return opened.status.st_size

    return copy
