"""Archives of all formats, made by Python's own modules: a second opinion on the gateway's."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile

MEMBERS = {
    "b/2.txt": b"two",
    "a/1.txt": b"one" * 1000,
    "a/1.jpg": b"",
    "c": bytes(range(256)) * 900,
}


def make_tar(members: dict[str, bytes] = MEMBERS, *, folder: str = "") -> bytes:
    """Return a tar of these members, after a folder if one is named."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        if folder:
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), 1000, 0o600
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def make_zip(members: dict[str, bytes] = MEMBERS) -> bytes:
    """Return a zip of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def make_zip_with_wrong_size(name: str, data: bytes, extra_bytes: int) -> bytes:
    """Return a zip of one member whose two headers both claim more bytes than it has."""
    whole = bytearray(make_zip({name: data}))
    size = struct.pack("<I", len(data))
    claimed = struct.pack("<I", len(data) + extra_bytes)
    for at in (22, whole.index(b"PK\x01\x02") + 24):  # PKWARE's APPNOTE, 4.3.7 and 4.3.12
        assert whole[at : at + 4] == size
        whole[at : at + 4] = claimed
    return bytes(whole)


def make_archive(ending: str, members: dict[str, bytes] = MEMBERS) -> bytes:
    """Return an archive of the format that a file name's ending means."""
    if ending == ".zip":
        return make_zip(members)
    tar = make_tar(members)
    return tar if ending == ".tar" else gzip.compress(tar)


def read_archive(data: bytes) -> list[tuple[str, bytes]]:
    """Return names and contents of the files in an archive, in order; of any format."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [(name, archive.read(name)) for name in archive.namelist()]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(m.name, tar.extractfile(m).read()) for m in tar if m.isfile()]  # type: ignore[union-attr]
