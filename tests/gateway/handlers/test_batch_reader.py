from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.handlers.batch_reader import MAX_SOFT_ERRORS, BatchReader, Outcome
from aisio.gateway.handlers.batch_request import BatchIn, BatchItem, check_entry
from aisio.gateway.jobs.job import Job, JobSpec, JobStoppedError
from aisio.gateway.protocol.refusals import DamagedError, Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder
from tests.gateway.archive_data import make_tar

MANY = [f"none-{number}" for number in range(MAX_SOFT_ERRORS + 4)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Return a folder with a bucket, an object, an archive, and a damaged archive."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "o").write_bytes(b"0123456789")
    (tmp_path / "b" / "s.tar").write_bytes(make_tar({"m": b"member"}))
    (tmp_path / "b" / "cut.tar").write_bytes(make_tar({"m": b"x" * 300})[:700])
    folder = Folder(str(tmp_path))
    folder.open()
    yield folder
    folder.close()


def reader(folder: Folder, *, continue_on_error: bool = True) -> BatchReader:
    """Return a reader of a batch."""
    return BatchReader(folder, IndexCache(), continue_on_error=continue_on_error)


def items(*entries: BatchIn | str) -> list[BatchItem]:
    """Return entries as items; text names an object."""
    whole = [BatchIn(entry) if isinstance(entry, str) else entry for entry in entries]
    return [check_entry(entry, BucketName("b"), only_object_names=True) for entry in whole]


@pytest.fixture
def job() -> Job:
    """Return the job that counts."""
    return Job("id", JobSpec("get-batch"), "t[t1]")


def read(reader: BatchReader, wanted: list[BatchItem], job: Job) -> list[tuple[str, bytes]]:
    """Return names and bytes of the members."""
    return [(member.name, b"".join(member.pieces)) for member in reader.members(wanted, job)]


def test_members_come_in_order_and_are_counted(folder: Folder, job: Job) -> None:
    """Objects, ranges of them, and members of archives."""
    wanted = items("o", BatchIn("o", start=2, length=3), BatchIn("s.tar", path="m"))
    members = read(reader(folder), wanted, job)
    assert members == [("o", b"0123456789"), ("o", b"234"), ("s.tar/m", b"member")]
    assert (job.stats.objects, job.stats.size_bytes) == (3, 19)


def test_a_missing_item_has_a_placeholder(folder: Folder, job: Job) -> None:
    """Of a missing archive it does not name the member."""
    wanted = items("none", BatchIn("n.tar", path="m"), BatchIn("s.tar", path="n"), "o")
    names = [name for name, _ in read(reader(folder), wanted, job)]
    assert names == ["__404__/none", "__404__/n.tar", "__404__/s.tar/n", "o"]
    assert job.stats.objects == 1


def test_members_end_early_at_an_item_that_cannot_be_read(folder: Folder, job: Job) -> None:
    """A range beyond the end, a missing item that may not be missing, or too many of them."""
    beyond_the_end = items("o", BatchIn("o", start=9, length=9), "o")
    assert len(read(reader(folder), beyond_the_end, job)) == 1
    missing = items("o", "none", "o")
    assert len(read(reader(folder, continue_on_error=False), missing, job)) == 1
    assert len(read(reader(folder), items(*MANY), job)) == MAX_SOFT_ERRORS + 1


def test_a_damaged_archive_is_an_error(folder: Folder, job: Job) -> None:
    """The client must not take the batch for a shorter one."""
    with pytest.raises(DamagedError):
        read(reader(folder), items(BatchIn("cut.tar", path="m")), job)


def test_a_stopped_job_stops_the_batch(folder: Folder, job: Job) -> None:
    """Before the next item."""
    members = reader(folder).members(items("o", "o"), job)
    next(members)
    job.stop()
    with pytest.raises(JobStoppedError):
        next(members)


def test_outcomes_tell_sizes_and_errors(folder: Folder) -> None:
    """Nothing is sent for them."""
    wanted = items("o", "none", BatchIn("s.tar", path="m"))
    assert list(reader(folder).outcomes(wanted)) == [
        Outcome(10),
        Outcome(0, "ais://b/none does not exist"),
        Outcome(6),
    ]


@pytest.mark.parametrize(("names", "may_miss"), [(["o", "none"], False), (MANY, True)])
def test_too_many_missing_items_are_refused(
    folder: Folder, names: list[str], may_miss: bool
) -> None:
    """One, if none may be missing."""
    with pytest.raises(Refusal, match="does not exist"):
        list(reader(folder, continue_on_error=may_miss).outcomes(items(*names)))
