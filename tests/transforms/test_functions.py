"""How functions of users are called, named and sent to other processes."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from functools import partial
from typing import Any

import pytest

from aisio.errors import ConfigError
from aisio.transforms.functions import (
    FunctionChain,
    call,
    check_callable,
    function_name,
    require_picklable,
)
from aisio.transforms.stages import Map


def fails(item: object) -> None:
    """Raise."""
    raise ValueError(f"not {item!r:.9}")


def ends(item: object) -> None:
    """Raise what would end an iteration in silence."""
    raise StopIteration


@pytest.mark.skipif(sys.version_info < (3, 11), reason="errors have no notes")
@pytest.mark.parametrize(
    ("item", "named"),
    [
        (("a/1.jpg", b"x" * 1000), "the item 'a/1.jpg'"),
        ({"__key__": "7", "jpg": b"x"}, "the item '7'"),
        (b"x" * 1000, "an item of class bytes"),
    ],
)
def test_an_error_says_which_function_and_item(item: object, named: str) -> None:
    """By the name of the item, not by its bytes."""
    caught: Any
    with pytest.raises(ValueError, match="not ") as caught:
        call("map", fails, item)
    assert caught.value.__notes__ == [f".map(fails) was called with {named}"]


def test_stop_iteration_is_an_error() -> None:
    """It would look like the end of the epoch."""
    with pytest.raises(RuntimeError, match=r"\.filter\(ends\) raised StopIteration"):
        call("filter", ends, 1)


def test_what_cannot_be_called_is_refused() -> None:
    """When the pipeline is made."""
    with pytest.raises(ConfigError, match=r"\.map\(3\): a function is needed"):
        check_callable("map", 3)


def test_names_of_functions() -> None:
    """Also where functools.partial or a class hides them."""
    assert function_name(partial(fails, 1)) == "partial(fails)"
    assert function_name(len) == "len"
    assert function_name(partial) == "partial"
    assert function_name(Map("map", len)) == "Map"


@pytest.mark.parametrize("wrap", [lambda one: one, partial, lambda one: partial(len, one)])
def test_a_lambda_is_named_where_a_process_is_spawned(wrap: object) -> None:
    """With its place in the code, before the process begins."""
    function = wrap(lambda item: item)  # type: ignore[operator]
    context = multiprocessing.get_context("spawn")
    with pytest.raises(
        ConfigError, match=r"(?s)\.map\(\): .*<lambda> of .*test_functions.*line \d+"
    ):
        context.Process(target=print, args=(Map("map", function),)).start()
    require_picklable("map", function)  # nothing is being started


def test_other_pickles_raise_their_own_error() -> None:
    """Some of them, such as cloudpickle, can send lambdas."""
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(Map("map", lambda item: item))
    assert pickle.loads(pickle.dumps(Map("map", fails))) == Map("map", fails)


def items_of(item: object) -> Any:
    """Give several items for one."""
    yield item


async def asked(item: object) -> object:
    """Give an item later."""
    return item


@pytest.mark.parametrize("function", [items_of, partial(items_of, 3), asked])
def test_functions_without_a_result_are_refused(function: Any) -> None:
    """As a predicate they would keep everything, and no worker can send what they return."""
    with pytest.raises(ConfigError, match=r"\.filter\(.*\): it returns a (generator|coroutine)"):
        check_callable("filter", function)


def test_a_chain_calls_one_after_the_other() -> None:
    """A longer chain leaves the one that it was made of as it is."""
    chain = FunctionChain(("map", str))
    longer = chain.followed_by("map", len)
    assert (FunctionChain()(7), chain(100), longer(100)) == (7, "100", 3)
