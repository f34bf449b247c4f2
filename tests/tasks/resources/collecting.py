"""What a collection of garbage does, whatever the store is."""

from __future__ import annotations

from pathlib import Path

from aisio.tasks.resources.garbage import Garbage, collect_pieces
from aisio.tasks.resources.scan import scan_folder
from aisio.tasks.service.service import TaskService
from tests.tasks.places import write_data
from tests.tasks.resources.pieces_in_memory import Clock

DAY_S = 86_400.0


def upload(service: TaskService, folder: Path, name: str = "data") -> str:
    """Upload a folder; return the id of the data set."""
    resources = service.resources
    uploaded = resources.upload(scan_folder(folder, resources.cache))
    return resources.finish(resources.create("dataset", name), uploaded).id


def stored(service: TaskService) -> set[str]:
    """Return the names of the pieces that the store has."""
    return {info.name.rpartition("/")[2] for info in service.resources.store.pieces()}


def newest(service: TaskService) -> float:
    """Return when the newest piece was stored."""
    store = service.resources.store
    return max(store.stored_s(info) for info in store.pieces())


def mounted(service: TaskService, resource_id: str) -> int:
    """Return how many files of a data set can be read."""
    return sum(1 for _ in service.resources.mount(resource_id).rglob("*.bin"))


def check_deleted_data(service: TaskService, folder: Path) -> None:
    """Check that it is condemned at first, then deleted, and that what another one has stays."""
    resources, store, clock = service.resources, service.resources.store, Clock()
    first = upload(service, write_data(folder / "a", 5), "a")
    second = upload(service, write_data(folder / "b", 3), "b")
    resources.delete(first)
    before = stored(service)
    clock.time = newest(service) + DAY_S + 1
    nothing = collect_pieces(store, now=lambda: clock.time - 10)
    assert nothing == Garbage(0, 0, 0, 0, 5, 5000)
    expected = Garbage(0, 0, 2, 2000, 3, 3000)
    assert collect_pieces(store, now=clock, dry_run=True) == expected
    assert list(store.condemned()) == []
    assert collect_pieces(store, now=clock) == expected
    assert collect_pieces(store, now=clock) == expected
    assert stored(service) == before
    clock.time += DAY_S
    expected = Garbage(2, 2000, 0, 0, 3, 3000)
    assert collect_pieces(store, now=clock, dry_run=True) == expected
    assert collect_pieces(store, now=clock) == expected
    assert len(stored(service)) == 3
    assert collect_pieces(store, now=clock) == Garbage(0, 0, 0, 0, 3, 3000)
    assert mounted(service, second) == 3


def check_condemned_data(service: TaskService, folder: Path) -> None:
    """Check that it is stored again under another name when it is uploaded again."""
    resources, store, clock = service.resources, service.resources.store, Clock()
    data = write_data(folder / "data", 2)
    first = upload(service, data)
    checksum = resources.get(first).checksum
    resources.delete(first)
    clock.time = newest(service) + DAY_S
    collect_pieces(store, now=clock)
    second, third = upload(service, data), upload(service, data)
    assert resources.get(second).checksum == checksum
    assert {piece.copy for piece in resources.tree(second).pieces()} != {""}
    clock.time += DAY_S
    assert collect_pieces(store, now=clock).deleted == 2
    assert [mounted(service, one) for one in (second, third)] == [2, 2]


def check_upload_in_between(service: TaskService, folder: Path) -> None:
    """Check that an upload which began before its pieces were condemned keeps them."""
    resources, store, clock = service.resources, service.resources.store, Clock()
    data = write_data(folder / "data", 2)
    resources.delete(upload(service, data))
    clock.time = newest(service) + DAY_S
    uploaded = resources.upload(scan_folder(data, resources.cache))
    assert collect_pieces(store, now=clock).condemned == 2
    late = resources.finish(resources.create("dataset", "late"), uploaded).id
    clock.time += DAY_S
    assert collect_pieces(store, now=clock).deleted == 2
    assert mounted(service, late) == 2
    clock.time += DAY_S
    assert collect_pieces(store, now=clock).kept == 2
    assert list(store.condemned()) == []
