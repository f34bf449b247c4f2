"""Commands on a cloud that no cluster is before."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.moto_server import boto_client, environment_for, s3_server

pytest.importorskip("obstore")
pytest.importorskip("moto")


@pytest.fixture
def cloud(environ, monkeypatch) -> Iterator[None]:
    """Serve a bucket with two objects where s3:// leads."""
    with s3_server() as endpoint:
        client = boto_client(endpoint)
        client.create_bucket(Bucket="photos")
        for name in ("a/1", "a/2"):
            client.put_object(Bucket="photos", Key=name, Body=b"12345")
        monkeypatch.delenv("AIS_ENDPOINT")
        for name, value in environment_for(endpoint).items():
            monkeypatch.setenv(name, value)
        yield


def test_a_prefix_is_described_without_a_cluster(run, cloud):
    """Objects and bytes; a bucket that is not there is an answer too."""
    found = json.loads(run("info", "--json", "s3://photos/a/").stdout)
    assert found == {"url": "s3://photos/a/", "exists": True, "objects": 2, "size_bytes": 10}
    absent = json.loads(run("info", "--json", "s3://absent/").stdout)
    assert (absent["exists"], absent["objects"]) == (False, 0)


def test_a_bucket_of_a_cloud_is_not_created(run, cloud, tmp_path):
    """What that takes is for the cloud's own tools; the error says so."""
    (tmp_path / "file").write_bytes(b"x")
    done = run("put", tmp_path / "file", "s3://new/file", "--create-bucket")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "the cloud's own tools" in done.stderr
    assert run("put", tmp_path / "file", "s3://photos/file").exit_code == 0
    assert "s3://photos/file" in run("ls", "s3://photos/f").stdout
