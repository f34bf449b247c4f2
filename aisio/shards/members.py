"""MemberPass: the members of a tar shard one by one, whatever their names are.

A member is a file of the shard. Directories, devices and FIFOs are none, and neither are members of
unknown types without data. The holes of a sparse file are read as zeros, and a hard link as the
file that it stands for. A symbolic link is an error, as its data is elsewhere.
"""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import NoReturn

from aisio.errors import ShardError
from aisio.formats.decompress import ReadIntoStream
from aisio.formats.tar import TarMember
from aisio.shards.linked_files import LinkedFiles
from aisio.shards.reader import has_content, why_no_field
from aisio.shards.tar_stream import TarStream
from aisio.stats import thread_counters

__all__ = ["MemberPass"]


class MemberPass:
    """One pass over one shard, whose caller goes to a member, and reads it or goes on.

    Args:
        stream: The shard's bytes, as a tar or as a compressed one (`aisio.formats.decompress`). It
            is read to its end, where it verifies itself, and not closed.
        url: The shard's URL.
        links: Reads what hard links stand for; without it they are an error.

    Attributes:
        member: The member at which it stands; None before the first, and behind the last.
        count: How many members it has come to.
    """

    def __init__(self, stream: ReadIntoStream, url: str, links: LinkedFiles | None = None) -> None:
        self._tar = TarStream(stream, url)
        self._links = links
        self._has_begun = False
        self.member: TarMember | None = None
        self.count = 0

    def advance(self) -> bool:
        """Go to the next member; return whether there is one.

        A shard without members gives a warning at its end.

        Raises:
            ShardError: The shard is cut, damaged or not a tar, or the member is a symbolic link or
                unreadable, or a hard link that cannot be looked up.
        """
        self._tar.parsing_since = perf_counter()
        try:
            self.member = self._next()
        finally:
            self._count_parsing()
        if self.member is not None:
            self.count += 1
        elif not self.count:
            warnings.warn(f"{self._tar.name}: a shard without files", stacklevel=2)
        return self.member is not None

    def read(self) -> bytes:
        """Return the content of the member at which it stands; once.

        Raises:
            ShardError: See `advance`.
        """
        assert self.member is not None
        if self.member.kind == "hardlink":
            return self._linked(self.member)
        parser = self._tar.parser
        self._tar.parsing_since = perf_counter()
        try:
            if self.member.kind == "sparse":
                return self._tar.read(parser.read_sparse)
            return self._tar.read_file(self.member)
        finally:
            self._count_parsing()

    def _next(self) -> TarMember | None:
        tar = self._tar
        if not self._has_begun:
            self._has_begun = True
            tar.detect_compression()
        tar.parser.skip_payload()
        while (event := tar.next_member()) is not None:
            is_link = event.kind == "hardlink" and self._links is not None
            if event.kind not in ("file", "sparse") and has_content(event) and not is_link:
                self._refuse(event, why_no_field(event))
            if has_content(event):
                return event
            if event.unknown_type:
                tar.pass_over(event)
            tar.parser.skip_payload()
        tar.log_passed_over()
        return None

    def _linked(self, link: TarMember) -> bytes:
        try:
            content = self._tar.read_linked(link, self._links)
        except ShardError as error:
            self._refuse(link, f"{why_no_field(link)} ({error})")
        if content is None:
            self._refuse(link, why_no_field(link))
        return content

    def _refuse(self, member: TarMember, why: str) -> NoReturn:
        tar = self._tar
        raise ShardError(f"{tar.name}: {why}", url=tar.url, offset=member.offset) from None

    def _count_parsing(self) -> None:
        thread_counters().parse_s += perf_counter() - self._tar.parsing_since
