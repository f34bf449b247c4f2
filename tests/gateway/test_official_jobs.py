"""The official client's jobs, groups of objects, and what it does with whole buckets."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, JobInfoNotFound
from aistore.sdk.multiobj import ObjectRange

NAMES = [f"p-{number:02}" for number in range(1, 7)]


@pytest.fixture
def filled(sdk: Bucket) -> Bucket:
    """Return a bucket with six objects."""
    for name in NAMES:
        sdk.object(name).get_writer().put_content(name.encode())
    return sdk


def names(bucket: Bucket) -> list[str]:
    """Return the names of all objects."""
    return [entry.name for entry in bucket.list_all_objects()]


def test_a_bucket_is_copied(client: Client, filled: Bucket) -> None:
    """The client waits for the job by its id alone."""
    target = client.bucket(f"{filled.name}-copy")
    job_id = filled.copy(target, prefix_filter="p-0", prepend="c/", ext={"x": "y"})
    assert client.job(job_id).wait(timeout=60).success
    assert names(target) == [f"c/{name}" for name in NAMES]
    dry = filled.copy(client.bucket(f"{filled.name}-dry"), dry_run=True)
    assert client.job(dry).wait(timeout=60).success
    assert not [b for b in client.cluster().list_buckets() if b.name == f"{filled.name}-dry"]


def test_a_bucket_is_renamed(client: Client, filled: Bucket) -> None:
    """Its object gets the new bucket."""
    old, new = filled.name, f"{filled.name}-new"
    assert client.job(filled.rename(new)).wait(timeout=60).success
    assert names(client.bucket(new)) == NAMES
    assert old not in [bucket.name for bucket in client.cluster().list_buckets()]


def test_a_summary_and_info(filled: Bucket) -> None:
    """Both calls for the contents of a bucket."""
    summary = filled.summary()
    assert summary["ObjCount"]["obj_count_present"] == "6"
    assert summary["TotalSize"]["size_all_present_objs"] == "24"
    props, info = filled.info()
    assert "versioning" in props
    assert info["ObjCount"]["obj_count_present"] == "6"


def test_a_group_is_deleted(client: Client, filled: Bucket) -> None:
    """By names, by a range, by a template."""
    group = filled.objects(obj_names=NAMES[:2])
    assert client.job(group.delete()).wait(timeout=60).success
    between = filled.objects(obj_range=ObjectRange("p-", 3, 4, pad_width=2))
    assert client.job(between.delete()).wait(timeout=60).success
    assert names(filled) == NAMES[4:]
    template = filled.objects(obj_template="p-{05..05}")
    assert client.job(template.delete()).wait(timeout=60).success
    assert names(filled) == NAMES[5:]


def test_a_group_is_copied(client: Client, filled: Bucket) -> None:
    """To another bucket; the ids come as a list."""
    target = client.bucket(f"{filled.name}-group")
    target.create()
    job_ids = filled.objects(obj_names=NAMES[:3]).copy(target, prepend="c/")
    for job_id in job_ids:
        assert client.job(job_id, job_kind="copy-listrange").wait(timeout=60).success
    assert names(target) == [f"c/{name}" for name in NAMES[:3]]


def test_urls_of_a_group(filled: Bucket, http: requests.Session) -> None:
    """They lead to the objects."""
    for url, name in zip(filled.objects(obj_names=NAMES).list_urls(), NAMES, strict=True):
        assert http.get(url).content == name.encode()


def test_actions_for_cloud_buckets_only(filled: Bucket) -> None:
    """The gateway refuses it as a cluster does."""
    with pytest.raises(AISError, match="expecting remote bucket"):
        filled.make_request("DELETE", "evict-remote-bck")


def test_the_details_of_a_job(client: Client, filled: Bucket) -> None:
    """Status, statistics, times."""
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    job = client.job(filled.objects(obj_names=NAMES).delete(), job_kind="delete-listrange")
    job.wait(timeout=60)
    assert job.status().end_time > time.time_ns() - 60e9
    (snap,) = job.get_details().list_snapshots()
    assert (snap.kind, snap.bucket.name, snap.stats.objects) == (
        "delete-listrange",
        filled.name,
        6,
    )
    assert job.get_total_time() >= timedelta(0)
    assert job.job_id in [found.id for found in job.get_within_timeframe(before)]
    with pytest.raises(JobInfoNotFound):
        job.get_within_timeframe(before + timedelta(days=1))


def test_a_failed_job_is_no_success(client: Client, filled: Bucket) -> None:
    """The error has the reason."""
    result = client.job(filled.objects(obj_names=["none"]).delete()).wait(timeout=60)
    assert not result.success
    assert "none" in result.error


def test_housekeeping_and_lists_of_jobs(client: Client, filled: Bucket) -> None:
    """Started, waited for, listed, stopped."""
    job = client.job(job_kind="lru")
    job_id = job.start(buckets=[filled])
    assert client.job(job_id).wait(timeout=60).success
    assert job_id in [status.uuid for status in client.cluster().list_jobs_status(job_kind="lru")]
    assert isinstance(client.cluster().list_running_jobs(), list)
    client.job(job_id).abort()
