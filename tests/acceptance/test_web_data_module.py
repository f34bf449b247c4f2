"""WebDataModule: WDM-01 to WDM-15, what BioNeMo's class of this name does with shards."""

from __future__ import annotations

import inspect
import pickle
import random
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import lightning  # noqa: F401 - the data modules need it
import pytest
import torch  # noqa: F401 - so do they
import webdataset as wds

from aisio.client.client import Client
from aisio.errors import ConfigError, NotFoundError
from aisio.gateway import Gateway
from aisio.integrations.lightning import Split, WebDataModule, pickles_to_tars
from tests.moto_server import KEYS, boto_client, s3_server
from tests.pickle_folder import SUFFIX, SUFFIXES, write_pickles

NAMES = {split: [f"{split.name}-{number:02d}" for number in range(10)] for split in Split}
SEED_ARGUMENTS = [
    "n_samples",
    "suffix_keys_wds",
    "dirs_tars_wds",
    "global_batch_size",
    "prefix_tars_wds",
    "pipeline_wds",
    "pipeline_prebatch_wld",
    "kwargs_wds",
    "kwargs_wld",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Split, str]:
    """Return a folder for each split, with four shards of ten samples."""
    root = tmp_path_factory.mktemp("splits")
    for split, names in NAMES.items():
        pickles = write_pickles(root / "pickles", names)
        pickles_to_tars(pickles, names, SUFFIXES, root / split.name, "wdshards", min_num_shards=3)
    return {split: str(root / split.name) for split in Split}


def module(folders: Any, suffixes: Any = SUFFIX, batch: Any = 1, **options: Any) -> Any:
    """Return a data module in the form with n_samples."""
    return WebDataModule(dict.fromkeys(folders, 10), suffixes, folders, batch, **options)


def names_of(samples: Any) -> list[str]:
    """Return the names of samples of one field."""
    return [sample[0][0] for sample in samples]


def for_all(value: Any) -> dict[Split, Any]:
    """Return a value for every split."""
    return dict.fromkeys(Split, value)


def test_wdm_01_splits_and_arguments_are_those_of_the_original() -> None:
    """In its order, so that positional arguments mean the same."""
    assert {split.name: split.value for split in Split} == {"train": 1, "val": 2, "test": 3}
    shown = list(inspect.signature(WebDataModule).parameters)
    assert shown == [*SEED_ARGUMENTS, "invoke_wds", "invoke_wld"]


@pytest.mark.parametrize("suffixes", [SUFFIX, list(SUFFIXES)])
def test_wdm_01_arguments_are_kept(folders: dict[Split, str], suffixes: Any) -> None:
    """Under the names that subclasses know, by position as by name."""
    values: dict[str, Any] = {
        "n_samples": for_all(10),
        "suffix_keys_wds": suffixes,
        "dirs_tars_wds": folders,
        "global_batch_size": 2,
        "prefix_tars_wds": "wdshards",
        "pipeline_wds": {Split.train: [wds.shuffle(3)]},
        "pipeline_prebatch_wld": {Split.train: wds.shuffle(3), Split.val: None},
        "kwargs_wds": for_all({"shardshuffle": False}),
        "kwargs_wld": for_all({"num_workers": 2}),
    }
    for one in (WebDataModule(*values.values()), WebDataModule(**values)):
        assert {name: getattr(one, f"_{name}") for name in values} == values


def test_wdm_02_the_newer_form_begins_with_the_suffixes(folders: dict[Split, str]) -> None:
    """By position and by name; its loader ends with the data."""
    by_position = WebDataModule(SUFFIX, folders, "wdshards", None, None, None, None, None, None)
    by_name = WebDataModule(dirs_tars_wds=folders, suffix_keys_wds=SUFFIX)
    for one in (by_position, by_name, WebDataModule([SUFFIX], folders)):
        one.setup("test")
        assert names_of(one.test_dataloader()) == NAMES[Split.test]


