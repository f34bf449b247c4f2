"""What the server answers."""

from __future__ import annotations

import pytest

from aisio.tasks.metrics import Metric
from aisio.tasks.server.replies import log_reply, metric_reply, resource_reply, task_reply
from aisio.tasks.service.rows import ResourceRow, TrainTaskRow

LINES = [f"line {number}" for number in range(10)]


@pytest.mark.parametrize(
    ("direction", "after", "limit", "expected"),
    [
        ("init", -1, 3, [9, 8, 7]),
        ("init", -1, 100, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("back", -1, 4, [0, 1, 2, 3]),
        ("back", 3, 4, [4, 5, 6, 7]),
        ("back", 9, 4, []),
        ("front", 7, 3, [6, 5, 4]),
        ("front", 0, 3, []),
        ("front", -1, 2, [9, 8]),
    ],
)
def test_logs_are_read_page_by_page(direction, after, limit, expected) -> None:
    """From either end, each line once."""
    page = log_reply(LINES, direction, after, limit, "2026-11-30 08:00:00")
    assert [line["offset_index"] for line in page] == expected
    assert [line["text"] for line in page] == [LINES[number] for number in expected]
    assert len({line["offset"] for line in page}) == len(page)


def test_the_time_of_a_metric_is_utc() -> None:
    """In a form that orders as text does."""
    assert metric_reply(Metric(0.5, 1.25), 3)["reported_at"] == "1970-01-01 00:00:01.250000"


def test_an_algorithm_has_a_git_address_only_with_git() -> None:
    """Clients send an archive where there is none."""
    row = ResourceRow("ALGO1", "algorithm", "digits", "ada", git_address="/home/ada/code")
    assert (resource_reply(row)["git_address"], resource_reply(row)["git_migrated"]) == ("", 0)
    reply = resource_reply(row, "http://h/git/ALGO1.git")
    assert (reply["git_address"], reply["git_migrated"]) == ("http://h/git/ALGO1.git", 1)
    assert "git_address" not in resource_reply(ResourceRow("DSET1", "dataset", "data", "ada"))


def test_what_is_not_there_is_empty_and_not_none() -> None:
    """Except a final metric: there is no empty number."""
    reply = task_reply(TrainTaskRow("TRAI1", "t", "PROJ1", "ALGO1", "ada"), "secret")
    assert [reply[name] for name in ("results_id", "finish_time", "output")] == ["", "", ""]
    assert (reply["final_metric"], reply["secret_key"]) == (None, "secret")
