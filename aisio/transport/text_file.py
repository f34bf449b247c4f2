"""Objects as text files: the modes of `open`, and text that is written and stored as one object."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from typing import cast

from aisio.errors import ConfigError
from aisio.records import ObjectInfo
from aisio.transport.stored_whole import StoredWhole
from aisio.transport.writer import ObjectWriter

__all__ = ["ObjectTextWriter", "OpenMode", "UnseekableText"]

_MODES = {
    frozenset(letters): (letters[0] == "w", "b" not in letters)
    for letters in ("r", "rt", "rb", "w", "wt", "wb")
}
_DEFAULT_ENCODING = "utf-8"
"""Objects are read on other machines, so the encoding of this one's locale says nothing."""


@dataclass(frozen=True)
class OpenMode:
    """How an object is opened: the arguments of Python's `open` that an object can have.

    Attributes:
        is_writing: Whether it is written.
        is_text: Whether it is text.
        encoding: Of the text.
        errors: What happens with bytes, or characters, that the encoding does not have.
        newline: How line ends are translated.
    """

    is_writing: bool
    is_text: bool
    encoding: str = _DEFAULT_ENCODING
    errors: str | None = None
    newline: str | None = None

    @classmethod
    def of(
        cls, what: str, mode: str, encoding: str | None, errors: str | None, newline: str | None
    ) -> OpenMode:
        """Check the arguments of an `open`.

        Args:
            what: The object, for errors.
            mode: See `open` of Python.
            encoding: By default UTF-8.
            errors: See `open` of Python.
            newline: See `open` of Python.

        Raises:
            ConfigError: There is no such mode, encoding, error handler or line end; or one of them
                is given for a binary file.
        """
        kind = _MODES.get(frozenset(mode)) if len(set(mode)) == len(mode) else None
        if kind is None:
            raise ConfigError(
                f"open {what}: mode={mode!r}: expected 'r', 'rb', 'w' or 'wb': an object is read,"
                " or written anew as a whole"
            )
        is_writing, is_text = kind
        given = {"encoding": encoding, "errors": errors, "newline": newline}
        if not is_text:
            names = [name for name, value in given.items() if value is not None]
            if names:
                raise ConfigError(
                    f"open {what}: {', '.join(names)}: a binary file has none; for text use"
                    f" mode={mode.replace('b', '')!r}"
                )
            return cls(is_writing, is_text)
        encoding = _DEFAULT_ENCODING if encoding is None else encoding
        try:
            if errors is not None:
                codecs.lookup_error(errors)  # Python would look it up at the first such character
            io.TextIOWrapper(io.BytesIO(), encoding, errors, newline)
        except (LookupError, ValueError) as error:
            raise ConfigError(f"open {what}: {error}") from None
        return cls(is_writing, is_text, encoding, errors, newline)

    def reader(self, file: io.BufferedReader) -> io.BufferedReader | io.TextIOWrapper:
        """Return a file that is read, as text if that is wanted."""
        if not self.is_text:
            return file
        return io.TextIOWrapper(file, self.encoding, self.errors, self.newline)

    def writer(self, file: ObjectWriter) -> ObjectWriter | ObjectTextWriter:
        """Return a file that is written, as text if that is wanted."""
        if not self.is_text:
            return file
        return ObjectTextWriter(file, self.encoding, self.errors, self.newline)


class UnseekableText(StoredWhole, io.TextIOWrapper):
    """Text that is written into a file without seek, with the mark that its encoding begins with.

    Python leaves out the byte order mark of UTF-16 and UTF-32 there, and then cannot read the text.
    """

    _needs_mark: bool | None = None  # not known before the first write

    def write(self, text: str, /) -> int:
        """Write all of a text, and return its length."""
        if self._needs_mark is None:
            self._needs_mark = codecs.lookup(self.encoding).name in ("utf-16", "utf-32")
        if self._needs_mark and text:
            self._needs_mark = False
            return super().write("\ufeff" + text) - 1
        return super().write(text)

    def close(self) -> None:
        """Write what is left, and close the file below; if that cannot be written, drop the file.

        Python would close the file after an error too, and so store a part of the text.
        """
        try:
            if not self.closed:
                self.flush()
        except BaseException:
            self.abort()
            raise
        super().close()


class ObjectTextWriter(UnseekableText):
    """Text that is written into an `ObjectWriter`; stored or dropped as that.

    If the block of the `with` statement raises, if `abort` is called, or if the file is dropped
    without being closed, nothing is stored and the old object stays.
    """

    @property
    def info(self) -> ObjectInfo | None:
        """What the store says of the object, once the file is closed; None before."""
        return self._writer.info

    @property
    def _writer(self) -> ObjectWriter:
        return cast(ObjectWriter, self.buffer)

    def abort(self) -> None:
        """Close the file without storing anything; the old object stays."""
        self._writer.abort()