def test_wdm_02_the_forms_are_not_mixed(folders: dict[Split, str]) -> None:
    """An argument of the other form is no silent extra."""
    with pytest.raises(TypeError, match="n_samples: the suffixes come first"):
        WebDataModule(SUFFIX, folders, n_samples=for_all(10))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="global_batch_size"):
        WebDataModule(n_samples=for_all(10), suffix_keys_wds=SUFFIX, dirs_tars_wds=folders)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="suffix_keys_wds: given twice"):
        WebDataModule(SUFFIX, folders, suffix_keys_wds=SUFFIX)  # type: ignore[call-overload]


def test_wdm_03_different_splits_and_wrong_suffixes_are_refused(folders: dict[Split, str]) -> None:
    """By the original's errors."""
    with pytest.raises(RuntimeError, match="Input n_samples has different keys than dirs_tars_wds"):
        WebDataModule({Split.train: 10}, SUFFIX, folders, 1)
    for form in (partial(module, folders, 5), partial(WebDataModule, 5, folders)):
        with pytest.raises(TypeError, match=r"suffix_keys_wds can only be str or Iterable\[str\]"):
            form()


def test_wdm_04_a_stage_sets_its_splits_up(folders: dict[Split, str]) -> None:
    """Each stage the splits of the original."""
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader")
    expected = {
        "fit": [True, True, False, False],
        "validate": [False, True, False, False],
        "test": [False, False, True, True],
        "predict": [False, False, True, True],
    }
    for stage, ready in expected.items():
        one = module(folders)
        one.setup(stage)
        assert [_works(getattr(one, name)) for name in loaders] == ready
    for unknown in ("x", None):
        with pytest.raises(NotImplementedError, match="is not implemented"):
            module(folders).setup(unknown)


def _works(loader: Any) -> bool:
    try:
        return bool(list(loader()))
    except ValueError as error:
        assert "has no dataset yet: call setup() with" in str(error)  # noqa: PT017
        return False


def test_wdm_04_a_split_without_a_folder_is_named(folders: dict[Split, str]) -> None:
    """Where it is needed only: test data may be all there is."""
    one = WebDataModule(SUFFIX, {Split.test: folders[Split.test]})
    one.setup("test")
    with pytest.raises(RuntimeError, match=r"Split\.train split that doesn't have the input tar"):
        one.setup("fit")


def test_wdm_05_shards_are_sorted_by_name(tmp_path: Path, folders: dict[Split, str]) -> None:
    """Other prefixes, folders and endings do not count."""
    source = Path(folders[Split.train])
    for new, old in {"b": 0, "a": 2, "c": 1}.items():
        shard = source / f"wdshards-{old:06d}.tar"
        (tmp_path / f"wdshards-{new}.tar").write_bytes(shard.read_bytes())
    for name in ("wdshards.tar", "wdshards-0.tar.gz", "other-0.tar", "wdshards-0.txt"):
        (tmp_path / name).write_bytes(b"no shard")
    (tmp_path / "wdshards-x").mkdir()
    (tmp_path / "wdshards-x" / "wdshards-0.tar").write_bytes(b"no shard")
    one = WebDataModule(SUFFIX, {Split.test: tmp_path})
    one.setup("test")
    order = [NAMES[Split.train][number] for number in (6, 7, 8, 0, 1, 2, 3, 4, 5)]
    assert names_of(one.test_dataloader()) == order


