"""Processes that publish."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.publishing.publishing_job import started_jobs


@pytest.fixture
def start_job(tmp_path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Return a function that starts a job which publishes in `tmp_path`, and waits until it has."""
    yield from started_jobs(tmp_path)
