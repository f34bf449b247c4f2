"""The service: the registry of what tasks need and are, and every operation on it."""

from aisio.tasks.service.service import TaskService

__all__ = ["TaskService"]
