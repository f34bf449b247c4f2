"""A server of tasks, with the REST routes of Anylearn: its SDK 0.15.5 runs against it unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.tasks.server.server import ServerOptions, TaskServer, serve

__all__ = ["ServerOptions", "TaskServer", "serve"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"aisio.tasks.server.server": ("ServerOptions", "TaskServer", "serve")}
)
