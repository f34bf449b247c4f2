"""pickles_to_tars and PickledDataWDS: WDM-18 to WDM-24, how shards are written."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import lightning  # noqa: F401 - the data modules need it
import pytest
import torch  # noqa: F401 - so do they
import webdataset as wds
from webdataset.tariterators import group_by_keys, tar_file_expander

from aisio.client.client import Client
from aisio.errors import AccessError, ConfigError, StorageError
from aisio.gateway import Gateway
from aisio.integrations.lightning import PickledDataWDS, Split, WebDataModule, pickles_to_tars
from aisio.testing import FaultProxy
from aisio.testing.fault_proxy import Status
from tests.pickle_folder import (
    SUFFIX,
    SUFFIXES,
    contents,
    members,
    samples_in,
    shard_names,
    write_pickles,
)

NAMES = [f"sample.{number:02d}" for number in range(10)]
SPLITS = {split: NAMES[start : start + 3] for split, start in zip(Split, (0, 3, 6), strict=True)}


@pytest.fixture
def pickles(tmp_path: Path) -> Path:
    """Return a folder of ten samples of two files each."""
    return write_pickles(tmp_path / "pickles", NAMES)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Return a proxy before a cluster with a bucket `data`, which the environment names."""
    (tmp_path / "store" / "data").mkdir(parents=True)
    with Gateway(tmp_path / "store") as gateway, FaultProxy(gateway.endpoint) as proxy:
        monkeypatch.setenv("AIS_ENDPOINT", proxy.endpoint)
        yield proxy


def stored() -> dict[str, bytes]:
    """Return the objects of the bucket by name."""
    with closing(Client(os.environ["AIS_ENDPOINT"])) as client:
        bucket = client.bucket("data")
        return {info.name: bucket.object(info.name).get() for info in bucket.list()}


def read_by_webdataset(folder: Path) -> list[dict[str, Any]]:
    """Return the samples of all shards, by webdataset's own reader; it leaves files open."""
    with ExitStack() as stack:
        streams = [
            {"url": path.name, "stream": stack.enter_context(path.open("rb"))}
            for path in sorted(folder.iterdir())
        ]
        return list(group_by_keys(tar_file_expander(streams)))


def test_wdm_18_shards_are_named_and_filled_as_webdataset_reads_them(
    tmp_path: Path, pickles: Path
) -> None:
    """The reader here is webdataset itself."""
    pickles_to_tars(pickles, NAMES, SUFFIXES, tmp_path / "out", "digits", min_num_shards=2)
    assert shard_names(tmp_path / "out") == ["digits-000000.tar", "digits-000001.tar"]
    first = members(tmp_path / "out" / "digits-000000.tar")
    assert [member.name for member in first[:3]] == [
        "sample-00.a.pyd",
        "sample-00.b.pyd",
        "sample-01.a.pyd",
    ]
    assert {member.mode for member in first} == {0o777}
    samples = read_by_webdataset(tmp_path / "out")
    assert [sample["__key__"] for sample in samples] == [name.replace(".", "-") for name in NAMES]
    assert [sample["b.pyd"] for sample in samples] == [
        (pickles / f"{name}.b.pyd").read_bytes() for name in NAMES
    ]


def test_wdm_18_a_function_makes_the_sample(tmp_path: Path, pickles: Path) -> None:
    """Of key and bytes; what begins with an underscore is left out."""

    def make(key: str, data: dict[str, bytes]) -> dict[str, Any]:
        return {"__key__": f"x/{key}", "n.txt": b"%d" % len(data[SUFFIX]), "_note": "left out"}

    pickles_to_tars(pickles, NAMES[:1], SUFFIX, tmp_path / "out", "digits", make)
    (member,) = members(tmp_path / "out" / "digits-000000.tar")
    assert member.name == "x/sample-00.n.txt"