def test_wdm_05_shards_may_be_in_a_cluster_or_the_catalog(
    tmp_path: Path, folders: dict[Split, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers read them as the program does."""
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path))
    pipeline: Any = {"num_workers": 2, "multiprocessing_context": "fork"}
    (tmp_path / "store").mkdir()
    with Gateway(tmp_path / "store") as gateway:
        monkeypatch.setenv("AIS_ENDPOINT", gateway.endpoint)
        with closing(Client(gateway.endpoint)) as client:
            bucket = client.bucket("data").create()
            for shard in sorted(Path(folders[Split.test]).iterdir()):
                bucket.object(f"test/{shard.name}").put(shard)
        (tmp_path / "team.yaml").write_text("- tag: digits\n  prefix: ais://data/test/\n")
        for where in (
            "ais://data/test",
            "ais://data/test/",
            "team/digits",
            "catalog://team/digits",
        ):
            one = WebDataModule(SUFFIX, {Split.test: where}, kwargs_wld={Split.test: pipeline})
            one.setup("test")
            assert sorted(names_of(one.test_dataloader())) == NAMES[Split.test]


def test_wdm_05_shards_may_be_in_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WDM-22: and are written there; a smaller set leaves none of a larger one."""
    pytest.importorskip("obstore", reason="there is no build of obstore for Python 3.10")
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    pickles = write_pickles(tmp_path / "pickles", NAMES[Split.test], [SUFFIX])
    with s3_server() as endpoint:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        s3 = boto_client(endpoint)
        s3.create_bucket(Bucket="data")
        for at_least, keys in ((3, 4), (2, 2)):
            pickles_to_tars(
                pickles, NAMES[Split.test], SUFFIX, "s3://data/test", "x", min_num_shards=at_least
            )
            found = [one["Key"] for one in s3.list_objects_v2(Bucket="data")["Contents"]]
            assert found == [f"test/x-{number:06d}.tar" for number in range(keys)]
            one = WebDataModule(SUFFIX, {Split.test: "s3://data/test"}, "x")
            one.setup("test")
            assert names_of(one.test_dataloader()) == NAMES[Split.test]


def test_wdm_06_no_shard_is_an_error_with_split_folder_and_pattern(tmp_path: Path) -> None:
    """Not one of webdataset's, at a line that names nothing."""
    for folder in (tmp_path, tmp_path / "absent"):
        one = WebDataModule(SUFFIX, {Split.val: str(folder)})
        with pytest.raises(NotFoundError, match=rf"Split\.val: {folder}/wdshards-\*\.tar"):
            one.setup("validate")


def test_wdm_06_a_loader_before_setup_is_a_value_error(folders: dict[Split, str]) -> None:
    """It says which call is missing."""
    with pytest.raises(ValueError, match=r"Split\.train has no dataset yet: call setup\(\) with"):
        module(folders).train_dataloader()


def test_wdm_07_suffixes_give_the_elements_in_their_order(folders: dict[Split, str]) -> None:
    """Decoded by webdataset."""
    for suffixes in (SUFFIX, SUFFIXES, SUFFIXES[::-1], iter(SUFFIXES)):
        given: Any = suffixes if isinstance(suffixes, str) else list(suffixes)
        one = WebDataModule(given, {Split.test: folders[Split.test]})
        one.setup("test")
        expected = [given] if isinstance(given, str) else given
        for name, sample in zip(NAMES[Split.test], one._dataset[Split.test], strict=True):
            assert sample == tuple((name, suffix) for suffix in expected)


def upper(samples: Iterator[Any]) -> Iterator[Any]:
    """Change a sample so that it shows."""
    for sample in samples:
        yield (sample[0][0].upper(),)


def exclaim(samples: Iterator[Any]) -> Iterator[Any]:
    """Change it again."""
    for sample in samples:
        yield (f"{sample[0]}!",)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (upper, "TEST-00"),
        ([upper, exclaim], "TEST-00!"),
        (iter((upper, exclaim)), "TEST-00!"),
        (None, "test-00"),
    ],
)
def test_wdm_08_pipelines_are_one_stage_several_or_none(
    folders: dict[Split, str], stages: Any, expected: str
) -> None:
    """Also where the split is set up twice."""
    one = module(folders, pipeline_wds={Split.test: stages})
    for _ in range(2):
        one.setup("test")
        first = next(iter(one._dataset[Split.test]))[0]
        assert (first if isinstance(first, str) else first[0]) == expected


