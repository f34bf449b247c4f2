"""ShardPass: grouping of members into samples."""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import AisioError, ShardError
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from aisio.shards.reader import ShardPass, read_samples
from aisio.shards.samples import Sample
from tests.tars import (
    LONG_NAME,
    gnu_sparse,
    pack,
    pack_by_gnu_tar,
    pax_sparse,
    resum,
    sparse_content,
    typed,
)

URL = "ais://bucket/train-000000.tar"


def read(data: bytes, *, interleaved: bool = False) -> list[Sample]:
    """Read all samples of a shard."""
    return list(read_samples(io.BytesIO(data), url=URL, interleaved=interleaved))


def test_members_are_grouped_by_key():
    """AIS-11: samples come in order, each with its basename, its fields and its place."""
    data = pack(
        ("train/1.jpg", b"J1"), ("train/1.left.png", b"P1"), ("train/1.right.png", b"R1"),
        ("train/2.jpg", b"J2"),
    )  # fmt: skip
    assert read(data) == [
        Sample(URL, "train/1", "1", {"jpg": b"J1", "left.png": b"P1", "right.png": b"R1"}, 0),
        Sample(URL, "train/2", "2", {"jpg": b"J2"}, 3072),
    ]


def test_equal_basenames_in_different_folders_stay_apart():
    """AIS-13: members are grouped by the full key, not by the basename."""
    samples = read(pack(("a/1.jpg", b"A"), ("b/1.jpg", b"B"), ("1.jpg", b"C")))
    assert [(sample.key, sample.basename, sample.fields) for sample in samples] == [
        ("a/1", "1", {"jpg": b"A"}),
        ("b/1", "1", {"jpg": b"B"}),
        ("1", "1", {"jpg": b"C"}),
    ]


