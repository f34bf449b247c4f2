"""Settings that take a scripted server for S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aisio.records import RetryPolicy
from aisio.stores import DirectSettings
from aisio.urls import ObjectUrl

OBJECT = ObjectUrl.parse("s3://bkt/a")
ONCE = RetryPolicy(attempts=1)
KEYS = {"access_key_id": "k", "secret_access_key": "the-secret", "session_token": "the-token"}
CA_NAMES = ["AWS_CA_BUNDLE", "AIS_CLIENT_CA", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


def settings(url: str, policy: RetryPolicy, **more: Any) -> DirectSettings:
    """Return settings that take a server on loopback for S3."""
    return DirectSettings(url, "us-east-1", KEYS, retry=policy, **more)


def write_aws_files(folder: Path, endpoint: str) -> None:
    """Write what `aws configure` would."""
    (folder / "config").write_text(f"[default]\nregion = from-file\nendpoint_url = {endpoint}\n")
    lines = "[default]\naws_access_key_id = file-key\naws_secret_access_key = s\n"
    (folder / "credentials").write_text(lines)
