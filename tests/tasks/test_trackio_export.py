"""Metrics as a run of trackio: by a stand-in where trackio is not installed.

The stand-in has what the export uses of trackio 0.43, which other packages of the tests rule out.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from aisio.errors import ConfigError, ConflictError, MissingExtraError
from aisio.tasks.metrics import Metric
from aisio.tasks.trackio_export import export_to_trackio

needs_trackio = pytest.mark.skipif(
    importlib.util.find_spec("trackio") is None, reason="needs trackio"
)
METRICS = [
    Metric(2.0, 0.0, name="loss", step=0),
    Metric(0.1, 0.0, name="lr"),
    Metric(1.0, 0.0, name="loss", step=5),
    Metric(0.2, 0.0, name="lr"),
    Metric(9.0, 0.0, name="loss", step=5, rank=1),
    Metric(0.5, 0.0, final=True),
]
LOGGED = [
    (0, {"loss": 2.0, "lr": 0.1}),
    (1, {"lr": 0.2}),
    (5, {"loss": 1.0, "rank 1/loss": 9.0, "final/metric": 0.5}),
]


class Trackio:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.projects: dict[str, list[Any]] = {}
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = 0

    def Api(self) -> Any:
        """Return what knows the runs of a project."""
        return self

    def runs(self, project: str) -> list[Any]:
        """Return the runs of a project."""
        if project not in self.projects:
            raise ValueError(f"Project {project!r} does not exist")
        return self.projects[project]

    def init(self, project: str, name: str, **options: Any) -> None:
        """Begin a run."""
        run = SimpleNamespace(name=name, config=options["config"])
        self.projects.setdefault(project, []).append(run)

    def log(self, values: dict[str, float], step: int) -> None:
        """Keep numbers."""
        self.logged.append((step, values))

    def finish(self) -> None:
        """End the run."""
        self.finished += 1


@pytest.fixture
def trackio(monkeypatch) -> Trackio:
    """Return a stand-in."""
    stand_in = Trackio()
    monkeypatch.setitem(sys.modules, "trackio", stand_in)
    return stand_in


def test_numbers_of_a_step_are_logged_together(trackio):
    """One without a step follows the last one of its name; results are at the last step."""
    export_to_trackio(METRICS, "digits", run="TRAI1", config={"lr": "0.1"})
    assert trackio.logged == LOGGED
    (run,) = trackio.projects["digits"]
    assert (run.name, run.config, trackio.finished) == ("TRAI1", {"lr": "0.1"}, 1)


def test_a_run_is_exported_once(trackio):
    """As trackio would show two runs of one name."""
    export_to_trackio(METRICS, "digits", run="TRAI1")
    with pytest.raises(ConflictError, match="project 'digits' of trackio has a run TRAI1 already"):
        export_to_trackio(METRICS, "digits", run="TRAI1")
    assert len(trackio.logged) == len(LOGGED)


@pytest.mark.parametrize(("metrics", "project"), [([], "digits"), (METRICS, " ")])
def test_nothing_to_export_is_an_error(trackio, metrics, project):
    """And no run is begun."""
    with pytest.raises(ConfigError):
        export_to_trackio(metrics, project, run="TRAI1")
    assert trackio.projects == {}


def test_trackio_is_not_installed(monkeypatch):
    """The error says what to do."""
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(MissingExtraError, match="pip install 'trackio>=0.43'"):
        export_to_trackio(METRICS, "digits", run="TRAI1")


@needs_trackio
def test_trackio_has_the_numbers(tmp_path, monkeypatch):
    """In its own database."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    real = importlib.import_module("trackio")
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    export_to_trackio(METRICS, "digits", run="TRAI1", config={"lr": "0.1"})
    (run,) = real.Api().runs("digits")
    logs = storage.get_logs("digits", run.name, run_id=run.id)
    shown = [
        (log["step"], {k: v for k, v in log.items() if k not in ("step", "timestamp")})
        for log in logs
    ]
    assert shown == LOGGED
    with pytest.raises(ConflictError):
        export_to_trackio(METRICS, "digits", run="TRAI1")