@pytest.mark.parametrize(
    ("at_least", "sizes"),
    [
        (None, [10]),
        (1, [10]),
        (2, [5, 5]),
        (3, [3, 3, 3, 1]),
        (4, [2] * 5),
        (5, [2] * 5),
        (7, [1] * 10),
        (10, [1] * 10),
        (11, [1] * 10),
        (20, [1] * 10),
    ],
)
def test_wdm_19_the_number_of_shards_is_the_originals(
    tmp_path: Path, pickles: Path, at_least: int | None, sizes: list[int]
) -> None:
    """WDM-20: but none is empty; where there are too few samples each has its own shard."""
    pickles_to_tars(pickles, NAMES, SUFFIX, tmp_path / "out", "x", min_num_shards=at_least)
    assert [samples_in(shard) for shard in sorted((tmp_path / "out").iterdir())] == sizes


def test_wdm_19_a_number_of_shards_below_one_is_refused(tmp_path: Path, pickles: Path) -> None:
    """By the original's words."""
    for number in (0, -1):
        with pytest.raises(ValueError, match=f"Invalid min_num_shards = {number} <= 0"):
            pickles_to_tars(pickles, NAMES, SUFFIX, tmp_path / "out", "x", min_num_shards=number)
    with pytest.raises(TypeError, match=r"min_num_shards=2\.5: expected a whole number"):
        pickles_to_tars(pickles, NAMES, SUFFIX, tmp_path / "out", "x", min_num_shards=2.5)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_wdm_20_no_name_is_an_error(tmp_path: Path, pickles: Path) -> None:
    """Where the original writes an empty shard."""
    with pytest.raises(ConfigError, match="input_prefix_subset is empty"):
        pickles_to_tars(pickles, [], SUFFIX, tmp_path / "out", "x")
    with pytest.raises(ConfigError, match=r"no name for Split\.val: leave the split out"):
        PickledDataWDS(pickles, {Split.val: []}, SUFFIX, {Split.val: tmp_path / "out"})


def test_wdm_21_a_missing_file_names_the_sample(tmp_path: Path, pickles: Path) -> None:
    """And keeps the cause."""
    text = r"Failed to write absent into tar files: .*absent\.a\.pyd: no such file"
    with pytest.raises(RuntimeError, match=text) as raised:
        pickles_to_tars(pickles, [*NAMES, "absent"], SUFFIX, tmp_path / "out", "x")
    assert isinstance(raised.value.__cause__, FileNotFoundError)
    assert list((tmp_path / "out").iterdir()) == []


