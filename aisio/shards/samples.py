"""Samples of a shard: their fields by extension."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec


class Sample(msgspec.Struct, frozen=True):
    """One sample of a shard.

    Attributes:
        url: The shard's URL.
        key: The path of its members in the shard up to the first dot of the last part.
        basename: The key without folders.
        fields: Extension -> payload, in the order of the members.
        offset: Byte of the shard where its first member begins.
        left_out: The extensions that it has in the shard, and that were not wanted.
    """

    url: str
    key: str
    basename: str
    fields: dict[str, bytes]
    offset: int
    left_out: list[str] = msgspec.field(default_factory=list)


class ZeroDict(dict[str, bytes]):
    """The fields of a sample, b"" for those it lacks, so that torch's default collate takes it.

    A plain dict otherwise: other keys are a KeyError, and it pickles and copies as itself.

    Args:
        contents: Field -> payload.
        keys: The fields to have; they come first and in this order, whatever the order in contents.
    """

    __slots__ = ()

    def __init__(self, contents: Mapping[str, bytes], keys: Iterable[str] = ()) -> None:
        super().__init__(dict.fromkeys(keys, b""))
        self.update(contents)


def split_name(name: str) -> tuple[str, str] | None:
    """Split a member's name into sample key and extension.

    Returns:
        Key with folders, and extension without its first dot; None for a name of no sample.
    """
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    dot = name.find(".", name.rfind("/") + 1)
    key, extension = name[:dot], name[dot + 1 :]
    if dot < 0 or not extension or not key or key.endswith("/"):
        return None
    return key, extension
