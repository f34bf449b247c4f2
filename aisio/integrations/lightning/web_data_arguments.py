"""The arguments of WebDataModule in both of their forms, checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, TypeVar

from aisio.errors import ConfigError
from aisio.integrations.lightning.split import Split
from aisio.limits import is_whole

__all__ = [
    "Invocations",
    "KeywordArguments",
    "Pipelines",
    "WebDataArguments",
    "bind_arguments",
    "check_prefix",
    "check_suffixes",
    "in_order",
    "of_split",
]

Pipelines: TypeAlias = "Mapping[Split, Any] | None"
"""For each split a stage of webdataset's pipelines, an iterable of stages, or None."""

KeywordArguments: TypeAlias = "Mapping[Split, Mapping[str, Any] | None] | None"

Invocations: TypeAlias = "Mapping[Split, Sequence[tuple[str, Mapping[str, Any]]] | None] | None"
"""For each split the methods to call: their names and keyword arguments."""

T = TypeVar("T")
_OF_SEED_FORM = ("n_samples", "global_batch_size")
_NOT_BY_SPLIT = ("suffix_keys_wds", "prefix_tars_wds", "global_batch_size")


@dataclass(frozen=True)
class WebDataArguments:
    """What WebDataModule is made of; the class explains each.

    More than 10 attributes: they are the arguments of the class, in the order of the form that
    begins with n_samples. In the other form n_samples and global_batch_size are None.
    """

    n_samples: Mapping[Split, int] | None
    suffix_keys_wds: str | Iterable[str]
    dirs_tars_wds: Mapping[Split, str | os.PathLike[str]]
    global_batch_size: int | None
    prefix_tars_wds: str = "wdshards"
    pipeline_wds: Pipelines = None
    pipeline_prebatch_wld: Pipelines = None
    kwargs_wds: KeywordArguments = None
    kwargs_wld: KeywordArguments = None
    invoke_wds: Invocations = None
    invoke_wld: Invocations = None


def bind_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> WebDataArguments:
    """Return the arguments of a call of WebDataModule, in either form.

    A call is of the form without n_samples if the suffixes come first, or if it names neither
    n_samples nor global_batch_size.

    Raises:
        TypeError: An argument is missing, unknown, given twice, or of another type.
        RuntimeError: n_samples and dirs_tars_wds have different splits.
        ConfigError: A number, suffix or prefix is not valid.
    """
    named = any(name in kwargs for name in _OF_SEED_FORM)
    if isinstance(args[0], Mapping) if args else named:
        bound = WebDataArguments(*args, **kwargs)
    else:
        bound = _bind_without_numbers(args, kwargs)
    _check_splits(bound)
    _check_numbers(bound)
    return replace(
        bound,
        suffix_keys_wds=check_suffixes("suffix_keys_wds", bound.suffix_keys_wds),
        prefix_tars_wds=check_prefix("prefix_tars_wds", bound.prefix_tars_wds),
        pipeline_wds=_reusable(bound.pipeline_wds),
        pipeline_prebatch_wld=_reusable(bound.pipeline_prebatch_wld),
    )


def _bind_without_numbers(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> WebDataArguments:
    if wrong := [name for name in _OF_SEED_FORM if name in kwargs]:
        raise TypeError(
            f"{' and '.join(wrong)}: the suffixes come first, so that this is the form without "
            "n_samples and global_batch_size; in the form with both, n_samples comes first"
        )
    names = [field.name for field in fields(WebDataArguments) if field.name not in _OF_SEED_FORM]
    if len(args) > len(names):
        raise TypeError(f"{len(args)} positional arguments are given, there are {len(names)}")
    named = dict(zip(names, args, strict=False))
    if twice := sorted(named.keys() & kwargs.keys()):
        raise TypeError(f"{', '.join(twice)}: given twice, by position and by name")
    return WebDataArguments(n_samples=None, global_batch_size=None, **named, **kwargs)


def _check_splits(bound: WebDataArguments) -> None:
    """Refuse keys that are no Split: an option under another key would be ignored."""
    for name, by_split in vars(bound).items():
        if name in _NOT_BY_SPLIT or (by_split is None and name != "dirs_tars_wds"):
            continue
        if not isinstance(by_split, Mapping):
            raise TypeError(f"{name}={by_split!r}: expected a dict with members of Split as keys")
        if wrong := [key for key in by_split if not isinstance(key, Split)]:
            raise TypeError(f"{name}: {wrong[0]!r} is no member of {Split.__module__}.Split")


def _check_numbers(bound: WebDataArguments) -> None:
    if bound.n_samples is None:
        return
    if bound.n_samples.keys() != bound.dirs_tars_wds.keys():
        raise RuntimeError(
            f"Input n_samples has different keys than dirs_tars_wds: "
            f"{_names(bound.n_samples)} vs {_names(bound.dirs_tars_wds)}"
        )
    for split, number in bound.n_samples.items():
        if not is_whole(number, 1):
            raise ConfigError(f"n_samples={number!r} for {split}: expected at least one sample")
    if not is_whole(bound.global_batch_size, 1):
        raise ConfigError(
            f"global_batch_size={bound.global_batch_size!r}: expected one sample or more"
        )


def check_suffixes(argument: str, suffixes: Any) -> str | Iterable[str]:
    """Return a suffix or suffixes, an iterator as a tuple.

    Raises:
        TypeError: They are neither a str nor an iterable of str.
        ConfigError: There is none, or one is empty or begins with ".".
    """
    if not isinstance(suffixes, Iterable) or isinstance(suffixes, (bytes, Mapping)):
        raise TypeError(f"{argument} can only be str or Iterable[str], not {suffixes!r}")
    kept: str | Iterable[str] = tuple(suffixes) if isinstance(suffixes, Iterator) else suffixes
    each = in_order(kept)
    if wrong := [one for one in each if not isinstance(one, str)]:
        raise TypeError(f"{argument} can only be str or Iterable[str], not of {wrong[0]!r}")
    if not each or not all(each) or any(one.startswith(".") for one in each):
        raise ConfigError(
            f"{argument}={suffixes!r}: expected what follows the first dot of the files' "
            'names, as in "pyd" or ["mydata.pt", "cls"]'
        )
    return kept


def in_order(suffixes: str | Iterable[str]) -> list[str]:
    """Return a suffix or suffixes as a list."""
    return [suffixes] if isinstance(suffixes, str) else list(suffixes)


def check_prefix(argument: str, prefix: Any) -> str:
    """Return what the names of shards begin with.

    Raises:
        TypeError: It is no str.
        ConfigError: It is empty or has a "/".
    """
    if not isinstance(prefix, str):
        raise TypeError(f"{argument}={prefix!r}: expected a str")
    if not prefix or "/" in prefix:
        raise ConfigError(
            f"{argument}={prefix!r}: expected what the shards' names begin with, without '/'"
        )
    return prefix


def _reusable(pipelines: Pipelines) -> Pipelines:
    """Return pipelines in which iterators have become tuples, for they end after one setup."""
    if pipelines is None or not any(isinstance(one, Iterator) for one in pipelines.values()):
        return pipelines
    return {
        split: tuple(one) if isinstance(one, Iterator) else one for split, one in pipelines.items()
    }


def _names(by_split: Mapping[Any, Any]) -> list[str]:
    return [str(split) for split in by_split]


def of_split(by_split: Mapping[Split, T | None] | None, split: Split) -> T | None:
    """Return the value of a split; None where there is none for it, or none at all."""
    return None if by_split is None else by_split.get(split)