def test_wdm_08_a_split_that_is_left_out_has_no_pipeline(folders: dict[Split, str]) -> None:
    """The same holds for options and calls; a key that is no split is an error."""
    options = ("pipeline_wds", "pipeline_prebatch_wld", "kwargs_wds", "kwargs_wld")
    for name in (*options, "invoke_wds", "invoke_wld"):
        nothing: dict[str, Any] = {name: {}}
        one = module(folders, **nothing)
        one.setup("test")
        assert names_of(one.test_dataloader()) == NAMES[Split.test]
        with pytest.raises(TypeError, match=f"{name}: 'train' is no member of .*Split"):
            module(folders, **{**nothing, name: {"train": None}})


def test_wdm_09_prebatch_stages_get_samples_and_make_the_batches(folders: dict[Split, str]) -> None:
    """In both forms there is no batch dimension that nobody asked for."""
    seen: list[Any] = []

    def look(samples: Iterator[Any]) -> Iterator[Any]:
        for sample in samples:
            seen.append(sample)
            yield sample

    stages = {Split.test: [look, wds.batched(4)]}
    for one in (
        module(folders, batch=4, pipeline_prebatch_wld=stages),
        WebDataModule(SUFFIX, folders, pipeline_prebatch_wld=stages),
    ):
        one.setup("test")
        batches = list(one.test_dataloader())
        assert [len(batch[0]) for batch in batches] == [4, 4, 2]
        assert [sample[0][0] for sample in seen] == NAMES[Split.test]
        seen.clear()


@pytest.mark.parametrize(
    ("n_samples", "batch", "batches"), [(10, 2, 5), (25, 2, 13), (10, 4, 3), (10, 3, 4), (1, 8, 1)]
)
def test_wdm_10_the_number_of_batches_is_given(
    folders: dict[Split, str], n_samples: int, batch: int, batches: int
) -> None:
    """Too little data is begun anew, too much is cut; global_batch_size batches nothing."""
    one = WebDataModule(
        {Split.test: n_samples},
        SUFFIX,
        {Split.test: folders[Split.test]},
        batch,
        pipeline_prebatch_wld={Split.test: wds.batched(2)},
    )
    one.setup("test")
    found = [name for batch in one.test_dataloader() for name, _ in batch[0]]
    assert len(found) == 2 * batches
    assert found == (NAMES[Split.test] * 3)[: 2 * batches]


def test_wdm_10_a_number_that_never_ends_is_refused(folders: dict[Split, str]) -> None:
    """Zero batches would mean endless ones to webdataset."""
    for n_samples, batch in ((0, 1), (-1, 1), (10, 0), (10, 1.5), ("10", 1)):
        with pytest.raises(ConfigError, match="n_samples=|global_batch_size="):
            WebDataModule(for_all(n_samples), SUFFIX, folders, batch)  # type: ignore[arg-type]


def test_wdm_11_keyword_arguments_reach_dataset_and_loader(folders: dict[Split, str]) -> None:
    """Of their split."""
    one = WebDataModule(
        SUFFIX,
        folders,
        kwargs_wds={Split.train: {"select_files": _is_sample_of_3}, Split.val: None},
        kwargs_wld={Split.val: {"batch_size": 5, "collate_fn": tuple}},
    )
    one.setup("fit")
    assert names_of(one.train_dataloader()) == ["train-03"]
    assert [len(batch) for batch in one.val_dataloader()] == [5, 5]


def _is_sample_of_3(name: str) -> bool:
    return "-03." in name


