"""What all objects share: a row of the registry, and the service that it is from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from aisio.summary import Summarized, shown
from aisio.tasks.errors import AnyLearnMissingParamException
from aisio.tasks.service.service import TaskService, current_service

__all__ = ["TaskObject"]

T = TypeVar("T", bound="TaskObject")

_SECRET = ("envs", "secret_key")


class TaskObject(Summarized):
    """An object of the registry; its attributes are what was known when it was last loaded."""

    _service: TaskService | None = None

    @property
    def service(self) -> TaskService:
        """The service that the object is from; without it that of `init_sdk`."""
        return self._service or current_service()

    @classmethod
    def _of(cls: type[T], service: TaskService, values: dict[str, Any]) -> T:
        made = cls()
        made._service = service
        made._load(values)
        return made

    def _load(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if name in vars(self):
                setattr(self, name, value)

    def _require(self, *names: str) -> None:
        """Check that attributes are set.

        Raises:
            AnyLearnMissingParamException: One is not.
        """
        missing = [name for name in names if not getattr(self, name)]
        if missing:
            raise AnyLearnMissingParamException(
                f"{type(self).__name__} needs {', '.join(missing)} for this call"
            )

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self._summary().items())
        return shown(f"{type(self).__name__}({values})")

    def _summary(self) -> Mapping[str, object]:
        return {
            name: value
            for name, value in vars(self).items()
            if value is not None and not name.startswith("_") and name not in _SECRET
        }
