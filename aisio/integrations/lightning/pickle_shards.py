"""pickles_to_tars: files are copied into tar shards for webdataset, and never unpickled."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.integrations.lightning.shard_folder import ShardFolder
from aisio.integrations.lightning.shard_staging import ShardStaging
from aisio.integrations.lightning.web_data_arguments import check_prefix, check_suffixes, in_order

try:
    from webdataset.tariterators import base_plus_ext
except ImportError as error:
    raise missing_extra("webdataset", "lightning") from error

__all__ = ["pickles_to_tars", "staged_pickles"]

SampleFunction: TypeAlias = Callable[[str, dict[str, bytes]], Mapping[str, Any]]
_SAMPLES_PER_SHARD = 100_000
_METADATA = re.compile(r"__[^/]*__($|/)")
"""Names that webdataset skips. Source: `tar_file_iterator` of webdataset 1.0.2."""


def as_sample(prefix: str, suffix_to_data: dict[str, bytes]) -> dict[str, Any]:
    """Return the sample of a file or files: their bytes by suffix, under the name as key."""
    return {"__key__": prefix, **suffix_to_data}


def pickles_to_tars(
    dir_input: str | os.PathLike[str],
    input_prefix_subset: Iterable[str],
    input_suffix: str | Iterable[str],
    dir_output: str | os.PathLike[str],
    output_prefix: str,
    func_output_data: SampleFunction = as_sample,
    min_num_shards: int | None = None,
) -> None:
    """Copy the files `{dir_input}/{name}.{suffix}` into shards `{output_prefix}-%06d.tar`.

    The files' bytes are copied as they are: nothing is unpickled. A sample has the name as its key,
    with "-" in place of each ".". The same files give the same shards, byte for byte, and a shard
    that the folder has already is not written again.

    All shards are written to this machine first. Then they replace those of an earlier run, none of
    which is left; `docs/bionemo-webdatamodule.md` says what holds when that fails.

    Args:
        dir_input: Folder, or URL, of the files.
        input_prefix_subset: The names.
        input_suffix: The suffix of the files, or the suffixes; a sample has a file of each.
        dir_output: Folder, URL, or name in the catalog, where the shards are written.
        output_prefix: What the shards' names begin with.
        func_output_data: Returns the sample to write, of its key and its bytes by suffix: a dict
            with `__key__`, and with bytes under all keys that do not begin with "_".
        min_num_shards: Minimum number of shards: `len(names) // min_num_shards` samples go into
            each but the last, and at least one. By default 100,000 samples. A shard with
            3,000,000,000 bytes of payload gets no further sample.

    Raises:
        TypeError: `input_suffix` is neither a str nor several, or another type is wrong.
        ValueError: `min_num_shards` is below 1, there is no name, or names have the same key.
        RuntimeError: A file is missing or cannot be read, the function failed, or the sample cannot
            be written to this machine; the text has its name, the cause what happened.
        StorageError: The shards cannot be written to the folder.
    """
    with staged_pickles(
        dir_input,
        input_prefix_subset,
        input_suffix,
        dir_output,
        output_prefix,
        func_output_data,
        min_num_shards,
    ) as staging:
        staging.publish()


@contextmanager
def staged_pickles(
    dir_input: str | os.PathLike[str],
    names: Iterable[str],
    suffix: str | Iterable[str],
    dir_output: str | os.PathLike[str],
    output_prefix: str,
    make_sample: SampleFunction = as_sample,
    min_num_shards: int | None = None,
) -> Iterator[ShardStaging]:
    """Write the shards of `pickles_to_tars` to this machine; the caller publishes them."""
    suffixes = in_order(check_suffixes("input_suffix", suffix))
    keys = _keys_by_name(names)
    samples = _samples_per_shard(len(keys), min_num_shards)
    folder = ShardFolder(dir_output)
    prefix = check_prefix("output_prefix", output_prefix)
    files = ShardFolder(dir_input).files
    written: dict[str, str] = {}
    with ShardStaging(folder, prefix, samples=samples) as staging:
        for name, key in keys.items():
            try:
                urls = {suffix: files.url.join(f"{name}.{suffix}") for suffix in suffixes}
                data = {suffix: files.store.read(url) for suffix, url in urls.items()}
                key, fields = _key_and_fields(make_sample(key, data))
                _add_key(written, key, name)
                staging.write(key, fields)
            except ModuleNotFoundError as error:
                text = f"Can't process pickle file of {name} due to missing dependencies: {error}"
                raise RuntimeError(text) from error
            except Exception as error:
                raise RuntimeError(f"Failed to write {name} into tar files: {error}") from error
        yield staging


def _keys_by_name(names: Iterable[str]) -> dict[str, str]:
    """Return the key of each name.

    Raises:
        TypeError: The names are one str, or not all of them are.
        ConfigError: There is none, or several have the same key.
    """
    if isinstance(names, (str, bytes)):
        raise TypeError(f"input_prefix_subset={names!r}: expected several names, in a list")
    listed = list(names)
    if not listed:
        raise ConfigError("input_prefix_subset is empty: there would be no shard")
    keys: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in listed:
        if not isinstance(name, str):
            raise TypeError(f"input_prefix_subset: {name!r} is no str")
        keys[name] = name.replace(".", "-")
        _add_key(taken, keys[name], name)
    return keys


def _add_key(names_by_key: dict[str, str], key: str, name: str) -> None:
    """Remember whose key it is.

    Raises:
        ConfigError: It is the key of another sample, or of the same one, already.
    """
    if key in names_by_key:
        raise ConfigError(
            f"{names_by_key[key]!r} and {name!r} would both be the sample {key!r}: give each its "
            "own name ('.' becomes '-' in a key)"
        )
    names_by_key[key] = name


def _samples_per_shard(count: int, min_num_shards: int | None) -> int:
    if min_num_shards is None:
        return _SAMPLES_PER_SHARD
    if not isinstance(min_num_shards, int):
        raise TypeError(f"min_num_shards={min_num_shards!r}: expected a whole number")
    if min_num_shards <= 0:
        raise ConfigError(f"Invalid min_num_shards = {min_num_shards} <= 0")
    return max(1, count // min_num_shards)


def _key_and_fields(sample: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the key and the fields of a sample.

    Raises:
        TypeError: A field is not bytes.
        ConfigError: There is no key or no field, or webdataset would read another sample.
    """
    key = sample.get("__key__")
    if not isinstance(key, str):
        raise ConfigError(f"the sample has no __key__, only {', '.join(map(repr, sample))}")
    fields = {name: data for name, data in sample.items() if not name.startswith("_")}
    if not fields or len({name.lower() for name in fields}) < len(fields):
        raise ConfigError(
            f"the sample {key!r} has the fields {list(fields)}: expected at least one, and "
            "different ones in lower case, in which webdataset reads them"
        )
    for name, data in fields.items():
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"field {name!r} of sample {key!r} is {type(data).__name__}, not bytes")
        member = f"{key}.{name}"
        if base_plus_ext(member) != (key, name) or _METADATA.match(member):
            raise ConfigError(f"webdataset reads {member!r} as no field {name!r} of sample {key!r}")
    return key, fields
