"""Pieces that nothing refers to are deleted, and no others."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aisio.client import Client
from aisio.errors import ConfigError, IntegrityError, StoreTimeoutError
from aisio.gateway import Gateway
from aisio.tasks.errors import ResourceError
from aisio.tasks.resources.commit import TRUSTED_S, Begun, PieceSender, begin, commit_tree
from aisio.tasks.resources.garbage import Garbage, collect_pieces
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.scan import scan_folder
from aisio.tasks.resources.tree import Piece, Tree, TreeFile, digest_of
from tests.tasks.places import make_service, write_data
from tests.tasks.resources.collecting import (
    DAY_S,
    check_condemned_data,
    check_deleted_data,
    check_upload_in_between,
)
from tests.tasks.resources.pieces_in_memory import Clock, PiecesInMemory

CONTENTS = tuple(bytes([number]) for number in range(3))


@dataclass
class Upload:
    """An upload that goes on step by step.

    Attributes:
        begun: Its beginning.
        sender: Sends its pieces.
        left: What is still to be sent.
        files: What was sent.
    """

    begun: Begun
    sender: PieceSender
    left: list[bytes]
    files: list[TreeFile] = field(default_factory=list)


class Killed(BaseException):
    """The process ends here."""


class UploadsAndGarbage(RuleBasedStateMachine):
    """Uploads, deletions and collections in any order and inside one another, killed anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = PiecesInMemory.new(self.clock)
        self.uploads: list[Upload] = []
        self.number = 0

    @rule(minutes=st.sampled_from([1, 20, 40, 25 * 60, 49 * 60]))
    def wait(self, minutes: int) -> None:
        """Let time pass."""
        self.clock.time += minutes * 60

    @rule(contents=st.lists(st.sampled_from(CONTENTS), min_size=1, max_size=4, unique=True))
    def begin(self, contents: list[bytes]) -> None:
        """Begin an upload."""
        begun = begin(self.store, now=self.clock)
        present = [piece for tree in list(self.store.files.values())[:1] for piece in tree.pieces()]
        self.uploads.append(Upload(begun, PieceSender(self.store, begun, present), contents[:]))

    @precondition(lambda self: self.uploads)
    @rule(which=st.integers(0, 3))
    def send(self, which: int) -> None:
        """Send the next piece of an upload."""
        self._send(self.uploads[which % len(self.uploads)])

    def _send(self, upload: Upload) -> None:
        if upload.left:
            data = upload.left.pop()
            piece = upload.sender.send(Piece(digest_of(data), 1), lambda: data)
            upload.files.append(TreeFile(data.hex(), (piece,)))

    @precondition(lambda self: self.uploads)
    @rule(which=st.integers(0, 3))
    def commit(self, which: int) -> None:
        """Send what is left of an upload, and write its tree."""
        upload, self.number = self.uploads.pop(which % len(self.uploads)), self.number + 1
        resource_id = f"DSET{self.number}"
        while upload.left:
            self._send(upload)
        tree, began = Tree("folder", tuple(upload.files)), upload.begun.time
        try:
            commit_tree(self.store, resource_id, tree, upload.begun, now=self.clock)
        except ResourceError:
            assert self.clock.time - began > TRUSTED_S, "only what lasts long may lose a piece"
            assert resource_id not in self.store.files

    @precondition(lambda self: self.store.files)
    @rule(which=st.integers(0, 9))
    def delete(self, which: int) -> None:
        """Delete a resource."""
        self.store.delete_tree(list(self.store.files)[which % len(self.store.files)])

    @rule()
    def collect(self) -> None:
        """Collect garbage."""
        with suppress(StoreTimeoutError):
            collect_pieces(self.store, now=self.clock, grace_s=DAY_S)

    @rule(outer=st.sampled_from(["collect", "commit"]), at=st.integers(0, 12), data=st.data())
    def interrupt(self, outer: str, at: int, data: st.DataObject) -> None:
        """Do something in the middle of a collection or commit, which may be killed there."""
        names = ["collect", "commit", "begin", "delete", "send", "kill"]
        inner = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
        if data.draw(st.booleans()):
            inner.insert(data.draw(st.integers(0, len(inner))), "wait")
        minutes = data.draw(st.sampled_from([1, 20] if outer == "collect" else [1, 20, 50 * 60]))
        self.inside(outer, at, inner, minutes)

    def inside(self, outer: str, at: int, inner: list[str], minutes: int) -> None:
        """Do something before step `at` of something else; time may pass once."""
        actions: dict[str, Callable[[], object]] = {
            "begin": lambda: self.begin(list(CONTENTS[:2])),
            "wait": lambda: self.wait(minutes),
            "collect": self.collect,
            "commit": lambda: self.uploads and self.commit(0),
            "send": lambda: self.uploads and self.send(0),
            "delete": lambda: self.store.files and self.delete(0),
        }
        steps = iter(range(at + 1))

        def before() -> None:
            if next(steps, None) != at:
                return
            self.store.before.clear()
            for name in inner:
                if name == "kill":
                    raise Killed
                actions[name]()

        self.store.before.append(before)
        try:
            actions[outer]()
        except Killed:
            pass  # another process goes on
        finally:
            self.store.before.clear()

    @invariant()
    def every_tree_is_whole(self) -> None:
        """No piece that a tree refers to is missing, and each has its bytes."""
        for tree in self.store.files.values():
            for file in tree.files:
                (piece,) = file.pieces
                assert self.store.objects[piece.object_name][0].hex() == file.name

    def teardown(self) -> None:
        """What nothing refers to is gone in the end, and so are the lists."""
        self.store.before.clear()
        for _ in range(5):
            self.clock.time += 2 * DAY_S
            collect_pieces(self.store, now=self.clock)
        live = {piece.object_name for tree in self.store.files.values() for piece in tree.pieces()}
        assert self.store.objects.keys() == live
        assert self.store.lists == {}


