"""Project, QuotaGroup and Mirror."""

from __future__ import annotations

import json
from dataclasses import asdict

from aisio.tasks.errors import AnyLearnNotSupportedException
from aisio.tasks.objects.base import TaskObject
from aisio.tasks.service.rows import MirrorRow, ProjectRow, QuotaGroupRow
from aisio.tasks.service.service import TaskService, current_service

__all__ = ["Mirror", "Project", "QuotaGroup"]


class Project(TaskObject):
    """A project, which tasks are in.

    Args:
        id: Its id; None for one that `save` makes.
        name: Its name.
        description: In words.
        load_detail: Load the rest from the registry.
    """

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
        description: str | None = None,
        *,
        load_detail: bool = False,
    ) -> None:
        self.id = id
        self.name = name
        self.description = description
        self.creator_id: str | None = None
        self.create_time: str | None = None
        self.update_time: str | None = None
        if load_detail:
            self.get_detail()

    @classmethod
    def of_row(cls, row: ProjectRow, service: TaskService) -> Project:
        """Return the object of a row."""
        return cls._of(service, asdict(row))

    @classmethod
    def get_list(cls) -> list[Project]:
        """Return the user's projects, oldest first."""
        service = current_service()
        return [cls.of_row(row, service) for row in service.projects.all()]

    @classmethod
    def get_my_default_project(cls) -> Project:
        """Return the project of tasks that name none; it is made once."""
        service = current_service()
        return cls.of_row(service.projects.default(), service)

    create_my_default_project = get_my_default_project

    def get_detail(self) -> None:
        """Load all attributes from the registry.

        Raises:
            NotFoundError: It has no such project.
        """
        self._require("id")
        self._load(asdict(self.service.projects.get(str(self.id))))

    def save(self) -> bool:
        """Make the project in the registry if it has no id, else update it there."""
        self._require("name")
        name, description = str(self.name), self.description or ""
        projects = self.service.projects
        if self.id is None:
            row = projects.create(name, description)
        else:
            row = projects.update(self.id, name=name, description=description)
        self._load(asdict(row))
        return True

    def delete(self, force: bool = False) -> bool:
        """Delete a project that has no tasks; `force` changes nothing."""
        self._require("id")
        self.service.projects.delete(str(self.id))
        return True


class QuotaGroup(TaskObject):
    """A named share of the machines.

    Args:
        id: Its id.
        name: Its name.
        load_detail: Load the rest from the registry.
    """

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
        *,
        load_detail: bool = False,
    ) -> None:
        self.id = id
        self.name = name
        self.capacity: dict[str, float] = {}
        self.default: dict[str, float] = {}
        self.allocated: dict[str, float] = {}
        if load_detail:
            self.get_detail()

    @classmethod
    def of_row(cls, row: QuotaGroupRow, service: TaskService) -> QuotaGroup:
        """Return the object of a row."""
        values = {
            "id": row.id,
            "name": row.name,
            "capacity": json.loads(row.capacity),
            "default": json.loads(row.defaults),
            "allocated": service.projects.allocated(row),
        }
        return cls._of(service, values)

    @classmethod
    def get_list(cls) -> list[QuotaGroup]:
        """Return all quota groups."""
        service = current_service()
        return [cls.of_row(row, service) for row in service.projects.quota_groups()]

    def get_detail(self) -> None:
        """Load all attributes, by id or name.

        Raises:
            NotFoundError: There is no such quota group.
        """
        service = self.service
        row = service.projects.quota_group(str(self.id or self.name))
        vars(self).update(vars(QuotaGroup.of_row(row, service)))

    @property
    def available(self) -> dict[str, float]:
        """What tasks that run have left of the capacity."""
        return {name: all_ - self.allocated.get(name, 0) for name, all_ in self.capacity.items()}

    def save(self) -> bool:
        """Refuse: quota groups belong to the operator of the service."""
        raise AnyLearnNotSupportedException("quota groups are changed by the service's operator")

    def delete(self) -> bool:
        """Refuse: quota groups belong to the operator of the service."""
        raise AnyLearnNotSupportedException("quota groups are changed by the service's operator")


class Mirror(TaskObject):
    """An environment that algorithms run in.

    Args:
        id: Its id.
        name: Its name.
    """

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
    ) -> None:
        self.id = id
        self.name = name

    @classmethod
    def of_row(cls, row: MirrorRow, service: TaskService) -> Mirror:
        """Return the object of a row."""
        return cls._of(service, asdict(row))

    @classmethod
    def get_list(cls) -> list[Mirror]:
        """Return all environments."""
        service = current_service()
        return [cls.of_row(row, service) for row in service.projects.mirrors()]
