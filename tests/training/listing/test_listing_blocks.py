"""ListingBlocks: the rest of a listing, from the sources or from another rank."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from torch import distributed

from aisio.errors import IntegrityError
from aisio.sources.source_set import SourceSet
from aisio.training.listing.listing_blocks import ListingBlocks
from aisio.training.listing.listing_file import ListingFile, RecordKind
from aisio.training.listing.listing_view import ListingView
from aisio.training.listing.rank_listing import RankListing

stores: Any = distributed  # they have no types
COUNT = 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with 200 files: three blocks."""
    for number in range(COUNT):
        (tmp_path / f"{number:03d}").write_bytes(b"x")
    return tmp_path


class Rank:
    """One rank of two, with a store that both have."""

    def __init__(self, folder: Path, rank: int, store: Any, patience_s: float = 60.0) -> None:
        self.sources = SourceSet(folder, owner="test")
        self.view = ListingView(ListingFile(), self.sources.sources)
        # Both ranks are in this process, but each counts its listings for itself.
        self.ranks = RankListing(
            "what",
            lambda: "exactly",
            connect=lambda: (store, rank, 2) if store else None,
            patience_s=patience_s,
            made=Counter(),
        )

    def blocks(self) -> ListingBlocks:
        """Return what this rank does for a listing."""
        return ListingBlocks(self.sources, 0, self.view, self.ranks)

    def take(self, blocks: Any, count: int = 100) -> list[str]:
        """Write some blocks to this rank's file; return all names that it has."""
        for _, block in zip(range(count), blocks, strict=False):
            self.view.append(RecordKind.BLOCK, 0, block)
        return self.names

    @property
    def names(self) -> list[str]:
        """All names in the file."""
        return [Path(info.name).name for _, info in self.view.table(0)]


@pytest.fixture
def store() -> Any:
    """Return a store of torch.distributed for the threads of a process."""
    return stores.HashStore()


NAMES = [f"{number:03d}" for number in range(COUNT)]


def test_one_rank_lists_and_the_other_reads_that(folder: Path, store: Any) -> None:
    """It has the objects that were there when the first listed."""
    first, second = Rank(folder, 0, store), Rank(folder, 1, store)
    assert first.take(first.blocks()) == NAMES
    (folder / "999").write_bytes(b"x")
    assert second.take(second.blocks()) == NAMES
    assert (first.view.roles, second.view.roles) == ({0: RecordKind.PUBLISHED}, {})


def test_the_next_process_goes_on_where_one_has_ended(folder: Path, store: Any) -> None:
    """Also with what it had not published; the other rank sees no difference."""
    first, second = Rank(folder, 0, store), Rank(folder, 1, store)
    assert len(first.take(first.blocks(), 2)) == 128
    received = iter(second.blocks())
    assert len(second.take(received, 1)) == 64
    assert first.take(first.blocks()) == NAMES
    assert second.take(received) == NAMES
    assert second.view.restarts[0] == 0


def test_a_process_of_another_rank_goes_on_too(folder: Path, store: Any) -> None:
    """With the blocks that its rank has not received."""
    first, second = Rank(folder, 0, store), Rank(folder, 1, store)
    first.take(first.blocks())
    assert len(second.take(second.blocks(), 1)) == 64
    assert second.take(second.blocks()) == NAMES


def test_objects_that_have_changed_are_listed_again_from_the_start(
    folder: Path, store: Any
) -> None:
    """The other rank is told, and does the same."""
    first, second = Rank(folder, 0, store), Rank(folder, 1, store)
    first.take(first.blocks(), 2)
    received = iter(second.blocks())
    second.take(received, 1)
    (folder / "0005").write_bytes(b"x")
    changed = sorted([*NAMES, "0005"])
    assert first.take(first.blocks()) == changed
    assert second.take(received) == changed
    assert first.view.restarts[0] == second.view.restarts[0] == 1
    assert second.view.roles == {0: RecordKind.UNSHARED}


def test_fewer_objects_are_a_change_as_well(folder: Path) -> None:
    """Though all that are there were listed before."""
    rank = Rank(folder, 0, None)
    rank.take(rank.blocks(), 2)
    for name in NAMES[100:]:
        (folder / name).unlink()
    assert rank.take(rank.blocks()) == NAMES[:100]
    assert rank.view.restarts[0] == 1


def test_a_rank_that_waits_in_vain_lists_for_itself(
    folder: Path, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With one line; when the first comes to its end, both compare what they have."""
    first, second = Rank(folder, 0, store), Rank(folder, 1, store, patience_s=0)
    listing = iter(first.blocks())
    first.take(listing, 1)
    assert second.take(second.blocks()) == NAMES
    (message,) = caplog.messages
    assert message == "this rank lists for itself: the rank that lists for all sent nothing for 0 s"
    assert first.take(listing) == NAMES


def test_ranks_must_have_listed_the_same(folder: Path, store: Any) -> None:
    """Where one of them could not read what the other had."""
    first, second = Rank(folder, 0, store), Rank(folder, 1, store, patience_s=0)
    listing = iter(first.blocks())
    first.take(listing, 1)
    (folder / "0005").write_bytes(b"x")
    second.take(second.blocks())
    with pytest.raises(IntegrityError, match="ranks 1 and 0 listed different objects"):
        first.take(listing)


def test_a_rank_that_listed_again_is_compared_with_those_that_come_later(
    folder: Path, store: Any
) -> None:
    """It has told them to list for themselves, though none was there when it came to its end."""
    first, second = Rank(folder, 0, store), Rank(folder, 1, store)
    failing = first.blocks()
    first.take(failing, 1)
    failing.abandon()
    assert first.take(first.blocks()) == NAMES
    (folder / "999").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="listed different objects"):
        second.take(second.blocks())


def test_a_lister_that_fails_says_so(folder: Path, store: Any) -> None:
    """Nobody has to wait for it."""
    first, second = Rank(folder, 0, store), Rank(folder, 1, store)
    blocks = first.blocks()
    first.take(blocks, 1)
    blocks.abandon()
    assert second.take(second.blocks()) == NAMES
    assert second.view.roles == {0: RecordKind.UNSHARED}
