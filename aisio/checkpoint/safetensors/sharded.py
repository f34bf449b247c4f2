"""load_sharded, load_model: a model that is one safetensors file, or several with an index.

The index is JSON as Hugging Face's libraries write it, beside the files:

    {"metadata": {"total_size": 24}, "weight_map": {"weight": "model-00001-of-00002.safetensors"}}

Source: https://huggingface.co/docs/transformers/big_models, "Sharded checkpoints".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import torch

from aisio.checkpoint.safetensors.loading import read_tensors
from aisio.checkpoint.safetensors.opened_file import OpenedFile, Reach
from aisio.checkpoint.safetensors.tensors import find_device
from aisio.client.client import Client
from aisio.errors import CheckpointError, NotFoundError, UrlError
from aisio.escapes import first_few
from aisio.formats.safetensors import unique_keys
from aisio.stores import DirectSettings
from aisio.transport.worker_threads import WorkerThreads
from aisio.transport.writer import CONCURRENCY
from aisio.urls import ObjectUrl

__all__ = ["load_model", "load_sharded"]

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
INDEX_SUFFIX = ".index.json"


def load_sharded(
    url: str,
    device: str | int | torch.device = "cpu",
    *,
    client: Client | None = None,
    endpoint: str | None = None,
    direct: bool | DirectSettings = False,
    concurrency: int = CONCURRENCY,
) -> dict[str, torch.Tensor]:
    """Load all tensors of a model that is in several safetensors files with an index.

    The headers of all files are read and compared with the index first: a model that is not
    complete is refused before its tensors are read.

    Args:
        url: The index, "ais://bucket/folder/model.safetensors.index.json"; or the folder with its
            final "/", in which "model.safetensors" may be instead.
        device: Where the tensors are to be; a number is that of a GPU.
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        concurrency: How many requests are sent at once.

    Raises:
        NotFoundError: No index, or a file that it names, is there.
        CheckpointError: The index is none; a file lacks a tensor, has one that belongs to another
            file or to none, or is no sound safetensors file.
        IntegrityError: The bytes are not as promised, or a file was replaced meanwhile.
    """
    found, reach = find_device(device), Reach(client, endpoint, direct, concurrency)
    tensors: dict[str, torch.Tensor] = {}
    with ExitStack() as stack:
        for file in _open_model(reach, url, stack):
            tensors |= read_tensors(file, [*file.header.tensors.values()], found)
    return tensors


def load_model(
    model: torch.nn.Module,
    url: str,
    strict: bool = True,
    device: str | int | torch.device = "cpu",
    *,
    client: Client | None = None,
    endpoint: str | None = None,
    direct: bool | DirectSettings = False,
    concurrency: int = CONCURRENCY,
) -> tuple[list[str], list[str]]:
    """Load a model's weights, as `safetensors.torch.load_model` does, file by file.

    A tensor that shares its memory with one of the model's that is loaded is not missing.

    More than 8 arguments: the first four are the library's.

    Args:
        model: The model.
        url: A safetensors file, an index of several, or a folder: see `load_sharded`.
        strict: Refuse a model and files that do not have the same names, before anything is loaded.
        device: Where the tensors are until they are copied into the model.
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        concurrency: How many requests are sent at once.

    Returns:
        The names that only the model has, and those that only the files have.

    Raises:
        CheckpointError: Names differ, and `strict` is true; otherwise as `load_sharded`.
    """
    found, reach = find_device(device), Reach(client, endpoint, direct, concurrency)
    with ExitStack() as stack:
        files = _open_model(reach, url, stack)
        names = {name for file in files for name in file.header.tensors}
        missing, unexpected = _missing(model, names), sorted(names - model.state_dict().keys())
        if strict and (missing or unexpected):
            raise CheckpointError(
                f"{url} does not fit {type(model).__name__}: it lacks [{first_few(missing)}], and "
                f"the model lacks [{first_few(unexpected)}]; strict=False loads what both have",
                url=url,
            )
        for file in files:
            tensors = read_tensors(file, [*file.header.tensors.values()], found)
            model.load_state_dict(tensors, strict=False)
    return missing, unexpected


def _missing(model: torch.nn.Module, names: set[str]) -> list[str]:
    """Return the tensors of a model that are not among some names, nor tied to one that is."""
    state = model.state_dict()
    memory = {
        name: (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
        for name, tensor in state.items()
    }
    loaded = {memory[name] for name in names & state.keys() if state[name].data_ptr()}
    return sorted(name for name in state.keys() - names if memory[name] not in loaded)


def _open_model(reach: Reach, url: str, stack: ExitStack) -> Sequence[OpenedFile]:
    """Open the files of a model, and check that they are complete."""
    parsed = ObjectUrl.parse(url)
    if parsed.name.endswith(INDEX_SUFFIX):
        return _open_indexed(reach, parsed, stack)
    if parsed.name and not parsed.name.endswith("/"):
        try:
            return [stack.enter_context(reach.open(parsed))]
        except NotFoundError as error:
            raise NotFoundError(
                f"{error}; the URL of a folder ends in '/'", url=url, status=404
            ) from error
    try:
        return _open_indexed(reach, parsed.join(INDEX_NAME), stack)
    except NotFoundError as error:
        if not _is_about(error, parsed.join(INDEX_NAME)):
            raise
    try:
        return [stack.enter_context(reach.open(parsed.join(SINGLE_NAME)))]
    except NotFoundError as error:
        raise NotFoundError(
            f"{url}: there is neither {INDEX_NAME} nor {SINGLE_NAME} in it", url=url, status=404
        ) from error


def _is_about(error: NotFoundError, url: ObjectUrl) -> bool:
    return error.url == str(url)


def _open_indexed(reach: Reach, index_url: ObjectUrl, stack: ExitStack) -> Sequence[OpenedFile]:
    weight_map = _parse_index(reach.store(index_url).read(index_url), str(index_url))
    names = sorted(set(weight_map.values()))
    urls = [_file_url(index_url, name) for name in names]
    threads = WorkerThreads(reach.concurrency, "aisio-safetensors")
    try:
        futures = [threads.submit(partial(reach.open, url)) for url in urls]
        threads.end(cancel=False)
    finally:
        threads.end(cancel=True)
    errors = [error for future in futures if (error := future.exception())]
    files = [stack.enter_context(future.result()) for future in futures if not future.exception()]
    if errors:
        raise errors[0]
    _check_files(dict(zip(names, files, strict=True)), weight_map, str(index_url))
    return files


def _file_url(index_url: ObjectUrl, name: str) -> ObjectUrl:
    try:
        folder = index_url.name[: index_url.name.rfind("/") + 1]
        return index_url.with_name(folder + name).require_object()
    except UrlError as error:
        raise CheckpointError(
            f"{index_url} names a file {name!r}, which cannot be beside it: {error}",
            url=str(index_url),
        ) from error


def _parse_index(data: bytes, url: str) -> Mapping[str, str]:
    try:
        index = json.loads(data, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{url} is no index of a model: {error}", url=url) from error
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{url} is no index of a model: it has no weight_map", url=url)
    for name, file in weight_map.items():
        if not isinstance(file, str) or not file:
            raise CheckpointError(f"{url}: the file of tensor {name!r} is {file!r}", url=url)
    return weight_map


def _check_files(files: Mapping[str, OpenedFile], weight_map: Mapping[str, str], url: str) -> None:
    for problem in _problems(files, weight_map):
        raise CheckpointError(f"{url} and its files do not belong together: {problem}", url=url)


def _problems(files: Mapping[str, OpenedFile], weight_map: Mapping[str, str]) -> Iterator[str]:
    for name, file in weight_map.items():
        if name not in files[file].header.tensors:
            yield f"tensor {name!r} should be in {file}, and is not"
    for file, opened in files.items():
        for name in opened.header.tensors:
            if name not in weight_map:
                yield f"tensor {name!r} is in {file}, but not in the index"
            elif weight_map[name] != file:
                yield f"tensor {name!r} is in {file} and in {weight_map[name]}"
