"""What `aisio top` shows of processes."""

from __future__ import annotations

from typing import Any

from aisio.cli.process_table import COLUMNS, ProcessTable
from aisio.publishing.processes import PublishedProcess


def process(pid: int, totals: dict[str, float], **changes: Any) -> PublishedProcess:
    """Return a process that has counted these in the last 2 seconds."""
    fields: dict[str, Any] = {
        "version": 1,
        "host": "h",
        "pid": pid,
        "parent": 1,
        "command": "train.py",
        "started": 1.0,
        "time": 10.0,
        "seconds": 2.0,
        "totals": totals,
        "before": {},
    }
    return PublishedProcess(**(fields | changes))


TRAINER = process(7, {"batches": 20, "batch_wait_s": 0.5, "errors": 1}, rank=0, ranks=2)
WORKER = process(
    8,
    {
        "samples": 3000,
        "bytes_read": 5e6,
        "requests": 40,
        "wait_s": 1.0,
        "read_s": 0.6,
        "retries": 2,
    },
    parent=7,
    rank=0,
    ranks=2,
    worker=0,
)
TABLE = ProcessTable([TRAINER, WORKER], now=11.0)


def test_a_trainer_has_batches_and_a_worker_samples():
    """With its waiting: of a trainer for batches, of a worker for bytes."""
    trainer, worker, both = (dict(zip(COLUMNS, row, strict=True)) for row in TABLE.rows())
    assert (trainer["rank"], trainer["worker"], trainer["pid"]) == ("0", "-", "7")
    assert (trainer["samples/s"], trainer["batches/s"], trainer["waiting"]) == ("-", "10.0", "25%")
    assert (worker["samples/s"], worker["batches/s"], worker["MB/s"]) == ("1,500", "-", "2.5")
    assert (worker["waiting"], worker["retries"], worker["requests/s"]) == ("80%", "2", "20")
    assert (both["rank"], both["samples/s"], both["batches/s"]) == ("all", "1,500", "10.0")
    assert (both["waiting"], both["retries"], both["errors"]) == ("25%", "2", "1")


def test_the_head_says_what_is_not_seen():
    """Other ranks are on other hosts, or do not publish."""
    head = TABLE.head()
    assert "1 process, 1 worker on h" in head
    assert "1 of 2 ranks are seen (0): others are on other hosts, or do not publish" in head
    assert "ranks" not in ProcessTable([process(1, {})], now=11.0).head()


def test_now_is_what_a_process_waits_for():
    """Or that it is silent; a short wait is none, and a name writes no line of its own."""
    url = "ais://b/a\nb"
    cases = {
        "": process(1, {}, waits_for_batch_s=0.5, blocked_on=url, blocked_s=0.5),
        "2.5 s for a batch": process(1, {}, waits_for_batch_s=2.5),
        "3.0 s for ais://b/a\\nb": process(1, {}, blocked_on=url, blocked_s=3.0),
        "has written nothing for 10 s": process(1, {}, time=1.0, blocked_on=url, blocked_s=3.0),
    }
    for text, one in cases.items():
        assert ProcessTable([one], now=11.0).rows()[0][-1] == text


def test_what_is_not_known_yet_is_no_number():
    """Of a process that has just begun."""
    row = ProcessTable([process(1, {}, seconds=0.0)], now=10.0).rows()[0]
    assert row[3:8] == ("-",) * 5


def test_json_has_all_of_it():
    """And the sums."""
    found = TABLE.as_dict()
    assert (found["ranks"], found["ranks_seen"]) == (2, [0])
    assert found["total"]["samples_per_s"] == 1500
    assert found["total"]["bytes_read"] == 5e6
    assert [one["pid"] for one in found["processes"]] == [7, 8]
    assert found["processes"][1]["totals"]["retries"] == 2
    assert found["processes"][0]["written_s_ago"] == 1.0
