"""Project, QuotaGroup and Mirror."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aisio.errors import NotFoundError
from aisio.tasks.errors import AnyLearnNotSupportedException
from aisio.tasks.objects.projects import Mirror, Project, QuotaGroup
from aisio.tasks.service.service import TaskService, configure
from tests.tasks.places import make_service


@pytest.fixture
def service(tmp_path) -> Iterator[TaskService]:
    """Have a new service for this process."""
    service = make_service(tmp_path)
    configure(service)
    yield service
    configure(None)


@pytest.mark.usefixtures("service")
def test_a_project_is_saved_loaded_changed_and_deleted():
    """By the vendor's methods."""
    project = Project(name="vision")
    assert project.save()
    project.name = "sight"
    assert project.save()
    assert Project(project.id, load_detail=True).name == "sight"
    default = Project.get_my_default_project()
    assert {one.id for one in Project.get_list()} == {project.id, default.id}
    assert project.delete()
    with pytest.raises(NotFoundError):
        project.get_detail()


def test_quota_groups_are_read_only(service):
    """What tasks that run have is not available."""
    service.projects.add_quota_group("vision", {"GPU": 8}, {"GPU": 1})
    default, group = QuotaGroup.get_list()
    assert default.name == "default"
    assert (group.capacity, group.available) == ({"GPU": 8}, {"GPU": 8})
    assert QuotaGroup(name="vision", load_detail=True).id == group.id
    for call in (group.save, group.delete):
        with pytest.raises(AnyLearnNotSupportedException, match="operator"):
            call()


def test_mirrors(service):
    """Of this service."""
    service.projects.add_mirror("torch")
    assert [one.name for one in Mirror.get_list()] == ["QUICKSTART", "torch"]
