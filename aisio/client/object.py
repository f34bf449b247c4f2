"""Object: one object of a bucket. Reads are verified, and a write sends the data once."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Literal, overload

import msgspec

from aisio.client.object_copies import copy_object, is_copied_right, rename_object
from aisio.client.object_reads import ObjectReads
from aisio.client.upload import MultipartUpload, send_data
from aisio.errors import ConfigError, IntegrityError, UrlError
from aisio.records import ObjectInfo
from aisio.summary import Summarized, shown
from aisio.transport.parallel import read_bytes
from aisio.transport.parallel_upload import ParallelUpload
from aisio.transport.payload import HashedPayload, Payload, PutData
from aisio.transport.seekable import open_seekable
from aisio.transport.text_file import ObjectTextWriter, OpenMode
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ALIASES, ObjectUrl
from aisio.wire import messages


class Object(ObjectReads, Summarized):
    """An object of a bucket; made by `Bucket.object` or `Client.object`."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Object) and (self.session.settings, self.url) == (
            other.session.settings,
            other.url,
        )

    def __hash__(self) -> int:
        return hash((self.session.settings, self.url))

    def __repr__(self) -> str:
        return f"Object({shown(self.url)!r}, endpoint={shown(self.session.settings.endpoint)!r})"

    def _summary(self) -> Mapping[str, object]:
        return {"url": self.url, "endpoint": self.session.settings.endpoint}

    @overload
    def open(self, mode: Literal["rb"] = "rb") -> io.BufferedReader: ...

    @overload
    def open(self, mode: Literal["wb"], *, allow_empty: bool = False) -> ObjectWriter: ...

    @overload
    def open(
        self,
        mode: Literal["r", "rt"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...

    @overload
    def open(
        self,
        mode: Literal["w", "wt"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        allow_empty: bool = False,
    ) -> ObjectTextWriter: ...

    def open(
        self,
        mode: str = "rb",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        allow_empty: bool = False,
    ) -> io.BufferedReader | io.TextIOWrapper | ObjectWriter | ObjectTextWriter:
        """Open the object as a file: "rb" or "r" to read it, "wb" or "w" to write it anew.

        For reading see `aisio.transport.seekable`, for writing `writer`. A file that is read from
        start to end, and any small one, is verified by its checksum. Other reads are verified by
        their lengths. Bytes of two versions never mix.

        Args:
            mode: "rb", "wb" for bytes; "r", "w" for text. Unlike Python's `open`, the default is
                bytes.
            encoding: Of text; by default UTF-8, whatever the locale.
            errors: As for Python's `open`.
            newline: As for Python's `open`.
            allow_empty: When writing: store an empty object where nothing was written; otherwise
                that is an error.

        Raises:
            NotFoundError: For reading, and no such object.
            IntegrityError: The store does not say how many bytes the object has.
            ConfigError: Another mode, or an argument that does not fit it.
            UnicodeDecodeError: When text is read: the bytes are not of the encoding.
        """
        how = OpenMode.of(str(self.url), mode, encoding, errors, newline)
        if how.is_writing:
            return how.writer(self.writer(WriteOptions(allow_empty=allow_empty)))
        if allow_empty:
            raise ConfigError(f"open {self.url}: allow_empty is for writing, not mode={mode!r}")
        file = open_seekable(self.head(), self.stream, read_bytes, is_same=self.is_same)
        return how.reader(file)

    def writer(self, options: WriteOptions | None = None) -> ObjectWriter:
        """Open the object as a binary file that is written from start to end.

        Parts go up while the caller writes. The object appears, whole and verified, when the file
        is closed; see `aisio.transport.writer`.
        """
        options = options or WriteOptions()
        upload = ParallelUpload(MultipartUpload(self.session, self.url, self.head), options)
        return ObjectWriter(str(self.url), self.put, upload, options)

    def put(self, data: PutData) -> ObjectInfo:
        """Store the object, replacing what was there.

        The data is sent once, straight to the storage node that the cluster names. A file is never
        held in memory.

        Args:
            data: Bytes, the path of a file, or a binary file, read from its position to its end.

        Raises:
            NotFoundError: No such bucket.
            ConfigError: The file is not empty and stands at its end: nothing would be stored.
            IntegrityError: The cluster received other bytes than were sent.
        """
        with Payload(data) as payload:
            return self._retry(lambda: self._put(payload))

    def delete(self, *, missing_ok: bool = False) -> None:
        """Delete the object.

        Raises:
            NotFoundError: No such object, and missing_ok is false.
        """
        path, query = messages.object_path(self.url), messages.bucket_query(self.url)
        self.session.delete(path, query, about=str(self.url), missing_ok=missing_ok)

    def copy(self, to: str | ObjectUrl | Object, *, listed: ObjectInfo | None = None) -> ObjectInfo:
        """Copy the object, replacing what was there; its bytes do not leave the cluster.

        Size and checksum of the two are compared afterwards. The copy's bucket must exist.

        Where the copy's name has a "%", a "?" or a control character, AIStore 5.0 would store it
        under another name. Then the bytes come here and go back, verified.

        Args:
            to: The copy: a URL, or a name in this bucket.
            listed: What a listing said of this object. With size and checksum, it saves a HEAD.

        Returns:
            What the cluster says of the copy.

        Raises:
            NotFoundError: No such object, or no such bucket.
            IntegrityError: The two differ.
            ConfigError: The copy is in another cluster, or is this object.
        """
        target = self._target(to)
        if target == self.url:
            raise ConfigError(f"copy {self.url}: the copy would be the object itself")
        if is_copied_right(target.name):
            return copy_object(self.session, self.url, target, self._head_of, listed)
        with self.open() as file:
            return Object(self.session, target).put(file)

    def rename(self, name: str) -> Object:
        """Give the object another name in its bucket, replacing what was there; return it.

        As for `copy`, AIStore does it except where the new name has a "%", a "?" or a control
        character: then it is copied by this process, and the old one deleted.

        Raises:
            NotFoundError: No such object.
            IntegrityError: It was replaced meanwhile: there are two objects now.
            ConfigError: It has that name already.
        """
        if "://" in name:
            raise UrlError(f"rename {self.url}: {name!r} is a URL: pass a name in its bucket")
        target = self._target(name)
        if target == self.url:
            raise ConfigError(f"rename {self.url}: it has that name already")
        if is_copied_right(name):
            rename_object(self.session, self.url, target, self._head_of)
        else:
            before = self.head()
            self.copy(target)
            if not self.is_same(before, self.head()):
                raise IntegrityError(
                    f"rename {self.url}: it was replaced while it was copied to {target}: it was "
                    f"not deleted; rename it again",
                    url=str(self.url),
                )
            self.delete()
        return Object(self.session, target)

    def _target(self, to: str | ObjectUrl | Object) -> ObjectUrl:
        if isinstance(to, Object):
            if to.session.settings.endpoint != self.session.settings.endpoint:
                raise ConfigError(f"copy {self.url}: {to!r} is in another cluster")
            to = to.url
        if isinstance(to, str):
            to = ObjectUrl.parse(to) if "://" in to else self.url.with_name(to)
        if to.provider not in ALIASES.values():
            raise ConfigError(f"copy {self.url}: {to} is not in the cluster")
        return to.require_object()

    def _head_of(self, url: ObjectUrl) -> ObjectInfo:
        return Object(self.session, url).head()

    def _put(self, payload: Payload) -> ObjectInfo:
        query, size = messages.bucket_query(self.url), payload.size_bytes
        sent = HashedPayload(payload)
        response = send_data(self.session, self.url, query, sent.chunks(), size)
        stored = self._info(response)
        sent.check(stored.checksum, str(self.url))
        return msgspec.structs.replace(stored, size_bytes=size)
