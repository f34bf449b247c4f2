"""What a task asks for, in the words of engines."""

from __future__ import annotations

import pytest

from aisio.tasks.service.requests import engine_resources


@pytest.mark.parametrize(
    ("request_", "resources"),
    [
        ([], {}),
        ([{"default": {"CPU": 4, "Memory": 16}}], {"cpus": 4}),
        ([{"QGRP1": {"A100-80G": 2, "cpus": 1}}, {"QGRP2": {"GPU": 1}}], {"cpus": 1, "gpus": 3}),
    ],
)
def test_a_request_in_cpus_and_gpus(request_, resources):
    """The vendor names kinds of GPUs."""
    assert engine_resources(request_) == resources
