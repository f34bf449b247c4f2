"""init_sdk: settings of this process."""

from __future__ import annotations

from pathlib import Path

from aisio.tasks.service.service import TaskService, configure
from aisio.tasks.settings import load_task_settings

__all__ = ["init_sdk"]


def init_sdk(
    cluster_address: str | None = None,
    username: str | None = None,
    password: str | None = None,
    disable_git: bool | None = None,
    *,
    home: str | Path | None = None,
    engine: str | None = None,
    git_url: str | None = None,
) -> TaskService:
    """Set what all calls of this process use; see `aisio.tasks.settings` for the defaults.

    Args:
        cluster_address: Where data and code are kept: a URL, as in ais://tasks/, or a folder.
        username: Who starts tasks.
        password: For `git_url`.
        disable_git: Send code as archives.
        home: Folder of the records.
        engine: What runs tasks: "local", "ray" or "slurm".
        git_url: Base URL of a git server that code is pushed to.

    Returns:
        The service, which may also be passed to single calls.

    Raises:
        ConfigError: A setting is not valid.
    """
    settings = load_task_settings(
        cluster_address,
        home=home,
        user=username,
        password=password,
        engine=engine,
        git_url=git_url,
        disable_git=disable_git,
    )
    service = TaskService(settings)
    configure(service)
    return service
