"""Parsers of manifests that other programs write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from aisio.errors import UrlError

__all__ = ["imagenet_manifest_parser"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def imagenet_manifest_parser(reader: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yield (key, label) of each line of a tab-separated manifest.

    The first column is the key, the second the label; without a second column the label is "".
    Further columns are ignored, and so are blanks around a column, and blank lines. Lines end with
    LF or CRLF.

    Args:
        reader: The manifest, UTF-8.

    Raises:
        UrlError: A line is not UTF-8, or has no key.

    Source:
        The function of this name in Alibaba's OSS connector for PyTorch, 1.2.3. It yields
        ("", "") for a blank line, which is skipped here.
    """
    for number, line in enumerate(reader, 1):
        try:
            text = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UrlError(f"line {number}: not UTF-8 ({error.reason}): {line[:80]!r}") from None
        if not text.strip():
            continue
        key, label = (*(column.strip() for column in text.split("\t")), "")[:2]
        if not key:
            raise UrlError(f"line {number}: there is no key before the tab: {text[:80]!r}")
        yield key, label
