"""Algorithms: named code in versions, which stay."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from aisio.errors import NotFoundError
from aisio.tasks.code import GitRemote, checkout, create_repository, find_commit, keep_commit
from aisio.tasks.errors import InvalidArguments, ResourceError
from aisio.tasks.records.ids import new_id
from aisio.tasks.resources.download import mount
from aisio.tasks.service.registry import Registry
from aisio.tasks.service.resources import ResourceService
from aisio.tasks.service.rows import AlgorithmVersionRow, ResourceRow, now
from aisio.tasks.settings import TaskSettings
from aisio.tasks.states import ResourceState

__all__ = ["AlgorithmService"]

_NAME = re.compile(r"[a-zA-Z0-9_.-]+")


class AlgorithmService:
    """The algorithms of one user, and the public ones of others.

    Args:
        registry: Their rows.
        resources: Their data, where it comes as archives.
        settings: Where repositories are.
    """

    def __init__(
        self, registry: Registry, resources: ResourceService, settings: TaskSettings
    ) -> None:
        self._registry = registry
        self._resources = resources
        self._settings = settings

    def create(self, name: str, mirror_id: str, **more: Any) -> ResourceRow:
        """Register an algorithm, with a repository unless git is disabled.

        Raises:
            InvalidArguments: The name has other characters than letters, digits, "_", "." and "-".
        """
        check_algorithm_name(name)
        row = self._resources.create("algorithm", name, mirror_id=mirror_id, **more)
        if self._settings.disable_git:
            return row
        return self._resources.update(row.id, git_address=self._address(row))

    def _address(self, row: ResourceRow) -> str:
        if self._settings.git_url:
            return f"{self._settings.git_url.rstrip('/')}/{row.name}.git"
        return str(create_repository(self.repository(row.id)))

    def repository(self, algorithm_id: str) -> Path:
        """Return where the repository of an algorithm is, if it is on this machine."""
        return self._settings.home / "code" / f"{algorithm_id}.git"

    def remote(self, row: ResourceRow) -> GitRemote | None:
        """Return the repository that the code is pushed to; None if it comes as archives.

        Raises:
            ConfigError: Its address is not that of a repository.
        """
        if row.git_address is None:
            return None
        if row.git_address.startswith(("http://", "https://")):
            user = self._settings.user if self._settings.password else None
            return GitRemote(row.git_address, user, self._settings.password)
        return GitRemote(row.git_address)

    def by_name(self, name: str) -> ResourceRow | None:
        """Return the user's own algorithm of a name."""
        rows = self._resources.find("algorithm", name=name, creator_id=self._settings.user)
        return rows[-1] if rows else None

    def add_commit(self, algorithm_id: str, commit: str) -> AlgorithmVersionRow:
        """Record a commit that the repository has as a version; READY from then on.

        Raises:
            NotFoundError: The repository does not have it.
        """
        row = self._resources.get(algorithm_id, "algorithm")
        if row.git_address == str(self.repository(row.id)):
            keep_commit(row.git_address, commit)
        known = self._registry.find(AlgorithmVersionRow, algorithm_id=row.id, commit_id=commit)
        version = known[0] if known else AlgorithmVersionRow(new_id("AVER"), row.id, commit, now())
        if not known:
            self._registry.insert(version)
        if row.creator_id == self._settings.user:
            self._registry.update(
                row, state=int(ResourceState.READY), message="", upload_time=now()
            )
        return version

    def versions(self, algorithm_id: str) -> list[AlgorithmVersionRow]:
        """Return the versions of an algorithm, oldest first."""
        self._resources.get(algorithm_id, "algorithm")
        return self._registry.find(AlgorithmVersionRow, algorithm_id=algorithm_id)

    def version(self, algorithm_id: str, ref: str = "") -> AlgorithmVersionRow:
        """Return a version by its id, commit, branch or tag; without `ref` the newest.

        A commit that the repository has becomes a version.

        Raises:
            NotFoundError: There is none.
            ResourceError: The algorithm has no code yet.
        """
        versions = self.versions(algorithm_id)
        if not versions:
            raise ResourceError(f"algorithm {algorithm_id} has no code yet")
        for version in reversed(versions):
            if not ref or ref in (version.id, version.commit_id):
                return version
        row = self._resources.get(algorithm_id, "algorithm")
        if row.git_address == str(self.repository(row.id)):
            return self.add_commit(row.id, find_commit(row.git_address, ref))
        raise NotFoundError(f"algorithm {algorithm_id} has no version {ref!r}")

    def write_code(self, version: AlgorithmVersionRow, folder: Path) -> None:
        """Write the code of a version to a folder, whole or not at all; one that is there stays.

        Raises:
            NotFoundError: Repository or store have lost it.
        """
        if folder.is_dir():
            return
        if version.commit_id is None:
            store = self._resources.store
            mount(store.read_tree(version.id), store, folder)
            return
        row = self._resources.get(version.algorithm_id, "algorithm")
        remote = self.remote(row)
        if remote is None:
            raise ResourceError(f"algorithm {row.id} has no repository any more")
        local = row.git_address == str(self.repository(row.id))
        checkout(self.repository(row.id) if local else remote, version.commit_id, folder)

    def delete(self, algorithm_id: str) -> None:
        """Delete one's own algorithm, with its versions and its repository on this machine."""
        self._resources.get_own(algorithm_id, "algorithm")
        for version in self.versions(algorithm_id):
            if version.commit_id is None:  # first, so that none is left if this is killed
                self._resources.store.delete_tree(version.id)
        self._resources.delete(algorithm_id)
        shutil.rmtree(self.repository(algorithm_id), ignore_errors=True)


def check_algorithm_name(name: str) -> None:
    """Check the name of an algorithm.

    Raises:
        InvalidArguments: It has other characters than letters, digits, "_", "." and "-".
    """
    if not _NAME.fullmatch(name):
        raise InvalidArguments(
            f"algorithm name {name!r}: only letters, digits, '_', '.' and '-' are allowed"
        )
