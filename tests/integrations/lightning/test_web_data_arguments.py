"""The arguments of WebDataModule: which form a call has, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.errors import ConfigError
from aisio.integrations.lightning.split import Split
from aisio.integrations.lightning.web_data_arguments import (
    WebDataArguments,
    bind_arguments,
    check_prefix,
    check_suffixes,
    in_order,
    of_split,
)

FOLDERS = {Split.train: "t"}
NUMBERS = {Split.train: 3}
WITH_NUMBERS = WebDataArguments(NUMBERS, "pyd", FOLDERS, 2, "x")
WITHOUT_NUMBERS = WebDataArguments(None, "pyd", FOLDERS, None, "x")


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((NUMBERS, "pyd", FOLDERS, 2, "x"), {}, WITH_NUMBERS),
        (
            (NUMBERS, "pyd"),
            {"prefix_tars_wds": "x", "global_batch_size": 2, "dirs_tars_wds": FOLDERS},
            WITH_NUMBERS,
        ),
        (
            (),
            {
                "n_samples": NUMBERS,
                "suffix_keys_wds": "pyd",
                "dirs_tars_wds": FOLDERS,
                "global_batch_size": 2,
                "prefix_tars_wds": "x",
            },
            WITH_NUMBERS,
        ),
        (("pyd", FOLDERS, "x"), {}, WITHOUT_NUMBERS),
        (("pyd",), {"dirs_tars_wds": FOLDERS, "prefix_tars_wds": "x"}, WITHOUT_NUMBERS),
        (
            (),
            {"suffix_keys_wds": "pyd", "dirs_tars_wds": FOLDERS, "prefix_tars_wds": "x"},
            WITHOUT_NUMBERS,
        ),
    ],
)
def test_a_call_is_of_the_form_that_its_first_argument_says(
    args: Any, kwargs: Any, expected: WebDataArguments
) -> None:
    """By position and by name."""
    assert bind_arguments(args, kwargs) == expected


def test_the_newer_form_takes_all_by_position() -> None:
    """In its own order."""
    pipeline = {Split.train: None}
    bound = bind_arguments(("pyd", FOLDERS, "x", *[pipeline] * 6), {})
    assert (bound.pipeline_wds, bound.invoke_wld) == (pipeline, pipeline)
    with pytest.raises(TypeError, match="10 positional arguments are given, there are 9"):
        bind_arguments(("pyd", FOLDERS, "x", *[pipeline] * 7), {})


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "suffix_keys_wds"),
        (("pyd",), "dirs_tars_wds"),
        ((NUMBERS, "pyd", FOLDERS), "global_batch_size"),
        (("pyd", "folder"), "dirs_tars_wds='folder': expected a dict"),
        (("pyd", None), "dirs_tars_wds=None: expected a dict"),
        (("pyd", {"train": "t"}), "dirs_tars_wds: 'train' is no member"),
        (({"train": 3}, "pyd", FOLDERS, 2), "n_samples: 'train' is no member"),
        (("pyd", FOLDERS, 7), "prefix_tars_wds=7: expected a str"),
    ],
)
def test_a_call_that_cannot_be_meant_is_a_type_error(args: Any, text: str) -> None:
    """It names the argument."""
    with pytest.raises(TypeError, match=text):
        bind_arguments(args, {})


@pytest.mark.parametrize("suffixes", [5, None, b"pyd", {"pyd": 1}, ["pyd", 5], [None]])
def test_suffixes_are_texts(suffixes: Any) -> None:
    """A dict would pass for its keys, bytes for numbers."""
    with pytest.raises(TypeError, match=r"s can only be str or Iterable\[str\]"):
        check_suffixes("s", suffixes)


@pytest.mark.parametrize("suffixes", ["", [], ["pyd", ""], ".pyd", ["a", ".b"]])
def test_suffixes_are_what_follows_the_first_dot(suffixes: Any) -> None:
    """None would match no member."""
    with pytest.raises(ConfigError, match="what follows the first dot"):
        check_suffixes("s", suffixes)


def test_an_iterator_of_suffixes_may_be_read_twice() -> None:
    """It is kept as a tuple; anything else as it is."""
    kept = check_suffixes("s", (one for one in ("b", "a")))
    assert (in_order(kept), in_order(kept), in_order("pyd")) == (["b", "a"], ["b", "a"], ["pyd"])


@pytest.mark.parametrize("prefix", ["", "a/b"])
def test_a_prefix_is_part_of_a_name(prefix: str) -> None:
    """And no folder."""
    with pytest.raises(ConfigError, match="without '/'"):
        check_prefix("p", prefix)


def test_what_a_split_lacks_is_none() -> None:
    """Also where there is nothing for any split."""
    assert of_split(None, Split.train) is None
    assert of_split({Split.val: 1}, Split.train) is None
    assert of_split({Split.val: 1}, Split.val) == 1
