"""Sample and ZeroDict: the fields of a sample by extension."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from aisio.escapes import one_line


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One sample of a shard.

    Attributes:
        url: The shard's URL.
        key: The path of its members in the shard up to the first dot of the last part.
        basename: The key without folders.
        fields: Extension -> payload, in the order of the members.
        offset: Byte of the shard where its first member begins.
        left_out: Extensions that the sample has in the shard, but that `keys` excludes.
    """

    url: str
    key: str
    basename: str
    fields: dict[str, bytes]
    offset: int
    left_out: list[str] = msgspec.field(default_factory=list)

    @property
    def place(self) -> str:
        """The sample in the text of errors: its shard, key and offset."""
        return f"{one_line(self.url)}: sample {self.key!r} at byte {self.offset}"


class ZeroDict(dict[str, bytes]):
    """The fields of a sample, with b"" for those it lacks, so that torch's default collate works.

    Otherwise a plain dict: other keys raise KeyError, and pickles and copies are ZeroDicts.

    Args:
        contents: Field -> payload.
        keys: The fields it must have. They come first, in this order.
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
    key, _, extension = name.partition(".")
    if extension and key and "/" not in extension and key[-1] != "/":
        return key, extension  # most names: no other dot is before the last slash
    while name[:2] == "./":
        name = name[2:].lstrip("/")
    slash = name.rfind("/")
    dot = name.find(".", slash + 1)
    if dot <= slash + 1 or dot + 1 == len(name):
        return None
    return name[:dot], name[dot + 1 :]