def test_folder_packed_by_gnu_tar_gives_its_samples(tmp_path: Path):
    """AIS-13: directories, README, hidden files, FIFOs and the leading "./" do no harm."""
    (tmp_path / "v1.0").mkdir()
    for name in ("1.cls", "1.jpg", "2.jpg", "README", ".DS_Store", "._1.jpg", "v1.0/1.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    os.mkfifo(tmp_path / "3.jpg")
    samples = read(pack_by_gnu_tar(tmp_path))
    assert [(sample.key, sample.fields) for sample in samples] == [
        ("1", {"cls": b"1.cls", "jpg": b"1.jpg"}),
        ("2", {"jpg": b"2.jpg"}),
        ("v1.0/1", {"jpg": b"v1.0/1.jpg"}),
    ]


def test_passed_over_members_do_not_part_a_sample():
    """A README between two members of a sample, payload and all, leaves the sample whole."""
    [sample] = read(pack(("1.jpg", b"J"), ("README", b"x" * 5000), ("1.cls", b"7")))
    assert sample.fields == {"jpg": b"J", "cls": b"7"}


@pytest.mark.parametrize("interleaved", [False, True])
def test_shard_of_files_without_a_sample_is_an_error(interleaved: bool):
    """A shard is packed to be read: the text names a file that it has."""
    data = pack(("images/0001", b"J"), (".DS_Store", b"x"))
    with pytest.raises(ShardError, match=r"none of its 2 files .*'images/0001' at byte 0") as one:
        read(data, interleaved=interleaved)
    assert (one.value.url, one.value.offset) == (URL, 0)


def test_shard_without_files_gives_a_warning():
    """A packer may leave an empty archive, and that is no damage."""
    for data in (END_OF_ARCHIVE, tarfile.TarInfo("./").tobuf()[:156] + b"5" + bytes(355)):
        block = data if data == END_OF_ARCHIVE else resum(data) + END_OF_ARCHIVE
        with pytest.warns(UserWarning, match=f"^{URL}: a shard without files"):
            assert read(block) == []


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_links_with_a_field_name_are_errors(tmp_path: Path, kind: str):
    """The data of a link is elsewhere; to pass over it would lose a field without a word."""
    (tmp_path / "1.jpg").write_bytes(b"J")
    if kind == "hardlink":
        os.link(tmp_path / "1.jpg", tmp_path / "2.jpg")
    else:
        (tmp_path / "2.jpg").symlink_to("1.jpg")
    with pytest.raises(ShardError, match=rf"'\./2\.jpg' at byte \d+ is a {kind} to .*1\.jpg"):
        read(pack_by_gnu_tar(tmp_path))
    assert len(read(pack_by_gnu_tar(tmp_path, "--dereference", "--hard-dereference"))) == 2


def test_links_without_a_field_name_are_passed_over(tmp_path: Path):
    """A link that could not be a field is no loss."""
    (tmp_path / "1.jpg").write_bytes(b"J")
    (tmp_path / "latest").symlink_to("1.jpg")
    assert [sample.key for sample in read(pack_by_gnu_tar(tmp_path))] == ["1"]


def test_key_that_comes_back_is_an_error():
    """A sample that was yielded cannot grow; the text names shard, sample, member and offset."""
    data = pack(("1.jpg", b"J"), ("2.jpg", b"J"), ("1.cls", b"7"))
    with pytest.raises(ShardError) as caught:
        read(data)
    for part in (URL, "'1'", "'1.cls'", "byte 2048", "interleaved=True"):
        assert part in str(caught.value)
    assert (caught.value.url, caught.value.offset) == (URL, 2048)


@pytest.mark.parametrize("interleaved", [False, True])
def test_field_twice_is_an_error(interleaved: bool):
    """Of two equal fields one would be lost, with or without interleaved=True."""
    data = pack(("1.jpg", b"J"), ("1.jpg", b"K"))
    with pytest.raises(ShardError) as caught:
        read(data, interleaved=interleaved)
    for part in (URL, "'1'", "'jpg'", "'1.jpg'", "byte 1024", "interleaved=True"):
        assert part in str(caught.value)


def test_interleaved_shards_are_collected():
    """interleaved=True yields whole samples in the order of their first members."""
    data = pack(("2.jpg", b"J2"), ("1.jpg", b"J1"), ("1.cls", b"C1"), ("2.cls", b"C2"))
    assert [(sample.key, sample.fields) for sample in read(data, interleaved=True)] == [
        ("2", {"jpg": b"J2", "cls": b"C2"}),
        ("1", {"jpg": b"J1", "cls": b"C1"}),
    ]


@pytest.mark.parametrize("interleaved", [False, True])
def test_cut_shard_gives_only_whole_samples_then_the_error(interleaved: bool):
    """AIS-14: wherever a shard is cut, no sample with half its fields comes out of it."""
    data = pack(*((f"{key}.{field}", b"x" * 300) for key in "12" for field in ("cls", "jpg")))
    whole = read(data)
    for stop in range(len(data) - 512):
        given_out = []
        with pytest.raises(ShardError, match=URL):  # noqa: PT012 - what came before counts
            for sample in read_samples(io.BytesIO(data[:stop]), url=URL, interleaved=interleaved):
                given_out.append(sample)
        assert given_out == whole[: len(given_out)]
        assert len(given_out) < 2


def test_errors_begin_with_the_reader():
    """AIS-14: the text is <Class> URL: cause, and the error is tarfile's as well as ours."""
    stream = io.BytesIO(pack(("1.jpg", b"J"))[:1024])
    with pytest.raises(tarfile.TarError, match=f"^<AISShardReader> {URL}: cut at byte 1024") as one:
        list(read_samples(stream, url=URL, reader="AISShardReader"))
    assert isinstance(one.value, AisioError)
    assert (one.value.url, getattr(one.value, "offset", None)) == (URL, 1024)
    with pytest.raises(ShardError, match=f"^<AISShardReader> {URL}: not a tar archive"):
        list(read_samples(io.BytesIO(b"x" * 600), url=URL, reader="AISShardReader"))


def test_samples_are_counted_without_payloads():
    """AIS-15: samples count, not members, and no payload is copied for it."""
    data = pack(("README", b""), ("1.jpg", b"J"), ("1.cls", b"7"), ("2.jpg", bytes(9000)))
    samples = ShardPass(io.BytesIO(data), url=URL, payloads=False).samples()
    assert [(sample.key, sample.fields) for sample in samples] == [
        ("1", {"jpg": b"", "cls": b""}),
        ("2", {"jpg": b""}),
    ]


@pytest.mark.parametrize(
    ("members", "given", "lost"),
    [
        (["1.a", "2.a", "2.a", "2.b", "3.a"], 1, 2),  # a field twice: 2 and 3 were not given
        (["1.a", "2.a", "1.b", "3.a", "2.b"], 2, 1),  # a key comes back: 1 and 2 were given
        (["1.a", "1.a"], 0, 1),
    ],
)
def test_what_a_refused_member_costs_is_counted(members: list[str], given: int, lost: int):
    """Behind a member that does not fit, the shard can be read on: nobody has to guess."""
    shard = ShardPass(io.BytesIO(pack(*((name, b"x" * 600) for name in members))), url=URL)
    samples = []
    with pytest.raises(ShardError):  # noqa: PT012 - what came before counts
        for sample in shard.samples():
            samples.append(sample.key)
    assert (len(samples), shard.count_lost()) == (given, lost)


def test_links_are_counted_as_lost(tmp_path: Path):
    """The samples before the link are complete, and yielded."""
    for name in ("1.jpg", "2.jpg", "4.jpg"):
        (tmp_path / name).write_bytes(b"J")
    (tmp_path / "3.jpg").symlink_to("1.jpg")
    shard = ShardPass(io.BytesIO(pack_by_gnu_tar(tmp_path)), url=URL)
    samples = shard.samples()
    assert next(samples).key == "1"
    assert next(samples).key == "2"
    with pytest.raises(ShardError, match="symlink"):
        next(samples)
    assert shard.count_lost() == 2


def test_what_a_cut_costs_is_not_known():
    """The rest of the shard cannot be read, so nothing can be counted."""
    shard = ShardPass(io.BytesIO(pack(("1.jpg", b"J"), ("2.jpg", b"J"))[:1700]), url=URL)
    with pytest.raises(ShardError, match="cut"):
        list(shard.samples())
    assert shard.count_lost() is None


def test_only_wanted_fields_are_copied():
    """keys= leaves fields out, by name, and keeps a sample that has none of them."""
    data = pack(("1.jpg", b"J"), ("1.cls", b"7"), ("2.jpg", b"J"))
    samples = read_samples(io.BytesIO(data), url=URL, keys=("cls",))
    assert [(one.key, one.fields, one.left_out) for one in samples] == [
        ("1", {"cls": b"7"}, ["jpg"]),
        ("2", {}, ["jpg"]),
    ]


@pytest.mark.parametrize("keys", [None, ("npy",), ("cls",)])
@pytest.mark.parametrize("payloads", [True, False])
def test_sparse_files_are_fields_like_others(keys: tuple[str, ...] | None, *, payloads: bool):
    """In any form; bsdtar writes them by default."""
    content = {"npy": sparse_content(30), "cls": b"7"}
    data = gnu_sparse("1.npy", spans=30) + pack(("1.cls", b"7"))[:1024] + pax_sparse("2.npy")
    stream = io.BytesIO(data + END_OF_ARCHIVE)
    samples = [*ShardPass(stream, url=URL, keys=keys, payloads=payloads).samples()]
    names = keys or ("npy", "cls")
    first = {name: content[name] if payloads else b"" for name in names}
    second = {"npy": sparse_content() if payloads else b""} if "npy" in names else {}
    assert [sample.fields for sample in samples] == [first, second]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b/a", "c"]), st.sampled_from(["x", "y.z"]), st.binary()),
        unique_by=lambda member: member[:2],
        min_size=1,
    )
)
def test_no_member_is_lost_or_moved(members: list[tuple[str, str, bytes]]):
    """In any order, interleaved=True yields each field once; sorted members do not need it."""
    data = pack(*((f"{key}.{extension}", payload) for key, extension, payload in members))
    samples = read(data, interleaved=True)
    found = [(one.key, *field) for one in samples for field in one.fields.items()]
    assert sorted(found) == sorted(members)
    keys = [key for key, _, _ in members]
    if sorted(keys) == keys:
        assert read(data) == samples


