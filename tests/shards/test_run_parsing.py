"""parse_run: verified samples are read in a shorter way, which must make no difference."""

from __future__ import annotations

import tarfile
from typing import Any

import pytest

from aisio.errors import ShardError
from aisio.formats.tar_part import TarPart
from aisio.shards.reader import read_part
from aisio.shards.run_parsing import parse_run
from aisio.shards.sample_runs import SampleRun
from aisio.shards.samples import Sample
from tests.tars import LONG_NAME, gnu_sparse, pack, pack_by_tarfile, resum, typed


def with_size(member: bytes, size: bytes) -> bytes:
    """Return a member with another size in its header."""
    return resum(member[:124] + size + member[136:512]) + member[512:]


PLAIN = [
    pack(("train/1.left.png", b"P" * 700), ("train/1.cls", b"7")),
    pack(("./2.jpg", b""), ("2.json", b"{}" * 256)),
    pack(("\N{SNOWMAN}.jpg", b"J"), ("\N{SNOWMAN}.cls", b"8")),
]
OTHERS = {
    "a file without a key": pack(("1.jpg", b"J"), ("README", b"R"), ("1.cls", b"7")),
    "a directory": typed(b"5", "d") + pack(("1.jpg", b"J")),
    "a type from before POSIX": typed(b"\0", "1.jpg", b"J" * 513),
    "a contiguous file": typed(b"7", "1.jpg", b"J"),
    "a sparse file": gnu_sparse("1.bin"),
    "a long name of GNU": pack_by_tarfile([(LONG_NAME, b"J")], tarfile.GNU_FORMAT),
    "a long name of PAX": pack_by_tarfile([(LONG_NAME, b"J")], tarfile.PAX_FORMAT),
    "a prefix": pack_by_tarfile([("f" * 80 + "/" + "g" * 80 + "/1.j", b"J")], tarfile.USTAR_FORMAT),
    "a size in base 256": with_size(typed(b"0", "1.jpg", b"JJJ"), b"\x80" + bytes(10) + b"\3"),
    "a size that nothing ends": with_size(typed(b"0", "1.jpg", b"JJJ"), b"%012o" % 3),
}
SAMPLE = pack(("1.jpg", b"J" * 100), ("1.cls", b"7"))
ERRORS = {
    "a field twice": (pack(("1.jpg", b"J"), ("1.jpg", b"K")), "twice"),
    "a link": (typed(b"2", "1.jpg"), "symlink"),
    "another sample": (pack(("1.jpg", b"J"), ("2.jpg", b"K")), ""),
    "a cut payload": (SAMPLE[:-1536], "cut"),
    "no number": (with_size(SAMPLE, b"x" * 12), "size"),
}


def without_end(archive: bytes) -> bytes:
    """Return the members of an archive alone."""
    whole = archive.rstrip(b"\0")
    return whole + bytes(-len(whole) % 512) if len(whole) > 512 else archive[:512]


def read(*samples: bytes, is_verified: bool, keys: list[str] | None = None) -> list[Sample]:
    """Parse samples that stand behind each other in a shard, from byte 512 on, with a gap."""
    offsets, data = [], b""
    for sample in samples:
        offsets.append(512 + len(data))
        data += sample + b"gap".ljust(512)
    run = SampleRun(0, list(range(len(samples))), offsets, list(map(len, samples)), len(data))
    return parse_run(
        run, bytearray(data), TarPart(), url="a.tar", keys=keys, is_verified=is_verified
    )


@pytest.mark.parametrize("keys", [None, ["jpg", "cls"], []])
def test_plain_samples_need_no_parser(
    keys: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come as from the parser: fields, what was left out, names, offsets."""
    samples = list(map(without_end, PLAIN))
    parsed = read(*samples, keys=keys, is_verified=False)
    assert [sample.key for sample in parsed] == ["train/1", "2", "\N{SNOWMAN}"]
    monkeypatch.delattr("aisio.shards.run_parsing.read_part")
    assert read(*samples, keys=keys, is_verified=True) == parsed


@pytest.mark.parametrize("kind", OTHERS)
def test_other_samples_are_parsed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is enough for the run."""
    samples = [without_end(PLAIN[0]), without_end(OTHERS[kind])]
    parsed = read(*samples, is_verified=False)
    assert len(parsed) == 2
    calls: list[str] = []

    def counted(part: TarPart, *, url: str, **options: Any) -> list[Sample]:
        calls.append(url)
        return list(read_part(part, url=url, **options))

    monkeypatch.setattr("aisio.shards.run_parsing.read_part", counted)
    assert read(*samples, is_verified=True) == parsed
    assert calls == ["a.tar", "a.tar"]


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_are_those_of_the_parser(kind: str) -> None:
    """Also those that the index does not know of, as it reads no field."""
    sample, text = ERRORS[kind]
    found = [outcome(without_end(sample), is_verified) for is_verified in (False, True)]
    assert found[0] == found[1]
    assert text in str(found[0])
    assert isinstance(found[0], str) == bool(text)


def outcome(sample: bytes, is_verified: bool) -> list[Sample] | str:
    """Return the samples, or the text of the error."""
    try:
        return read(sample, is_verified=is_verified)
    except ShardError as error:
        return str(error)