class Bomb:
    """A pickle that does something when it is loaded."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def test_wdm_21_pickles_are_copied_and_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even to find out whether they are pickles."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pickles"
    folder.mkdir()
    for name, data in {"bomb": pickle.dumps(Bomb()), "no pickle": b"\0", "empty": b""}.items():
        (folder / f"{name}.pyd").write_bytes(data)
    pickles_to_tars(folder, ["bomb", "no pickle", "empty"], "pyd", tmp_path / "out", "x")
    found = {sample["__key__"]: sample["pyd"] for sample in read_by_webdataset(tmp_path / "out")}
    assert found == {path.stem: path.read_bytes() for path in folder.iterdir()}
    assert not (tmp_path / "exploded").exists()


def test_wdm_22_a_smaller_set_leaves_no_shard_of_the_larger(tmp_path: Path, pickles: Path) -> None:
    """Other files, and shards of another prefix, stay."""
    out = tmp_path / "out"
    out.mkdir()
    others = {"y-000007.tar": b"y", "x-extra.tar": b"x", "notes": b"n"}
    for name, data in others.items():
        (out / name).write_bytes(data)
    for at_least, count in ((10, 10), (2, 2)):
        pickles_to_tars(pickles, NAMES, SUFFIX, out, "x", min_num_shards=at_least)
        shards = [f"x-{number:06d}.tar" for number in range(count)]
        assert shard_names(out) == sorted([*others, *shards])
    assert {name: data for name, data in contents(out).items() if name in others} == others


def test_wdm_22_a_run_that_fails_leaves_the_old_set(tmp_path: Path, pickles: Path) -> None:
    """With all its bytes, and nothing beside it."""
    out = tmp_path / "out"
    pickles_to_tars(pickles, NAMES, SUFFIX, out, "x", min_num_shards=3)
    before = contents(out)
    with pytest.raises(RuntimeError, match="Failed to write absent"):
        pickles_to_tars(pickles, [*NAMES, "absent"], SUFFIXES, out, "x", min_num_shards=5)
    assert contents(out) == before


def test_wdm_22_so_does_one_that_fails_while_it_publishes(
    tmp_path: Path, pickles: Path, cluster: FaultProxy
) -> None:
    """In a store: shards that were replaced are restored, those that are new deleted."""
    pickles_to_tars(pickles, NAMES, SUFFIX, "ais://data/d", "x", min_num_shards=3)
    before = stored()
    assert sorted(before) == [f"d/x-{number:06d}.tar" for number in range(4)]
    for shard, times in (("x-000002.tar", 1), ("x-000004.tar", None)):
        cluster.add(Status(403), method="PUT", path=f"/v1/objects/data/d/{shard}", times=times)
        with pytest.raises(AccessError):
            pickles_to_tars(pickles, NAMES, SUFFIXES, "ais://data/d", "x", min_num_shards=5)
        cluster.clear()
        assert stored() == before
    pickles_to_tars(pickles, NAMES, SUFFIXES, "ais://data/d", "x", min_num_shards=2)
    assert sorted(stored()) == ["d/x-000000.tar", "d/x-000001.tar"]


def test_wdm_22_a_set_that_cannot_be_restored_is_not_read(
    tmp_path: Path, pickles: Path, cluster: FaultProxy
) -> None:
    """Until it has been written again."""
    pickles_to_tars(pickles, NAMES, SUFFIX, "ais://data/d", "x", min_num_shards=3)
    second = "/v1/objects/data/d/x-000001.tar"
    requests = [request.path == second for request in cluster.requests if request.method == "PUT"]
    cluster.add(Status(403), method="PUT", path=second, skip=sum(requests))
    cluster.add(Status(403), method="PUT", path="/v1/objects/data/d/x-000002.tar")
    with pytest.raises(StorageError, match="they are not complete"):
        pickles_to_tars(pickles, NAMES, SUFFIXES, "ais://data/d", "x", min_num_shards=5)
    cluster.clear()
    one = WebDataModule(SUFFIX, {Split.val: "ais://data/d"}, "x")
    with pytest.raises(
        ConfigError, match=r"Split\.val: .*x-\*\.tar: these shards are not complete"
    ):
        one.setup("validate")
    pickles_to_tars(pickles, NAMES, SUFFIXES, "ais://data/d", "x", min_num_shards=5)
    one.setup("validate")
    assert len(list(one.val_dataloader())) == 10


def test_wdm_22_what_is_stored_already_is_not_written_again(
    tmp_path: Path, pickles: Path, cluster: FaultProxy
) -> None:
    """So a job that is started again does not disturb those that read."""
    for _ in range(2):
        pickles_to_tars(pickles, NAMES, SUFFIX, "ais://data/d", "x", min_num_shards=3)
    written = [request for request in cluster.requests if request.method == "PUT"]
    paths = {request.path for request in written}
    assert len(paths) == 5  # four shards, and the object that says that they are replaced
    write_pickles(pickles, NAMES[-1:], [SUFFIX])
    (pickles / f"{NAMES[-1]}.{SUFFIX}").write_bytes(pickle.dumps("changed"))
    count = len(cluster.requests)
    pickles_to_tars(pickles, NAMES, SUFFIX, "ais://data/d", "x", min_num_shards=3)
    again = {request.path for request in cluster.requests[count:] if request.method == "PUT"}
    assert sorted(path.rpartition("/")[2] for path in again) == ["x-000003.tar", "x.incomplete"]


def test_wdm_23_names_with_one_key_are_refused(tmp_path: Path, pickles: Path) -> None:
    """Before anything is read; a name twice as well."""
    write_pickles(pickles, ["a.b", "a-b"])
    for names in (["a.b", "a-b"], ["a.b", "a.b"]):
        text = rf"'a\.b' and '{names[1]}' would both be the sample 'a-b'"
        with pytest.raises(ConfigError, match=text):
            pickles_to_tars(pickles, names, SUFFIX, tmp_path / "out", "x")

    def make(_: str, data: dict[str, bytes]) -> dict[str, Any]:
        return {"__key__": "same", **data}

    with pytest.raises(RuntimeError, match="would both be the sample 'same'"):
        pickles_to_tars(pickles, NAMES, SUFFIX, tmp_path / "out", "x", make)


@pytest.mark.parametrize("suffixes", [SUFFIX, list(SUFFIXES)])
def test_wdm_24_every_split_gets_its_names(tmp_path: Path, pickles: Path, suffixes: Any) -> None:
    """And no other's; n_samples is how many there are."""
    folders = {split: str(tmp_path / split.name) for split in Split}
    stages = {split: wds.batched(2, collation_fn=list) for split in Split}
    one = PickledDataWDS(
        str(pickles), SPLITS, suffixes, folders, 2, pipeline_prebatch_wld=stages, n_tars_wds=2
    )
    one.prepare_data()
    loaders = {Split.train: "fit", Split.val: "validate", Split.test: "test"}
    for split, stage in loaders.items():
        assert len(shard_names(Path(folders[split]))) in (2, 3)
        one.setup(stage)
        batches = list(getattr(one, f"{split.name}_dataloader")())
        assert [len(batch) for batch in batches] == [2, 1]
        assert [sample[0][0] for batch in batches for sample in batch] == SPLITS[split]