class EndlessShard:
    """A shard made up while it is read; long names make it PAX in places."""

    def __init__(self, samples: int, payload: bytes) -> None:
        self._blocks = self._write(samples, payload)
        self._left = memoryview(b"")

    def _write(self, samples: int, payload: bytes) -> Iterator[bytes]:
        for index in range(samples):
            name = f"{LONG_NAME[:-14] if index % 10 == 0 else ''}{index:06d}"
            yield header(f"{name}.bin", len(payload))
            yield payload + padding(len(payload))
        yield END_OF_ARCHIVE

    def readinto(self, buffer: memoryview) -> int:
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def test_memory_is_bounded_by_a_sample_and_a_buffer():
    """A shard of 200 MB is read in the memory of 1 MiB and a few samples of 0.5 MB."""
    payload = os.urandom(500_000)
    tracemalloc.start()
    count = 0
    for sample in read_samples(EndlessShard(400, payload), url=URL):
        assert sample.fields["bin"] == payload
        count += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 400
    assert peak < 3_000_000


@pytest.mark.parametrize("interleaved", [False, True])
def test_members_of_samples_are_reported(interleaved: bool):
    """With their keys, and those that `keys` leaves out; not what belongs to no sample."""
    seen: list[tuple[str, int]] = []
    shard = ShardPass(
        io.BytesIO(pack(("README", b"x"), ("1.jpg", b"J"), ("1.cls", b"7"), ("2.jpg", b"K"))),
        url=URL,
        keys=["cls"],
        interleaved=interleaved,
        on_member=lambda member, key: seen.append((key, member.offset)),
    )
    assert [sample.key for sample in shard.samples()] == ["1", "2"]
    assert seen == [("1", 1024), ("1", 2048), ("2", 3072)]
    assert (shard.is_compressed, shard.parser.end_offset) == (False, 4096)


def test_members_of_unknown_types_are_one_line_of_log(caplog: pytest.LogCaptureFixture):
    """Those without data, or without the name of a field; another one is an error."""
    caplog.set_level("INFO")
    unknown = typed(b"Z", "1.bin") + typed(b"Z", "README", b"x" * 600) + typed(b"3", "1.dev")
    found = read_samples(io.BytesIO(unknown + pack(("1.jpg", b"image"))), url="a.tar")
    assert [sample.fields for sample in found] == [{"jpg": b"image"}]
    [message] = caplog.messages
    text = "a.tar: passed over 2 members of unknown types, the first is '1.bin' of type b'Z' at"
    assert message.startswith(f"{text} byte 0")
    with pytest.raises(ShardError, match=r"'1\.bin' at byte 0 is of the unknown type b'Z'"):
        list(read_samples(io.BytesIO(typed(b"Z", "1.bin", b"x") + pack()), url="a.tar"))
