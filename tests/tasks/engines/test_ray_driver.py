"""The driver of a task on a Ray cluster; test_ray.py runs it on one."""

from __future__ import annotations

import pytest

pytest.importorskip("ray.job_submission", reason="needs ray[default]")

from aisio.tasks.engines.ray_driver import _free_address


def test_an_address_is_a_host_and_a_port():
    """The agents of all nodes meet there."""
    host, _, port = _free_address().rpartition(":")
    assert host
    assert 0 < int(port) < 65536
