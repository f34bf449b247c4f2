"""What users import, run and configure stays where it is."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import sys
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import lightning  # noqa: F401 - its data modules need it
import pytest
import torch  # noqa: F401 - the datasets need it

PUBLIC = {
    "aisio.transfer": (
        "Action",
        "Difference",
        "DifferenceKind",
        "Outcome",
        "Report",
        "TransferOptions",
        "compare_trees",
        "copy",
        "move",
        "sync",
    ),
    "aisio.catalog": ("Catalog", "NamedSource", "Resource", "default_catalog", "read_catalog"),
    "aisio.checkpoint": (
        "Checkpoint",
        "FileSystem",
        "StorageReader",
        "StorageWriter",
        "checkpoints",
        "latest",
        "remove_old",
        "remove_unfinished",
    ),
    "aisio.checkpoint.safetensors": (
        "load_file",
        "load_model",
        "load_sharded",
        "safe_open",
        "save_file",
    ),
    "aisio.checkpoint.streams": ("Checkpoint", "CheckpointReader"),
    "aisio.client": ("Bucket", "Client", "Object", "ObjectGroup"),
    "aisio.config": ("load_settings",),
    "aisio.datapipes": ("AISFileLister", "AISFileLoader", "AISSourceLister"),
    "aisio.errors": ("AisioError", "IntegrityError", "NotFoundError", "ShardError"),
    "aisio.gateway": ("Gateway", "ServerOptions", "serve"),
    "aisio.integrations.lhotse": (
        "AISRangeReader",
        "IndexPack",
        "IndexPackArraySpec",
        "IndexPackCollectionSpec",
        "create_jsonl_index",
        "create_tar_index",
        "open_object",
        "read_index",
        "write_index_pack",
    ),
    "aisio.integrations.lightning": (
        "AISCheckpointIO",
        "PickledDataWDS",
        "Split",
        "WebDataModule",
        "pickles_to_tars",
    ),
    "aisio.integrations.oss": (
        "OssCheckpoint",
        "OssDCPFileSystem",
        "OssDataObject",
        "OssIterableDataset",
        "OssMapDataset",
        "OssModelConnector",
        "OssSafetensor",
        "OssStorageReader",
        "OssStorageWriter",
        "generate_tar_archive",
        "imagenet_manifest_parser",
    ),
    "aisio.integrations.webdataset": ("open_url", "samples", "shard_urls", "to_wds"),
    "aisio.models": ("MemoryOptions", "ModelConnector", "ModelDirectory"),
    "aisio.records": ("ByteRange", "Checksum", "ObjectInfo", "RetryPolicy", "Timeouts", "TlsFiles"),
    "aisio.resources.bionemo": ("Resource", "load", "main"),
    "aisio.shards": ("Sample", "ShardPass", "ZeroDict", "read_samples", "split_name"),
    "aisio.shards.index": ("IndexedShard", "SampleSpan", "ShardIndex"),
    "aisio.shards.index_loading": ("IndexPlace", "LoadedIndex", "load_index"),
    "aisio.shards.packing": ("PackedShard", "pack_folder", "write_shards"),
    "aisio.shards.writer": ("ShardWriter",),
    "aisio.sources": ("PrefixSource", "Source", "SourceSet", "source"),
    "aisio.stats": ("totals", "watch"),
    "aisio.stores": (
        "AisStore",
        "DirectSettings",
        "DirectStore",
        "LocalStore",
        "OssStore",
        "Store",
        "store_for",
    ),
    "aisio.tasks": (
        "Algorithm",
        "Dataset",
        "Project",
        "TrainTask",
        "init_sdk",
        "quick_train",
        "resume_unfinished_local_train_tasks",
        "sync_algorithm",
    ),
    "aisio.testing": ("FaultProxy", "StoreContract"),
    "aisio.testing.fault_proxy": ("Cut", "FaultProxy"),
    "aisio.training.iter_pipeline": ("IterPipeline",),
    "aisio.training.mix": ("Mix", "mix"),
    "aisio.urls": ("Namespace", "ObjectUrl"),
    "aisio.wire.batch": ("BatchEntry",),
    "aisio.wire.templates": ("parse_template",),
}
FORWARDED = {
    "aisio.batch_dataset": ("AISBatchIterDataset",),
    "aisio.datasets": ("AISIterDataset", "AISMapDataset"),
    "aisio.listing_digest": ("ListingDigest", "listing_digest"),
    "aisio.packing": ("pack_folder", "plan_folder", "write_shards"),
}
LOGGERS = (
    "aisio.datasets",
    "aisio.folders",
    "aisio.lhotse",
    "aisio.lightning",
    "aisio.models",
    "aisio.oss",
    "aisio.placing",
    "aisio.requests",
    "aisio.shard_index",
    "aisio.shard_reader",
    "aisio.shard_writer",
    "aisio.sources",
    "aisio.tally",
    "aisio.tasks",
)
PROGRAMS = (
    "aisio",
    "aisio.gateway",
    "aisio.models",
    "aisio.integrations.oss.tar_archive",
    "aisio.resources.bionemo",
    "aisio.testing.fault_relay",
)


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_path_has_its_names(module: str) -> None:
    """Warnings are errors here."""
    found = importlib.import_module(module)
    assert [name for name in PUBLIC[module] if not hasattr(found, name)] == []


@pytest.mark.parametrize("module", FORWARDED)
def test_an_old_path_forwards_and_warns(module: str) -> None:
    """For one release."""
    sys.modules.pop(module, None)
    with pytest.warns(DeprecationWarning, match=f"{module} has moved: import its names from"):
        found = importlib.import_module(module)
    assert [name for name in FORWARDED[module] if not hasattr(found, name)] == []


@pytest.mark.parametrize("name", LOGGERS)
def test_a_documented_logger_is_used(name: str, root: Path) -> None:
    """Users' logging set-ups name it."""
    sources = (path.read_text("utf-8") for path in root.glob("aisio/**/*.py"))
    assert any(f'logging.getLogger("{name}")' in text for text in sources)
    assert isinstance(logging.getLogger(name), logging.Logger)


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_can_be_run(module: str) -> None:
    """By `python -m`."""
    found = importlib.util.find_spec(module)
    assert found is not None
    if found.submodule_search_locations is not None:
        found = importlib.util.find_spec(f"{module}.__main__")
    assert found is not None
    assert found.origin is not None
    text = Path(found.origin).read_text("utf-8")
    assert 'if __name__ == "__main__":' in text or found.name.endswith(".__main__")


def test_the_console_scripts_are_there() -> None:
    """The names are in setup.cfg."""
    scripts = importlib.metadata.entry_points(group="console_scripts")
    homes = {one.name: one.value for one in scripts if one.value.startswith("aisio")}
    assert homes == {
        "aisio": "aisio.cli:main",
        "download_bionemo_data": "aisio.resources.bionemo:entrypoint",
    }
    assert all(callable(one.load()) for one in scripts if one.name in homes)


@pytest.mark.parametrize("module", ["aisio", *PUBLIC])
def test_dir_of_a_package_has_what_it_exports(module: str) -> None:
    """And modules of its own, but nothing that it imports for itself."""
    package = importlib.import_module(module)
    if hasattr(package, "__path__"):
        others = {name for name in dir(package) if name[:1] != "_"}.difference(package.__all__)
        assert [one for one in others if not importlib.util.find_spec(f"{module}.{one}")] == []
