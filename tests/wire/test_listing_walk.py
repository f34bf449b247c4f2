"""Listings that are whole, though targets walk in another order than the proxy cuts pages in."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisio.errors import IntegrityError
from aisio.records import ObjectInfo
from aisio.wire.listing import Page
from aisio.wire.listing_walk import ListingWalk, PageRequest, by_tokens
from tests.target_walk import Cluster, list_by_tokens

PARTS = st.sampled_from(["a", "a-", "a.b", "a-b", "a.", "a!", "b", "b.1", "é", "a0", "z"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
SIZES = st.sampled_from([1, 2, 3, 5, 8, 20, 0])


def filled(names: set[str], targets: int = 2, disks: int = 2) -> tuple[Cluster, set[str]]:
    """Return a cluster, and which of the names it could take."""
    cluster = Cluster(targets, disks)
    return cluster, {name for name in sorted(names) if cluster.put(name)}


def walk(cluster: Cluster, size: int) -> ListingWalk:
    """Return a walk whose levels have small pages as well."""
    return ListingWalk(cluster.fetch, "ais://b", page_size=size, level_size=12)


def listed(cluster: Cluster, size: int, folder: str = "", after: str = "") -> list[str]:
    """Return all names below a folder."""
    return [info.name for run in walk(cluster, size).below(folder, after) for info in run]


@settings(max_examples=150)
@given(
    st.sets(NAMES, max_size=60),
    SIZES,
    st.sampled_from([2, 200]),
    st.integers(1, 3),
    st.integers(1, 2),
)
def test_every_name_comes_once_in_order(
    names: set[str], size: int, small_page: int, targets: int, disks: int
) -> None:
    """For any names, page size and number of targets."""
    cluster, stored = filled(names, targets, disks)
    walk = ListingWalk(
        cluster.fetch, "ais://b", page_size=size, level_size=12, small_page=small_page
    )
    assert [info.name for run in walk.below("", "") for info in run] == sorted(stored)


@settings(max_examples=150)
@given(st.sets(NAMES, max_size=60), SIZES, NAMES)
def test_a_listing_may_begin_anywhere(names: set[str], size: int, after: str) -> None:
    """After a name, and in a folder."""
    cluster, stored = filled(names)
    assert listed(cluster, size, after=after) == sorted(name for name in stored if name > after)
    inside = [name for name in sorted(stored) if name.startswith("a/")]
    assert listed(cluster, size, "a/") == inside


@settings(max_examples=150)
@given(st.sets(NAMES, max_size=60), SIZES)
def test_a_level_has_its_objects_and_folders(names: set[str], size: int) -> None:
    """Each once, in order."""
    cluster, stored = filled(names)
    level = [info.name for run in walk(cluster, size).level("", "") for info in run]
    assert level == sorted({name[: name.find("/") + 1] or name for name in stored})


@settings(max_examples=150)
@given(st.sets(NAMES, max_size=40), st.sets(NAMES, max_size=40), SIZES, st.integers(0, 1 << 30))
def test_what_stays_is_listed_while_other_objects_come_and_go(
    staying: set[str], passing: set[str], size: int, seed: int
) -> None:
    """Between any two requests."""
    cluster, stored = filled(staying)
    passing -= staying
    chance = random.Random(seed)
    fetch = cluster.fetch

    def fetch_and_change(request: PageRequest) -> Page:
        for name in sorted(passing):
            if chance.random() < 0.2:
                (cluster.put if chance.random() < 0.5 else cluster.delete)(name)
        return fetch(request)

    cluster.fetch = fetch_and_change  # type: ignore[method-assign]
    names = listed(cluster, size)
    assert all(name < following for name, following in pairwise(names))
    assert stored <= set(names) <= stored | passing


def page(*names: str, token: str = "") -> Page:
    """Return a page."""
    return Page([ObjectInfo("ais://b", name, 1) for name in names], token, "id")


def test_pages_without_a_name_come_to_an_end() -> None:
    """Although the tokens advance."""

    def fetch(request: PageRequest) -> Page:
        return page(token=f"{request.after}a")

    with pytest.raises(IntegrityError, match="1,001 pages in succession had no new name"):
        list(ListingWalk(fetch, "ais://b").below("", ""))


@pytest.mark.parametrize("recursive", [True, False])
def test_the_own_tokens_of_a_server_are_used(recursive: bool) -> None:
    """AIStore's token is the last name of the page; another server may number its pages."""
    pages = [page("a/b", "a/c", token="1"), page(token="2"), page("a/d", token="3"), page("a/e")]
    asked: list[str] = []

    def fetch(request: PageRequest) -> Page:
        asked.append(request.after)
        return pages[len(asked) - 1]

    walk = ListingWalk(fetch, "ais://b")
    runs = (walk.below if recursive else walk.level)("a/", "")
    assert [info.name for run in runs for info in run] == ["a/b", "a/c", "a/d", "a/e"]
    assert asked == ["", "1", "2", "3"]


