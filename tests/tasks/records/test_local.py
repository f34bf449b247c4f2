"""LocalRecords: what was uploaded and started from this machine."""

from __future__ import annotations

from datetime import datetime

from aisio.tasks.records.local import LocalRecords, LocalTask, new_profile
from aisio.tasks.states import TaskState

TASK = LocalTask("TRAI1", TaskState.RUNNING, "PROJ1", "")


def test_data_sets_are_found_by_their_checksum(tmp_path):
    """Until they are forgotten."""
    records = LocalRecords(tmp_path)
    records.add_dataset("DSET1", "ab" * 64)
    assert LocalRecords(tmp_path).find_dataset("ab" * 64) == "DSET1"
    assert records.find_dataset("cd" * 64) is None
    records.delete_dataset("DSET1")
    assert records.find_dataset("ab" * 64) is None


def test_a_task_is_updated_and_what_the_vendor_wrote_stays(tmp_path):
    """The vendor keeps its secret in the row, and a metric of hyperparameter optimisation."""
    records = LocalRecords(tmp_path)
    with records.database.transaction() as db:
        db.execute("INSERT INTO local_train_task VALUES ('TRAI0', 0, 's', 'PROJ0', 0.5, 'HPO')")
    records.save_task(LocalTask("TRAI0", TaskState.SUCCESS, "PROJ0", ""))
    records.save_task(TASK)
    with records.database.transaction() as db:
        rows = [tuple(row) for row in db.execute("SELECT * FROM local_train_task ORDER BY id")]
    assert rows == [("TRAI0", 2, "s", "PROJ0", 0.5, "HPO"), ("TRAI1", 1, "", "PROJ1", None, None)]
    assert records.tasks(states=(TaskState.CREATED, TaskState.RUNNING)) == [TASK]


def test_any_36_a_profile_says_what_its_call_had(tmp_path):
    """What was not given is null, and the time is that of the call."""
    records = LocalRecords(tmp_path)
    records.save_task(TASK)
    before = datetime.now()
    records.add_profile(
        new_profile("TRAI1", "ALGO1", {"lr": 0.1}, dataset_id="A,B", entrypoint="python x.py")
    )
    after = datetime.now()
    profile = records.profile_of("TRAI1")
    assert profile is not None
    assert profile.id.startswith("DESC")
    assert (profile.dataset_id, profile.entrypoint) == ("A,B", "python x.py")
    assert profile.train_params == '{"lr": 0.1}'
    assert profile.dataset_dir is None
    assert profile.created_at is not None
    assert before <= profile.created_at <= after
    assert records.profile_of("TRAI2") is None
    with records.database.transaction() as db:
        assert db.execute("SELECT dataset_dir FROM local_train_profile").fetchone()[0] is None
        db.execute("DELETE FROM local_train_task")
        found = db.execute("SELECT train_task_id FROM local_train_profile").fetchone()
    assert found[0] is None
