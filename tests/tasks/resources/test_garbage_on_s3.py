"""Garbage is collected on S3 as in a folder; the server is moto."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import obstore  # noqa: F401 - s3:// needs it
import pytest

from aisio.tasks.resources.garbage import Garbage
from aisio.tasks.resources.tree import Piece, digest_of
from aisio.tasks.service.service import TaskService
from tests.moto_server import boto_client, environment_for, s3_server
from tests.tasks.places import make_service, sending
from tests.tasks.resources.collecting import (
    check_condemned_data,
    check_deleted_data,
    check_upload_in_between,
)

pytest.importorskip("moto")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Return the address of an S3 server."""
    with s3_server() as endpoint:
        boto_client(endpoint).create_bucket(Bucket="tasks")
        yield endpoint


@pytest.fixture
def service(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TaskService:
    """Return a service whose data is in a prefix of its own."""
    for name, value in environment_for(endpoint).items():
        monkeypatch.setenv(name, value)
    return make_service(tmp_path, store_url=f"s3://tasks/{tmp_path.name}/")


@pytest.mark.parametrize(
    "check", [check_deleted_data, check_condemned_data, check_upload_in_between]
)
def test_garbage_is_collected_as_in_a_folder(
    service: TaskService, tmp_path: Path, check: Callable[[TaskService, Path], None]
) -> None:
    """Condemned, kept where an upload has it, deleted."""
    check(service, tmp_path)


def test_what_was_stored_just_now_stays(service: TaskService) -> None:
    """The time is that of the listing."""
    sending(service.resources.store).send(Piece(digest_of(b"unused"), 6), lambda: b"unused")
    garbage, _ = service.collect_garbage()
    assert garbage == Garbage(0, 0, 0, 0, 1, 6)
