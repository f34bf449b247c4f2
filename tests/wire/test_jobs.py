"""What nodes report of a job."""

from __future__ import annotations

import json

import pytest

from aisio.errors import IntegrityError
from aisio.urls import ObjectUrl
from aisio.wire.jobs import JobReport, parse_job_reports, uname

RUNNING = {
    "end-time": "0001-01-01T00:00:00Z",
    "err": "",
    "abort-err": "",
    "stats": {"loc-objs": "2", "loc-bytes": "9"},
    "aborted": False,
    "is_idle": False,
}
ENDED = RUNNING | {"end-time": "2026-11-30T09:49:27.102845361Z", "is_idle": True}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ais://b/a b%", "ais/@#/b/a b%"),
        ("s3://b", "aws/@#/b/"),
        ("ais://@c#n/b/x", "ais/@c#n/b/x"),
    ],
)
def test_unique_names(url: str, expected: str) -> None:
    """Provider, namespace, bucket, object, not quoted."""
    assert uname(ObjectUrl.parse(url)) == expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({"t1": [RUNNING], "t2": [ENDED]}, JobReport(False, 4, False, ())),
        ({"t1": [ENDED], "t2": [RUNNING | {"is_idle": True}]}, JobReport(True, 4, False, ())),
        ({"t1": [ENDED | {"err": "no a"}], "t2": None}, JobReport(True, 2, False, ("no a",))),
        (
            {"t1": [RUNNING | {"aborted": True, "abort-err": "user"}]},
            JobReport(True, 2, True, ("user",)),
        ),
    ],
)
def test_reports_of_all_nodes_are_one(nodes: object, expected: JobReport) -> None:
    """A job has finished when it has on each node; an idle one has."""
    assert parse_job_reports(json.dumps(nodes).encode(), "copy ais://b") == expected


@pytest.mark.parametrize("body", [b"", b"[]", b'{"t": [{"stats": 1}]}'])
def test_another_reply_is_an_error(body: bytes) -> None:
    """The text says what the job is for."""
    with pytest.raises(IntegrityError, match="copy ais://b: the reply does not describe a job"):
        parse_job_reports(body, "copy ais://b")
