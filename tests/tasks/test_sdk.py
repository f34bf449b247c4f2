"""init_sdk: what all calls of a process use."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.tasks.sdk import init_sdk
from aisio.tasks.service.service import configure, current_service


def test_it_sets_the_service_of_the_process(tmp_path):
    """With the vendor's arguments, in the vendor's order."""
    try:
        service = init_sdk(str(tmp_path / "store"), "ada", "hunter2", True, home=tmp_path / "home")
        assert current_service() is service
    finally:
        configure(None)
    settings = service.settings
    assert (settings.user, settings.password, settings.disable_git) == ("ada", "hunter2", True)
    assert settings.store_url == f"file://{tmp_path}/store/"


def test_a_wrong_setting_changes_nothing(tmp_path):
    """The service that was there stays."""
    with pytest.raises(ConfigError, match="engine"):
        init_sdk(home=tmp_path, engine="condor")
    with pytest.raises(ConfigError, match="cannot hold"):
        init_sdk("https://host/", home=tmp_path)