TestUploadsAndGarbage = UploadsAndGarbage.TestCase
TestUploadsAndGarbage.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)

INSIDE = (
    ("kill",),
    ("commit",),
    ("collect",),
    ("collect", "wait", "commit"),
    ("wait", "commit", "collect"),
    ("begin", "wait", "commit"),
    ("collect", "begin", "commit"),
    ("collect", "begin", "commit", "kill"),
    ("wait", "collect", "commit", "collect"),
)


@pytest.mark.parametrize("condemned", [0, 1, 23, 24])
@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("outer", ["collect", "commit"])
def test_each_step_may_be_interrupted(outer, begun, condemned) -> None:
    """By anything, where a piece is old that an upload takes up again.

    It was condemned some hours ago, or is about to be.
    """
    for inside in INSIDE:
        for at in range(14):
            run = UploadsAndGarbage()
            run.begin([*CONTENTS[:2]])
            run.send(0)
            run.send(0)
            run.uploads.clear()
            run.clock.time += DAY_S
            if condemned:
                run.collect()
                run.clock.time += condemned * 3600 - 600
            if begun:
                run.begin([*CONTENTS[:2]])
                run.send(0)
            run.clock.time += 600
            actions = [name for name in inside if begun or name != "commit" or "begin" in inside]
            run.inside(outer, at, actions, 20)
            run.every_tree_is_whole()
            if run.uploads:
                run.commit(0)
                run.every_tree_is_whole()
            run.teardown()


def test_a_data_set_that_was_deleted_is_collected(tmp_path) -> None:
    """Condemned at first, then deleted; what another one has too stays."""
    check_deleted_data(make_service(tmp_path), tmp_path)


def test_what_is_condemned_is_uploaded_again_under_another_name(tmp_path) -> None:
    """It is not deleted with the first one."""
    check_condemned_data(make_service(tmp_path), tmp_path)


def test_what_runs_in_between_is_kept(tmp_path) -> None:
    """An upload, and a second collection."""
    check_upload_in_between(make_service(tmp_path), tmp_path)


def test_what_cannot_be_known_deletes_nothing(tmp_path) -> None:
    """A tree that is damaged may refer to anything; and an hour is the shortest time of grace."""
    service = make_service(tmp_path)
    store = service.resources.store
    files = scan_folder(write_data(tmp_path / "data"), service.resources.cache)
    service.resources.upload(files)
    for grace_s in (0.0, 3599.0, float("nan")):
        with pytest.raises(ConfigError, match="too short"):
            collect_pieces(store, grace_s=grace_s)
    (tmp_path / "store" / "trees").mkdir()
    (tmp_path / "store" / "trees" / "DSET1").write_bytes(b"{")
    with pytest.raises(IntegrityError, match="DSET1"):
        collect_pieces(store, now=lambda: 1e12)
    assert collect_pieces(PieceStore(f"file://{tmp_path}/none/")) == Garbage(0, 0, 0, 0, 0, 0)
    (tmp_path / "store" / "trees" / "DSET1").unlink()
    (tmp_path / "store" / "condemned").mkdir()
    (tmp_path / "store" / "condemned" / "1").write_bytes(b"[]")
    with pytest.raises(IntegrityError, match="condemned/1"):
        collect_pieces(store, now=lambda: 1e12)


def test_what_was_stored_just_now_is_not_condemned_on_a_cluster(tmp_path, monkeypatch) -> None:
    """AIStore's listings have no times: each piece is asked for its own."""
    with Gateway(tmp_path) as gateway:
        monkeypatch.setenv("AIS_ENDPOINT", gateway.endpoint)
        Client(gateway.endpoint).bucket("tasks").create()
        store = PieceStore("ais://tasks/data/")
        PieceSender(store, begin(store)).send(Piece(digest_of(b"x"), 1), lambda: b"x")
        assert collect_pieces(store).kept == 1
        assert list(store.condemned()) == []
        assert collect_pieces(store, now=lambda: time.time() + DAY_S + 60).condemned == 1


def test_a_call_that_is_late_stops() -> None:
    """What it wants to delete may be in use by then."""
    clock = Clock()
    store = PiecesInMemory.new(clock)
    begun = begin(store, now=clock)
    PieceSender(store, begun).send(Piece(digest_of(b"x"), 1), lambda: b"x")
    clock.time += DAY_S
    collect_pieces(store, now=clock)
    clock.time += DAY_S
    times = iter([clock.time, *[clock.time + TRUSTED_S + 1] * 9])
    with pytest.raises(StoreTimeoutError, match="1 pieces are not deleted"):
        collect_pieces(store, now=lambda: next(times))
    assert len(store.objects) == 1