CLOUD = PageRequest("", "", "", 0, recursive=True)


@pytest.mark.parametrize("tokens", ["xyx", "xx"])
def test_a_token_of_a_cloud_that_comes_again_is_an_error(tokens: str) -> None:
    """The listing would never end."""
    pages = [page(name, token=token) for name, token in zip("abc", tokens, strict=False)]
    with pytest.raises(IntegrityError, match="listing s3://b: it does not end: the token 'x'"):
        list(by_tokens(lambda _: pages.pop(0), CLOUD, "s3://b"))


@pytest.mark.parametrize("second", [("b", "c"), ("c", "b"), ("a", "b")])
def test_an_object_that_a_cloud_lists_again_is_an_error(second: tuple[str, ...]) -> None:
    """A store that begins a page with its token, and not behind it, has each such object twice."""
    pages = [page("a", "b", token="1"), page(*second, token="2"), page("d")]
    with pytest.raises(IntegrityError, match="the page behind the token '1' has '[ab]', as the"):
        list(by_tokens(lambda _: pages.pop(0), CLOUD, "s3://b"))


def test_a_cloud_may_list_in_another_order() -> None:
    """Folders of a level may come again."""
    pages = [page("b", "d/", token="1"), page("a", "d/", token="2"), page("c")]
    runs = by_tokens(lambda _: pages.pop(0), CLOUD, "s3://b")
    assert [info.name for run in runs for info in run] == ["b", "d/", "a", "d/", "c"]


def test_tokens_of_a_cloud_that_bring_nothing_new_come_to_an_end() -> None:
    """Although all tokens differ."""
    pages = [page(token=str(number)) for number in range(1100)]
    with pytest.raises(IntegrityError, match="1,001 pages in succession had no new name"):
        list(by_tokens(lambda _: pages.pop(0), CLOUD, "s3://b"))


def test_the_model_loses_names_as_aistore_does() -> None:
    """With the server's own tokens, names next to a folder are lost if a page ends inside it."""
    names = {f"train/{n}" for n in range(24)} | {f"train-b/{n}" for n in range(8)} | {"train.txt"}
    cluster, stored = filled(names, targets=1, disks=1)
    assert stored == names
    lost = names - set(list_by_tokens(cluster, 10))
    assert lost == {name for name in names if name.startswith(("train-", "train."))}
    assert listed(cluster, 10) == sorted(names)


@pytest.mark.parametrize(
    ("names", "more"),
    [
        ([f"{n:05d}" for n in range(3000)], 0),
        ([f"part-{n:05d}.tar" for n in range(3000)], 1),
        ([f"train/{n:05d}.tar" for n in range(3000)], 1),
        ([f"{part}/{n:05d}" for part in ("test", "train") for n in range(1500)], 2),
        ([f"{k:03d}/{n:02d}.jpg" for k in range(100) for n in range(30)], 0),
        ([f"train/{k:03d}/{n:02d}.jpg" for k in range(100) for n in range(30)], 1),
    ],
)
def test_where_no_name_is_out_of_order_a_listing_takes_hardly_more_requests(
    names: list[str], more: int
) -> None:
    """One for each text before a character below "/" at a border, and for each large folder."""
    cluster, _ = filled(set(names))
    runs = ListingWalk(cluster.fetch, "ais://b", page_size=500).below("", "")
    assert [info.name for run in runs for info in run] == names
    assert len(cluster.requests) <= 7 + more


def test_complete_pages_are_requested_once() -> None:
    """A bucket of one page takes one request."""
    cluster, stored = filled({"a/b", "a-b", "a.b"})
    assert listed(cluster, 0) == sorted(stored)
    assert len(cluster.requests) == 1


def test_folders_may_be_deeper_than_the_stack() -> None:
    """With pages of one name each folder is listed separately."""
    deep = "a/" * 700
    cluster, stored = filled({f"{deep}x", f"{deep}y", f"{deep}z"})
    assert listed(cluster, 1) == sorted(stored)