def test_wdm_11_methods_are_called_in_order_after_the_pipelines(folders: dict[Split, str]) -> None:
    """Of the dataset and of the loader; one that is unknown is an AttributeError."""
    lengths = ("with_epoch", {"nsamples": 4}), ("with_length", {"n": 4, "silent": True})
    calls = {Split.test: lengths}
    one = WebDataModule(
        SUFFIX, folders, pipeline_wds={Split.test: upper}, invoke_wds=calls, invoke_wld=calls
    )
    one.setup("test")
    loader = one.test_dataloader()
    assert (len(loader), len(one._dataset[Split.test])) == (4, 4)
    assert [sample[0] for sample in loader] == ["TEST-00", "TEST-01", "TEST-02", "TEST-03"]
    for name in ("invoke_wds", "invoke_wld"):
        wrong: Any = {name: {Split.test: [("with_magic", {})]}}
        one = WebDataModule(SUFFIX, folders, **wrong)
        with pytest.raises(AttributeError, match="with_magic"):
            _load(one)


def _load(one: WebDataModule) -> Any:
    one.setup("test")
    return one.test_dataloader()


def test_wdm_11_a_call_of_the_loader_may_change_the_number_of_batches(
    folders: dict[Split, str],
) -> None:
    """It comes after what n_samples and global_batch_size say."""
    calls = {Split.test: [("with_epoch", {"nbatches": 3})]}
    assert len(list(_load(module(folders, invoke_wld=calls)))) == 3


def test_wdm_12_predict_reads_test_and_nothing_is_prepared(folders: dict[Split, str]) -> None:
    """A WebDataModule finds its shards."""
    one = module(folders)
    assert one.prepare_data() is None
    assert names_of(_load(one)) == names_of(one.predict_dataloader()) == NAMES[Split.test]


def test_wdm_13_a_seed_decides_the_order(folders: dict[Split, str]) -> None:
    """Of dataset and loader; the next epoch has another."""

    def orders(seed: int) -> list[list[str]]:
        stages = {split: wds.shuffle(10, rng=random.Random(seed)) for split in Split}
        one = WebDataModule(SUFFIX, folders, pipeline_wds=stages)
        one.setup("fit")
        loader = one.train_dataloader()
        dataset = one._dataset[Split.val]
        return [names_of(what) for what in (loader, loader, dataset, dataset)]

    assert orders(1) == orders(1)
    assert all(one != other for one, other in zip(orders(1), orders(2), strict=True))
    first, second, *_ = orders(1)
    assert first != second
    assert sorted(first) == sorted(second) == NAMES[Split.train]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_wdm_14_more_workers_than_shards_are_refused(folders: dict[Split, str]) -> None:
    """Before any is started; unless each gets shards of its own choice, or may go without."""
    workers = {Split.test: {"num_workers": 5, "multiprocessing_context": "fork"}}
    text = r"Split\.test: there are fewer shards than workers: 4 of .*/wdshards-\*\.tar, and num_w"
    with pytest.raises(ValueError, match=text):
        _load(WebDataModule(SUFFIX, folders, kwargs_wld=workers))
    for options in ({"empty_check": False}, {"resampled": True}, {"mode": "resampled"}):
        loader = _load(
            WebDataModule(SUFFIX, folders, kwargs_wds={Split.test: options}, kwargs_wld=workers)
        )
        assert len(list(islice(loader, 10))) == 10


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_wdm_15_every_sample_comes_once(folders: dict[Split, str], workers: int) -> None:
    """With any number of workers up to that of the shards."""
    options: Any = {"num_workers": workers}
    if workers:
        options["multiprocessing_context"] = "fork"
    one = WebDataModule(SUFFIX, folders, kwargs_wld={Split.test: options})
    assert sorted(names_of(_load(one))) == NAMES[Split.test]


def test_wdm_15_spawned_workers_read_as_well(folders: dict[Split, str]) -> None:
    """What goes to them pickles, and brings aisio with it."""
    options = {"num_workers": 1, "multiprocessing_context": "spawn"}
    one = WebDataModule(SUFFIX, folders, kwargs_wld={Split.test: options})
    one.setup("test")
    copy = pickle.loads(pickle.dumps(one._dataset[Split.test]))
    assert names_of(copy) == names_of(one.test_dataloader()) == NAMES[Split.test]
