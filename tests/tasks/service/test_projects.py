"""Projects, quota groups and mirrors."""

from __future__ import annotations

import pytest

from aisio.errors import AccessError, NotFoundError
from aisio.tasks.errors import AnyLearnNotSupportedException, InvalidArguments
from aisio.tasks.service.projects import ProjectService
from tests.tasks.places import make_service


@pytest.fixture
def projects(tmp_path) -> ProjectService:
    """Return the projects of a new service."""
    return make_service(tmp_path).projects


def test_the_default_project_is_made_once_for_each_user(tmp_path, projects):
    """Other users have theirs, and may not use this one."""
    default = projects.default()
    assert projects.default() == default
    other = make_service(tmp_path, user="bob").projects
    assert other.default() != default
    with pytest.raises(AccessError):
        other.get(default.id)
    assert projects.all() == [default]


def test_projects_are_made_found_changed_and_deleted(projects):
    """By id and name."""
    one = projects.create("vision", "of cats")
    assert projects.by_name("vision") == one
    assert projects.update(one.id, name="sight").name == "sight"
    assert projects.by_name("vision") is None
    projects.delete(one.id)
    with pytest.raises(NotFoundError):
        projects.get(one.id)
    with pytest.raises(InvalidArguments, match="needs a name"):
        projects.create("")


def test_any_27_a_request_names_quota_groups(projects):
    """Ids and built-in groups as they are, names looked up, unknown ones refused."""
    group = projects.add_quota_group("vision", {"GPU": 8}, {"GPU": 1})
    assert projects.resolve_request(None) is None
    assert projects.resolve_request([]) is None
    for name in ("default", "besteffort", group.id, "QGRPunknown"):
        assert projects.resolve_request([{name: {"GPU": 1}}]) == [{name: {"GPU": 1}}]
    assert projects.resolve_request([{"vision": {"GPU": 2}}]) == [{group.id: {"GPU": 2}}]
    with pytest.raises(NotFoundError, match="Failed to find QuotaGroup: sight"):
        projects.resolve_request([{"sight": {"GPU": 1}}])
    with pytest.raises(InvalidArguments, match="a group and its amounts"):
        projects.resolve_request([{"default": 4}])
    assert [one.name for one in projects.quota_groups()] == ["default", "vision"]


def test_mirrors(projects):
    """QUICKSTART is there from the start."""
    assert [one.name for one in projects.mirrors()] == ["QUICKSTART"]
    added = projects.add_mirror("torch-2.9")
    assert projects.add_mirror("torch-2.9") == added
    text = "Container for `none` is not supported by the connected backend."
    with pytest.raises(AnyLearnNotSupportedException, match=text):
        projects.mirror_by_name("none")
