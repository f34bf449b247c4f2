"""What is wrong with a tar archive, in words, and what to do about it. Pure."""

from __future__ import annotations

from aisio.formats.tar_header import BLOCK_BYTES

__all__ = ["data_behind_the_end", "less_than_a_header", "not_a_tar"]

_OTHER_FORMATS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}


def _describe_other_format(start: bytes) -> str:
    """Return what a file is that begins so, and what to do with it; "" if that is not known."""
    kind = next((kind for magic, kind in _OTHER_FORMATS.items() if start.startswith(magic)), "")
    if kind == "zip":
        return "a zip: repack it, zip cannot be streamed"
    return f"{kind} data: decompress it first" if kind else ""


def not_a_tar(block: bytes) -> str:
    """Return what is wrong where the first block is no header."""
    other = _describe_other_format(block)
    return (
        f"not a tar archive but {other}" if other else "not a tar archive: no tar header at byte 0"
    )


def less_than_a_header(data: bytes) -> tuple[str, int]:
    """Return what is wrong with an archive of less than one block, and at which byte.

    Args:
        data: All of it.
    """
    if not data:
        return "empty: even an archive without members has an end-of-archive block", 0
    if _describe_other_format(data):
        return not_a_tar(data), 0
    return f"cut at byte {len(data)}, or not a tar archive: less than one header", len(data)


def data_behind_the_end(offset: int, end_offset: int) -> str:
    """Return what is wrong where bytes other than zero stand behind the end of an archive.

    Args:
        offset: Byte of the first of them.
        end_offset: Byte of the end-of-archive block.
    """
    return (
        f"data at byte {offset}, after the end-of-archive block at byte {end_offset}: archives were"
        " concatenated (join them by `tar --concatenate`), or it is damaged; if that is known to be"
        f" garbage, keep the first {end_offset + BLOCK_BYTES} bytes"
    )
