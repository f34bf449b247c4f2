"""Actions on many objects of a bucket: delete, copy, archive; each is a job.

Which objects: those of a list, those whose names a template makes, or all that begin with a prefix.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator

import msgspec
from aiohttp import web

from aisio.errors import UrlError
from aisio.gateway.archives.content import NewMember
from aisio.gateway.archives.index import Archives
from aisio.gateway.archives.writes import form_of_new, write_archive
from aisio.gateway.http.exchange import (
    ActionMessage,
    Exchange,
    decode_message,
    reply,
)
from aisio.gateway.http.replies import TEXT
from aisio.gateway.jobs.jobs import Job, Jobs
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import (
    BucketName,
    bucket_of,
    check_name,
    check_prefix,
)
from aisio.gateway.storage.bucket_folders import ensure_bucket
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.moves import copy_object
from aisio.gateway.storage.pieces import PIECE_BYTES
from aisio.gateway.storage.walk import Directories, Walk
from aisio.wire.templates import parse_template

_RANGED = re.compile(r"[{}]|@\d|%\d*d")


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
            Refusal: There is none, or it is not on this gateway.
        """
        if not self.name:
            raise Refusal(400, "bucket name is missing")
        space = self.namespace or NamespaceMessage()
        text = f"@{space.uuid}#{space.name}" if space.uuid or space.name else ""
        return bucket_of(self.name, self.provider, text)


class GroupMessage(msgspec.Struct):
    """Which objects an action is about, and how it goes about them.

    Attributes:
        names: A list of names; None to go by the template.
        template: A template, a prefix, or "" and "*" for all.
        goes_on: Go on with the other objects where one is missing.
        target: The bucket to write to.
        archive: Name of the archive to make.
        mime: Its form, where the name does not say it.
        has_bucket_names: Members are called bucket/object.
        appends: Put the members behind those of the archive there, if there is one.
        is_flat: Members are called by the last part of the object's name.
        prepend: What to put in front of the copies' names.
        dry_run: Copy nothing.
        extensions: New extensions for old ones.
    """

    names: list[str] | None = msgspec.field(name="objnames", default=None)
    template: str | None = ""
    goes_on: bool | None = msgspec.field(name="coer", default=False)
    target: BucketMessage | None = msgspec.field(name="tobck", default=None)
    archive: str | None = msgspec.field(name="archname", default="")
    mime: str | None = ""
    has_bucket_names: bool | None = msgspec.field(name="isbn", default=False)
    appends: bool | None = msgspec.field(name="aate", default=False)
    is_flat: bool | None = msgspec.field(name="bnonly", default=False)
    prepend: str | None = ""
    dry_run: bool | None = False
    extensions: dict[str, str] | None = msgspec.field(name="ext", default=None)