def test_wdm_24_the_newer_form_has_no_number_of_batches(tmp_path: Path, pickles: Path) -> None:
    """The prefix may come third."""
    folders = {split: tmp_path / split.name for split in Split}
    for arguments in ((SUFFIX, folders), (SUFFIX, folders, "digits")):
        one = PickledDataWDS(pickles, {Split.test: SPLITS[Split.test]}, *arguments)
        one.prepare_data()
        one.setup("predict")
        assert [sample[0][0] for sample in one.predict_dataloader()] == SPLITS[Split.test]


def test_wdm_24_one_split_that_fails_leaves_all_as_they_were(tmp_path: Path, pickles: Path) -> None:
    """The splits are published when all of them are written."""
    folders = {split: tmp_path / split.name for split in Split}
    PickledDataWDS(pickles, SPLITS, SUFFIX, folders, 1).prepare_data()
    before = [contents(folder) for folder in folders.values()]
    worse = {**SPLITS, Split.train: NAMES[7:9], Split.test: ["absent"]}
    with pytest.raises(RuntimeError, match="Failed to write absent"):
        PickledDataWDS(pickles, worse, SUFFIX, folders, 1).prepare_data()
    assert [contents(folder) for folder in folders.values()] == before


def test_wdm_24_two_splits_do_not_share_a_folder(tmp_path: Path, pickles: Path) -> None:
    """One would replace the other's shards."""
    folders = {split: str(tmp_path / "out") for split in Split}
    with pytest.raises(ConfigError, match=r"Split\.train and Split\.val would both write"):
        PickledDataWDS(pickles, SPLITS, SUFFIX, folders, 1)
    with pytest.raises(RuntimeError, match=r"Split\.val has names, but no folder"):
        PickledDataWDS(pickles, SPLITS, SUFFIX, {Split.train: tmp_path / "out"})
