"""TaskService: all of it together, for one user."""

from __future__ import annotations

import pickle

import pytest

from aisio.errors import ConfigError
from aisio.tasks.service.service import TaskService, configure, current_service, engine_by_name
from tests.tasks.fake_engine import FakeEngine
from tests.tasks.places import make_service


def test_an_engine_that_is_not_known():
    """The error names those that are."""
    with pytest.raises(ConfigError, match="one of local, ray, slurm"):
        engine_by_name("condor")


def test_the_service_of_this_process(tmp_path, monkeypatch):
    """Is what `init_sdk` made, else what the environment names."""
    service = make_service(tmp_path)
    configure(service)
    try:
        assert current_service() is service
    finally:
        configure(None)
    monkeypatch.setenv("AISIO_TASKS_HOME", str(tmp_path / "other"))
    made = TaskService(engine=FakeEngine())
    assert made.settings.home == tmp_path / "other"


def test_it_pickles(tmp_path):
    """So that workers can be given one."""
    service = make_service(tmp_path)
    row = service.projects.default()
    assert pickle.loads(pickle.dumps(service)).projects.get(row.id) == row