class Groups:
    """Actions on many objects, over HTTP.

    Args:
        folder: The served folder.
        directories: Its folders' contents.
        archives: What is known of its archives.
        jobs: Where the work is done.
    """

    def __init__(
        self, folder: Folder, directories: Directories, archives: Archives, jobs: Jobs
    ) -> None:
        self._folder = folder
        self._directories = directories
        self._archives = archives
        self._jobs = jobs

    async def delete(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Delete objects; those that are missing are told of, and hinder nothing."""
        bucket, group = self._read(exchange, message)
        names = self._names(bucket, group)

        def work(job: Job) -> None:
            def delete(name: str) -> int:
                self._folder.delete_object(bucket, name)
                return 0

            each(job, names, delete, goes_on=True)

        job = self._jobs.start(message.action, work, bucket=bucket, message=describe(group))
        return reply(job.id.encode(), kind=TEXT)

    async def copy(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Copy objects to a bucket, which is made if it is not there."""
        bucket, group = self._read(exchange, message)
        target = (group.target or BucketMessage()).bucket
        names = self._names(bucket, group)
        if not group.dry_run:
            ensure_bucket(self._folder, target)
        new_name = namer(group.prepend or "", group.extensions or {})
        copy = copier(self._folder, bucket, target, new_name, dry_run=bool(group.dry_run))

        def work(job: Job) -> None:
            each(job, names, copy, goes_on=bool(group.goes_on))

        told = f"cp {bucket.url}=>{target.url}; {describe(group)}"
        job = self._jobs.start(message.action, work, bucket=bucket, target=target, message=told)
        return reply(job.id.encode(), kind=TEXT)

    async def archive(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Make an archive of objects, or put them behind what an archive has."""
        bucket, group = self._read(exchange, message)
        target = (group.target or BucketMessage()).bucket
        self._folder.bucket_path(target)
        form = form_of_new(group.archive or "", group.mime or "")
        place = target, check_name(group.archive or "")
        names = self._names(bucket, group)

        def work(job: Job) -> None:
            members = self._members(job, bucket, group, names)
            first = next(members, None)
            if first is None:
                return
            whole = _chained(first, members)
            there = self._folder.present(*place) if group.appends else None
            write_archive(self._folder, self._archives, place, form, whole, append_to=there)

        told = f"{bucket.url}=>{target.url}"
        job = self._jobs.start(message.action, work, bucket=bucket, target=target, message=told)
        return reply(job.id.encode(), kind=TEXT)

    def _read(self, exchange: Exchange, message: ActionMessage) -> tuple[BucketName, GroupMessage]:
        self._folder.require_writable()
        bucket = exchange.target.bucket
        self._folder.bucket_path(bucket)
        deletes = message.action == "delete-listrange"
        self._folder.require_access(bucket, "DELETE-OBJECT" if deletes else "")
        if not message.has_value:  # a cluster takes it for all objects
            raise Refusal(400, f"{message.action}: no objects are named")
        return bucket, decode_message(message.value, GroupMessage)

    def _names(self, bucket: BucketName, group: GroupMessage) -> Iterable[str]:
        """Return the names that a message means; a template is checked now, a prefix read later."""
        if group.names is not None:
            return group.names
        text = group.template or ""
        if not _RANGED.search(text):
            prefix = "" if text == "*" else check_prefix(text)
            return names_below(self._folder, self._directories, bucket, prefix)
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
                if not group.goes_on:
                    raise
                job.fail(refusal.message)
                continue
            called = name.rpartition("/")[2] if group.is_flat else name
            with opened.file as file:
                yield NewMember(
                    f"{bucket.name}/{called}" if group.has_bucket_names else called,
                    opened.status.st_size,
                    int(opened.status.st_atime),
                    iter(lambda file=file: os.read(file.fileno(), PIECE_BYTES), b""),  # type: ignore[misc]
                )
            job.count(opened.status.st_size)


def names_below(
    folder: Folder, directories: Directories, bucket: BucketName, prefix: str
) -> Iterator[str]:
    """Yield the names that begin with a prefix, as they are when the first one is asked for."""
    walk = Walk(directories, prefix, "", recursive=True)
    yield from [found.name for found in walk.below(folder.bucket_path(bucket))]


def each(job: Job, names: Iterable[str], act: Callable[[str], int], *, goes_on: bool) -> None:
    """Do something with each object.

    Args:
        job: What this is part of.
        names: The objects' names.
        act: Does it, and returns how many bytes were moved.
        goes_on: Go on with the others where one is refused.
    """
    for name in names:
        job.check()
        try:
            job.count(act(check_name(name)))
        except Refusal as refusal:
            job.fail(refusal.message)
            if not goes_on:
                return


def namer(prepend: str, extensions: dict[str, str]) -> Callable[[str], str]:
    """Return how copies are called.

    Args:
        prepend: What goes in front of the name.
        extensions: New extensions for old ones, with or without their dots.
    """
    changes = {old.lstrip("."): new.lstrip(".") for old, new in extensions.items()}

    def new_name(name: str) -> str:
        stem, dot, extension = name.rpartition(".")
        if dot and extension in changes:
            name = f"{stem}.{changes[extension]}"
        return prepend + name

    return new_name


def copier(
    folder: Folder,
    source: BucketName,
    target: BucketName,
    new_name: Callable[[str], str],
    *,
    dry_run: bool,
) -> Callable[[str], int]:
    """Return what copies one object, or only looks at it, and tells its size."""

    def copy(name: str) -> int:
        if not dry_run:
            return copy_object(folder, (source, name), (target, check_name(new_name(name))))
        opened = folder.open_object(source, name)
        opened.file.close()
        return opened.status.st_size

    return copy


def describe(group: GroupMessage) -> str:
    """Return what a job says of the objects that it is about."""
    if group.names is None:
        return f"template:{group.template or '*'}"
    shown = " ".join(group.names[:4])
    return f"list:[{shown}{' ...' if len(group.names) > 4 else ''}]"


def _chained(first: NewMember, others: Iterator[NewMember]) -> Iterator[NewMember]:
    yield first
    yield from others
