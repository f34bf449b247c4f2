from __future__ import annotations

import pytest
import requests

from tests.gateway.conftest import Served


def put(bucket: Served, action: str, **value: object) -> requests.Response:
    """Start or stop jobs."""
    body = {"action": action, "name": "", "value": value}
    return bucket.http.put(f"{bucket.endpoint}/v1/cluster", json=body)


@pytest.fixture
def summary(bucket: Served) -> str:
    """Return the id of an ended job that is not of an idle kind."""
    job_id = bucket.action("GET", "summary-bck", {"uuid": "", "prefix": ""}).text
    bucket.wait(job_id)
    return job_id


def test_the_status_of_a_job(bucket: Served, summary: str) -> None:
    """By its id, with its kind or without."""
    for kind in ("", "summary-bck"):
        status = bucket.jobs("status", ID=summary, Kind=kind).json()
        assert (status["uuid"], status["kind"]) == (summary, "summary-bck")
        assert (status["end_time"] > 0, status["aborted"], status["err"]) == (True, False, "")


def test_the_latest_of_a_kind(bucket: Served, summary: str) -> None:
    """If no id is named."""
    assert bucket.jobs("status", Kind="summary-bck").json()["uuid"] == summary


def test_idle_kinds_have_no_status_but_statistics(bucket: Served) -> None:
    """As on a cluster, where they wait for more work."""
    value = {"objnames": [], "tobck": {"name": bucket.name, "provider": "ais"}}
    job_id = bucket.job("POST", "copy-listrange", value)["id"]
    assert job_id.startswith("tco-")
    assert bucket.jobs("status", ID=job_id).status_code == 404
    assert bucket.jobs("qryxstats", ID=job_id).status_code == 200


@pytest.mark.parametrize(
    ("what", "message", "status"),
    [
        ("status", {}, 400),
        ("status", {"ID": "none"}, 404),
        ("status", {"Kind": "promote"}, 404),
        ("qryxstats", {"ID": "none"}, 404),
        ("nonsense", {}, 400),
    ],
)
def test_jobs_that_are_not_there(
    bucket: Served, what: str, message: dict[str, str], status: int
) -> None:
    """404 if one was named."""
    response = bucket.jobs(what, **message)
    assert response.status_code == status


def test_a_kind_without_jobs_is_an_empty_list(bucket: Served) -> None:
    """Per target; null if all are listed, as Go writes it."""
    assert list(bucket.jobs("qryxstats", Kind="promote").json().values()) == [[]]
    assert bucket.jobs("status_all", Kind="promote").json() is None


def test_all_jobs_of_a_kind(bucket: Served, summary: str) -> None:
    """Including ended ones, unless only running ones are requested."""
    rows = bucket.jobs("status_all", Kind="summary-bck").json()
    assert summary in [row["uuid"] for row in rows]
    assert f"summary-bck[{summary}]" not in bucket.jobs("running_all").json()


@pytest.mark.parametrize("kind", ["lru", "cleanup", "cleanup-store", "resilver"])
def test_housekeeping_can_be_started_and_finds_nothing_to_do(bucket: Served, kind: str) -> None:
    """Its id is plain text."""
    response = put(bucket, "start", Kind=kind, Bck={"name": bucket.name, "provider": "ais"})
    assert (response.status_code, response.headers["Content-Type"]) == (
        200,
        "text/plain; charset=utf-8",
    )
    snap = bucket.wait(response.text)
    assert (snap["err"], snap["aborted"]) == ("", False)


@pytest.mark.parametrize(
    ("action", "value", "status"),
    [
        ("start", {"Kind": "rebalance"}, 400),
        ("start", {"Kind": "copy-bck"}, 501),
        ("start", {}, 501),
        ("stop", {}, 400),
        ("stop", {"ID": "none"}, 400),
        ("stop", {"Kind": "archive"}, 200),
        ("nonsense", {}, 400),
    ],
)
def test_what_cannot_be_started_or_stopped(
    bucket: Served, action: str, value: dict[str, str], status: int
) -> None:
    """A kind that runs nothing can be stopped."""
    assert put(bucket, action, **value).status_code == status


def test_an_ended_job_stays_as_it_is_when_it_is_stopped(bucket: Served, summary: str) -> None:
    """Nothing is left to stop."""
    assert put(bucket, "stop", ID=summary).status_code == 200
    assert bucket.wait(summary)["aborted"] is False


def test_keys_of_messages_may_be_lower_case(bucket: Served, summary: str) -> None:
    """The official client writes them both ways."""
    assert bucket.jobs("status", id=summary).json()["uuid"] == summary
    rows = bucket.jobs("status_all", kind="summary-bck", node="", show_active=False).json()
    assert summary in [row["uuid"] for row in rows]
    assert bucket.jobs("status_all", kind="summary-bck", show_active=True).json() is None


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ID": 1}'])
def test_a_malformed_message_is_400(bucket: Served, body: bytes) -> None:
    """Broken JSON, or other fields."""
    url = f"{bucket.endpoint}/v1/cluster?what=status"
    assert bucket.http.get(url, data=body).status_code == 400


def test_the_cluster_map_has_a_second_address(bucket: Served) -> None:
    """The same as under /v1/daemon."""
    daemon = bucket.http.get(f"{bucket.endpoint}/v1/daemon?what=smap").json()
    assert bucket.http.get(f"{bucket.endpoint}/v1/cluster?what=smap").json() == daemon
