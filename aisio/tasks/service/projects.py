"""Projects, quota groups and mirrors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aisio.errors import AccessError, NotFoundError
from aisio.tasks.errors import AnyLearnNotSupportedException, InvalidArguments
from aisio.tasks.records.ids import new_id
from aisio.tasks.service.registry import Registry
from aisio.tasks.service.rows import MirrorRow, ProjectRow, QuotaGroupRow, TrainTaskRow, now
from aisio.tasks.states import TaskState

__all__ = ["ProjectService", "ResourceRequest"]

ResourceRequest = Sequence[Mapping[str, Mapping[str, float]]]
"""What a task asks for, as in [{"QGRP...": {"GPU": 1, "CPU": 8}}]."""

_BUILT_IN_GROUPS = frozenset({"default", "besteffort"})
_GROUP_PREFIX = "QGRP"


class ProjectService:
    """What tasks are grouped by, and what they may use.

    Args:
        registry: The rows.
        user: Whose projects are meant.
    """

    def __init__(self, registry: Registry, user: str) -> None:
        self._registry = registry
        self._user = user

    def create(self, name: str, description: str = "") -> ProjectRow:
        """Make a project.

        Raises:
            InvalidArguments: It has no name.
        """
        if not name:
            raise InvalidArguments("a project needs a name")
        row = ProjectRow(new_id("PROJ"), name, self._user, description, False, now(), now())
        self._registry.insert(row)
        return row

    def get(self, project_id: str) -> ProjectRow:
        """Return a project of the user.

        Raises:
            NotFoundError: There is none.
            AccessError: It is another user's.
        """
        row = self._registry.get(ProjectRow, project_id)
        if row.creator_id != self._user:
            raise AccessError(f"project {project_id} is another user's")
        return row

    def all(self) -> list[ProjectRow]:
        """Return the projects of the user, oldest first."""
        return self._registry.find(ProjectRow, creator_id=self._user)

    def by_name(self, name: str) -> ProjectRow | None:
        """Return the user's project of a name; the oldest, if there are several."""
        return next(iter(self._registry.find(ProjectRow, creator_id=self._user, name=name)), None)

    def default(self) -> ProjectRow:
        """Return the user's default project; it is made once, also by several processes."""
        row = ProjectRow(
            new_id("PROJ"), f"{self._user}'s project", self._user, "", True, now(), now()
        )
        self._registry.insert(row, ignore_existing=True)
        return self._registry.find(ProjectRow, creator_id=self._user, is_default=True)[0]

    def update(self, project_id: str, **changes: Any) -> ProjectRow:
        """Change name or description."""
        row, changes = self.get(project_id), changes | {"update_time": now()}
        self._registry.update(row, **changes)
        return replace(row, **changes)

    def delete(self, project_id: str) -> None:
        """Delete a project that has no tasks.

        Raises:
            InvalidArguments: It has.
        """
        row = self.get(project_id)
        if self._registry.find(TrainTaskRow, project_id=project_id):
            raise InvalidArguments(f"project {project_id} has tasks: it cannot be deleted")
        self._registry.delete(row)

    def mirrors(self) -> list[MirrorRow]:
        """Return the environments that algorithms may run in."""
        return self._registry.find(MirrorRow)

    def mirror_by_name(self, name: str) -> MirrorRow:
        """Return an environment by its name.

        Raises:
            AnyLearnNotSupportedException: There is none.
        """
        found = self._registry.find(MirrorRow, name=name)
        if not found:
            raise AnyLearnNotSupportedException(
                f"Container for `{name}` is not supported by the connected backend."
            )
        return found[0]

    def add_mirror(self, name: str) -> MirrorRow:
        """Offer an environment; one of this name that is there already is kept."""
        self._registry.insert(MirrorRow(new_id("MIRR"), name), ignore_existing=True)
        return self.mirror_by_name(name)

    def add_quota_group(
        self, name: str, capacity: Mapping[str, float], defaults: Mapping[str, float]
    ) -> QuotaGroupRow:
        """Offer a share of the machines.

        Args:
            name: Its name.
            capacity: How much there is of each resource, as in {"GPU": 8, "CPU": 64}.
            defaults: What a task gets that asks for nothing.
        """
        row = QuotaGroupRow(new_id(_GROUP_PREFIX), name, json.dumps(capacity), json.dumps(defaults))
        self._registry.insert(row)
        return row

    def quota_groups(self) -> list[QuotaGroupRow]:
        """Return the quota groups; "default", this machine, is always one of them."""
        capacity = json.dumps({"CPU": os.cpu_count() or 1})
        default = QuotaGroupRow("default", "default", capacity, json.dumps({"CPU": 1}))
        return [default, *self._registry.find(QuotaGroupRow)]

    def quota_group(self, name_or_id: str) -> QuotaGroupRow:
        """Return a quota group by id or name.

        Raises:
            NotFoundError: There is none.
        """
        for row in self.quota_groups():
            if name_or_id in (row.id, row.name):
                return row
        raise NotFoundError(f"Failed to find QuotaGroup: {name_or_id}")

    def allocated(self, group: QuotaGroupRow) -> dict[str, float]:
        """Return what tasks that run have of a quota group."""
        taken: dict[str, float] = {}
        for task in self._registry.find(TrainTaskRow, state=int(TaskState.RUNNING)):
            for request in json.loads(task.resource_request):
                for name, amount in request.get(group.id, {}).items():
                    taken[name] = taken.get(name, 0) + amount
        return taken

    def resolve_request(
        self, request: ResourceRequest | None
    ) -> list[dict[str, dict[str, float]]] | None:
        """Return a request with the ids of quota groups for their names; None for an empty one.

        Raises:
            NotFoundError: There is no quota group of a name.
            InvalidArguments: The request has another form.
        """
        if not request:
            return None
        return [
            {self._group_id(name): dict(amounts) for name, amounts in _items(one)}
            for one in request
        ]

    def _group_id(self, name: str) -> str:
        if name in _BUILT_IN_GROUPS or name.startswith(_GROUP_PREFIX):
            return name
        return self.quota_group(name).id


def _items(request: Any) -> Iterable[tuple[str, Mapping[str, float]]]:
    if not isinstance(request, Mapping) or not all(
        isinstance(amounts, Mapping) for amounts in request.values()
    ):
        raise InvalidArguments(
            f"resource request {request!r}: a group and its amounts are needed, as in "
            '[{"default": {"CPU": 4}}]'
        )
    return request.items()
