"""TaskService: every operation on algorithms, data, projects and tasks, as one user."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

from aisio.errors import ConfigError
from aisio.tasks.engines.base import Engine
from aisio.tasks.errors import InvalidArguments
from aisio.tasks.resources.garbage import DEFAULT_GRACE_S, Garbage, collect_pieces
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.service.algorithms import AlgorithmService
from aisio.tasks.service.leftovers import Leftovers, remove_leftovers
from aisio.tasks.service.projects import ProjectService
from aisio.tasks.service.registry import Registry
from aisio.tasks.service.resources import ResourceService
from aisio.tasks.service.train_tasks import TrainTaskService
from aisio.tasks.settings import TaskSettings, load_task_settings

__all__ = ["TaskService", "configure", "current_service"]

_ENGINES = {
    "local": ("aisio.tasks.engines.local", "LocalEngine"),
    "ray": ("aisio.tasks.engines.ray", "RayEngine"),
    "slurm": ("aisio.tasks.engines.slurm", "SlurmEngine"),
}


class TaskService:
    """All that one user can do. It holds no connection, and works after a fork.

    Args:
        settings: Where everything is, and who the user is.
        engine: What runs tasks; by default the one that the settings name.

    Attributes:
        settings: The same.
        engine: What runs tasks.
        resources: Data sets, models, files and the data of algorithms.
        algorithms: Code and its versions.
        projects: Projects, quota groups and mirrors.
        train_tasks: Tasks.
    """

    def __init__(
        self, settings: TaskSettings | None = None, *, engine: Engine | None = None
    ) -> None:
        self.settings = settings or load_task_settings()
        self.engine = engine or engine_by_name(self.settings.engine)
        home, user = self.settings.home, self.settings.user
        registry = self._registry = Registry(home)
        self.resources = ResourceService(registry, PieceStore(self.settings.store_url), home, user)
        self.algorithms = AlgorithmService(registry, self.resources, self.settings)
        self.projects = ProjectService(registry, user)
        self.train_tasks = TrainTaskService(
            registry, self.resources, self.algorithms, self.engine, home, user
        )

    def for_engine(self, name: str) -> TaskService:
        """Return the service of the same user whose tasks an engine runs.

        Raises:
            ConfigError: There is no engine of this name.
            MissingExtraError: Its package is not installed.
        """
        if name == self.engine.name:
            return self
        return TaskService(replace(self.settings, engine=name))

    def check_unused(self, resource_id: str) -> None:
        """Check that no task needs a resource which is to be deleted.

        Raises:
            InvalidArguments: One that has not finished does.
        """
        users = self.train_tasks.users_of(resource_id)
        if users:
            raise InvalidArguments(
                f"{resource_id} is used by train task {users[0]}: pass force=True to delete it all "
                f"the same"
            )

    def collect_garbage(
        self, *, grace_s: float = DEFAULT_GRACE_S, dry_run: bool = False
    ) -> tuple[Garbage, Leftovers]:
        """Delete what nothing refers to any more, in the store and in the home folder.

        Uploads may run at the same time, also on other machines. Pieces are deleted by a second
        call: see `aisio.tasks.resources.garbage`.

        Args:
            grace_s: For so long things stay that nothing refers to, in seconds.
            dry_run: Change nothing.

        Returns:
            What became of the pieces in the store; what was removed in the home folder.

        Raises:
            ConfigError: The time of grace is shorter than an hour.
            IntegrityError: A list of files in the store is damaged: nothing was deleted.
            StorageError: The store does not answer.
        """
        pieces = collect_pieces(self.resources.store, grace_s=grace_s, dry_run=dry_run)
        home = self.settings.home
        return pieces, remove_leftovers(self._registry, home, grace_s=grace_s, dry_run=dry_run)


def engine_by_name(name: str) -> Engine:
    """Return an engine.

    Raises:
        ConfigError: There is none of this name.
        MissingExtraError: Its package is not installed.
    """
    if name not in _ENGINES:
        raise ConfigError(f"engine {name!r}: one of {', '.join(_ENGINES)} is needed")
    module, engine = _ENGINES[name]
    made: Engine = getattr(import_module(module), engine)()
    return made


_configured: TaskService | None = None


def configure(service: TaskService | None) -> None:
    """Have all objects of this process use a service; None: what the environment names."""
    global _configured
    _configured = service


def current_service() -> TaskService:
    """Return the service of this process; without `init_sdk` the environment names it."""
    return _configured or TaskService()
