"""What all objects share."""

from __future__ import annotations

import pytest

from aisio.tasks.errors import AnyLearnMissingParamException
from aisio.tasks.objects.projects import Project
from aisio.tasks.objects.train_task import TrainTask


def test_what_is_missing_is_named():
    """Before anything is asked."""
    with pytest.raises(AnyLearnMissingParamException, match="Project needs name"):
        Project().save()
    with pytest.raises(AnyLearnMissingParamException, match="TrainTask needs id"):
        TrainTask().get_detail()


def test_an_object_shows_what_is_known():
    """And nothing of its service."""
    assert repr(Project(name="vision")) == "Project(name='vision')"
