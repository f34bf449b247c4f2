"""plan_folder: which files go into which shard, by names and sizes alone."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from aisio.shards.pack_files import walk_folder
from aisio.shards.plan import DEFAULT_SHARD_BYTES, plan_folder


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30), st.integers(1, 20_000))
def test_no_sample_is_lost_and_no_shard_too_large(tmp_path_factory, sizes, limit):
    """Whatever the sizes are; only a shard of one sample may exceed the limit."""
    folder = tmp_path_factory.mktemp("in")
    for number, size in enumerate(sizes):
        (folder / f"{number:02d}.x").write_bytes(bytes(size))
    shards = plan_folder(folder, size_bytes=limit).shards
    names = [member.name for shard in shards for member in shard.members]
    assert names == [f"{number:02d}.x" for number in range(len(sizes))]
    assert all(shard.size_bytes <= limit or shard.samples == 1 for shard in shards)


def test_members_of_a_sample_stay_together(tmp_path):
    """Also where a folder's name would sort between them."""
    files = {"a.cls": b"1", "a.png": b"2", "a.d/x.png": b"3", "a-b.png": b"4"}
    shards = list(plan_folder(write(tmp_path / "in", files)).shards)
    assert [member.name for member in shards[0].members] == [
        "a.cls",
        "a.png",
        "a-b.png",
        "a.d/x.png",
    ]


def test_a_warning_counts_samples_that_differ(tmp_path):
    """With counts and first examples; the most frequent set is the usual one."""
    files = dict.fromkeys([f"{n}.{kind}" for n in range(9) for kind in ("cls", "jpg")], b"")
    files |= dict.fromkeys(["9.jpg", "a.cls", "b.cls", "c.cls", "d.cls"], b"")
    plan = plan_folder(write(tmp_path / "in", files))
    assert plan.warnings() == [
        "5 of 14 samples lack or add extensions to the usual cls, jpg:"
        " 4 with cls (a, b, c, ...); 1 with jpg (9)"
    ]


def test_a_warning_of_many_kinds_is_short(tmp_path):
    """The text stays a line."""
    files = dict.fromkeys([f"{n}.kind{n}" for n in range(10)], b"")
    (text,) = plan_folder(write(tmp_path / "in", files)).warnings()
    assert text.endswith("; and 4 other sets")


def test_all_files_of_a_folder_are_walked(tmp_path):
    """Hidden ones too: the caller decides what to leave out."""
    files = {"a/0.png": b"123", "a/0.cls": b"", "README": b"12", ".hidden": b"1"}
    walked = {file.name: file.size_bytes for file in walk_folder(write(tmp_path, files))}
    assert walked == {name: len(data) for name, data in files.items()}


def test_shards_have_a_quarter_gibibyte_by_default(tmp_path):
    """Sizes count, not bytes on disk: the files here are sparse."""
    (tmp_path / "in").mkdir()
    for number in range(3):
        with (tmp_path / "in" / f"{number}.x").open("wb") as file:
            file.truncate(100 << 20)
    plan = plan_folder(tmp_path / "in")
    assert [shard.samples for shard in plan.shards] == [2, 1]
    assert plan.shards[0].size_bytes <= DEFAULT_SHARD_BYTES
    assert plan.samples == 3
