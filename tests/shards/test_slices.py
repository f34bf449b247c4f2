"""ShardSlice: samples out of the middle of a shard, each verified before it is parsed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from aisio.errors import IntegrityError
from aisio.shards.index import SampleSpan, ShardIndex
from aisio.shards.index_build import build_shard_index
from aisio.shards.reader import ShardPass
from aisio.shards.slices import ShardSlice
from aisio.sources.source_set import SourceSet
from tests.tars import pack

MEMBERS = [(f"{number}.{end}", bytes([number]) * 700) for number in range(6) for end in ("a", "b")]
SHARD = pack(("README", b"stray"), *MEMBERS)


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[SampleSpan]:
    """Return where the samples of the shard are."""
    path = tmp_path_factory.mktemp("slices") / "a.tar"
    path.write_bytes(SHARD)
    [(source, info)] = SourceSet(path, owner="x").list()
    index: ShardIndex = build_shard_index(lambda: source.get(info), info)
    return [index.span(number) for number in range(len(index))]


class Bytes(io.BytesIO):
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self.step = step

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        return super().readinto(buffer[: self.step])


def cut(wanted: list[SampleSpan], *, data: bytes = SHARD, more: int = 0, step: int) -> ShardSlice:
    """Return the slice of some samples."""
    start, stop = wanted[0].offset, wanted[-1].offset + wanted[-1].size_bytes + more
    return ShardSlice(Bytes(data[start:stop], step), wanted, "file:///a.tar")


@pytest.mark.parametrize("step", [13, 512, 1 << 20])
@pytest.mark.parametrize(("start", "stop"), [(0, 6), (0, 1), (2, 5), (5, 6)])
def test_a_slice_is_parsed_as_a_shard(spans, start, stop, step) -> None:
    """However its bytes arrive."""
    samples = list(ShardPass(cut(spans[start:stop], step=step), url="x").samples())
    assert [sample.key for sample in samples] == [str(number) for number in range(start, stop)]
    assert [list(sample.fields) for sample in samples] == [["a", "b"]] * (stop - start)


@pytest.mark.parametrize("step", [13, 512])
def test_a_wrong_sample_is_not_given(spans, step) -> None:
    """Those before it are; the error says where it is."""
    data = bytearray(SHARD)
    data[spans[3].offset + spans[3].size_bytes - 1] ^= 1
    samples = ShardPass(cut(spans[1:5], data=bytes(data), step=step), url="x").samples()
    assert next(samples).key == "1"
    message = f"a.tar: the sample at bytes {spans[3].offset} to .* its bytes are not those"
    with pytest.raises(IntegrityError, match=message):
        list(samples)


@pytest.mark.parametrize(("more", "text"), [(-512, "ended too early"), (512, "more bytes came")])
def test_a_range_of_another_size_is_refused(spans, more, text) -> None:
    """The store would have to answer wrongly."""
    with pytest.raises(IntegrityError, match=text):
        list(ShardPass(cut(spans[1:3], more=more, step=512), url="x").samples())


def test_it_closes_what_it_reads(spans) -> None:
    """The connection goes back."""
    part = cut(spans[:1], step=1)
    part.close()
    with pytest.raises(ValueError, match="closed"):
        part.readinto(memoryview(bytearray(1)))


def test_the_fixture_has_the_shard_of_the_test(tmp_path: Path, spans) -> None:
    """The stray file is before the first sample, and in none."""
    assert spans[0].offset == 1024
    assert len(spans) == 6
