"""What all objects share."""

from __future__ import annotations

import pytest

from aisio.tasks.errors import AnyLearnMissingParamException
from aisio.tasks.objects.projects import Project
from aisio.tasks.objects.resources import Algorithm
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


def test_a_notebook_shows_the_same_as_a_table():
    """Escaped, and without credentials."""
    one = Algorithm(name="<a>")
    one.git_address = "https://user:s3cret@host/repo"
    for shown in (repr(one), one._repr_html_()):
        assert "s3cret" not in shown
    assert "<tr><th>name</th><td>&lt;a&gt;</td></tr>" in one._repr_html_()
