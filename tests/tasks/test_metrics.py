"""Metrics of a task."""

from __future__ import annotations

import math
import multiprocessing
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from aisio import AccessError, ConfigError, StorageError, UnavailableError
from aisio.tasks import metrics
from aisio.tasks.metrics import (
    Metric,
    MetricsFolder,
    MetricsServer,
    read_metrics,
    report_final_metric,
    report_intermediate_metric,
)


@pytest.fixture
def task(tmp_path, monkeypatch) -> Path:
    """Be a process of a task; return the task's folder."""
    for name, value in (("task_id", "TRAI1"), ("secret_key", "s3cret")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AISIO_TASK_METRICS", str(tmp_path))
    return tmp_path


def test_any_32_reported_inside_read_outside(task, monkeypatch):
    """With name, step and rank; NaN is a number that trainings report."""
    report_intermediate_metric(0.5)
    monkeypatch.setenv("RANK", "3")
    report_intermediate_metric(math.nan, name="loss", step=7)
    report_final_metric(1)
    first, second, last = read_metrics(task)
    assert (first.value, first.name, first.step, first.rank, first.final) == (
        *(0.5, "metric", None, 0),
        False,
    )
    assert (math.isnan(second.value), second.name, second.step, second.rank) == (True, "loss", 7, 3)
    assert (last.value, last.final) == (1.0, True)
    assert read_metrics(task, final=True) == [last]
    assert len(read_metrics(task, final=False)) == 2


def test_any_32_filtered_by_time(tmp_path):
    """By seconds or by a datetime; what was reported at that very time is left out."""
    for second in (10, 20, 30):
        MetricsFolder(tmp_path).write(Metric(second, second))
    assert [metric.value for metric in read_metrics(tmp_path, since=10)] == [20, 30]
    since = datetime.fromtimestamp(20, timezone.utc)
    assert [metric.value for metric in read_metrics(tmp_path, since=since)] == [30]


def test_a_task_that_reported_nothing_has_no_metrics(tmp_path):
    """It may not have begun."""
    assert read_metrics(tmp_path) == []


def test_a_killed_process_costs_only_its_own_line(tmp_path, caplog):
    """The next line begins anew; the reader says what it left out."""
    sink = MetricsFolder(tmp_path)
    sink.write(Metric(1, 1))
    with sink.path.open("ab") as file:
        file.write(b'{"value": 2, "ti')
    assert [metric.value for metric in read_metrics(tmp_path)] == [1]
    sink.write(Metric(3, 3))
    assert [metric.value for metric in read_metrics(tmp_path)] == [1, 3]
    assert "left out 1 lines" in caplog.text


def _write_many(folder: Path, rank: int) -> None:
    for number in range(200):
        MetricsFolder(folder).write(Metric(number, 0, rank=rank))


def test_any_32_many_ranks_append_at_once(tmp_path):
    """No line is lost or mixed with another, and each rank's lines keep their order."""
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_write_many, args=(tmp_path, rank)) for rank in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = read_metrics(tmp_path)
    for rank in range(4):
        assert [item.value for item in found if item.rank == rank] == list(range(200))


@pytest.mark.parametrize("missing", ["task_id", "secret_key", "AISIO_TASK_METRICS"])
def test_outside_of_a_task_nothing_is_reported(task, monkeypatch, missing):
    """The text names the variables."""
    monkeypatch.delenv(missing)
    with pytest.raises(ConfigError, match=missing):
        report_intermediate_metric(1)
    assert read_metrics(task) == []


@pytest.mark.parametrize("value", ["high", None, [1, 2]])
def test_a_metric_is_a_number(task, value):
    """The text shows what was given."""
    with pytest.raises(ConfigError, match="not a number"):
        report_intermediate_metric(value)
    assert read_metrics(task) == []


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    """The text names the file."""
    with pytest.raises(StorageError, match=r"gone/metrics.jsonl"):
        MetricsFolder(tmp_path / "gone").write(Metric(1, 1))


class _Server(ThreadingHTTPServer):
    """Records what is posted.

    Attributes:
        received: Path, secret and form of each request.
        status: What it answers.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, str | None, dict[str, list[str]]]] = []
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.received.append((self.path, self.headers["Secret-Key"], parse_qs(body)))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[_Server]:
    """Run a server of tasks."""
    with _Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_any_32_a_server_gets_what_anylearn_sends(task, monkeypatch, server):
    """Path, form and header; what Anylearn does not know is sent only where it is used."""
    monkeypatch.setenv("AISIO_TASK_METRICS", server.url)
    report_intermediate_metric(0.5)
    report_final_metric(0.25, name="loss")
    assert server.received == [
        ("/api/train_task/intermediate_metric", "s3cret", {"id": ["TRAI1"], "metric": ["0.5"]}),
        (
            *("/api/train_task/final_metric", "s3cret"),
            {"id": ["TRAI1"], "metric": ["0.25"], "name": ["loss"]},
        ),
    ]


@pytest.mark.parametrize(
    ("status", "error"), [(403, AccessError), (500, StorageError), (302, StorageError)]
)
def test_a_server_that_does_not_take_a_metric_is_an_error(server, status, error):
    """It is sent once, nowhere else, and the text does not hold the secret."""
    server.status = status
    with pytest.raises(error) as caught:
        MetricsServer(server.url, "TRAI1", "s3cret").write(Metric(1, 1))
    assert len(server.received) == 1
    assert "TRAI1" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_any_38_a_metric_without_an_answer_is_sent_once():
    """The server may have taken it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sink = MetricsServer(url, "TRAI1", "s3cret")
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(sink.write, Metric(1, 1))
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
            with pytest.raises(UnavailableError, match="cannot be reached"):
                sent.result()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_server_that_cannot_be_reached_is_an_error():
    """After a few tries to connect."""
    sink = MetricsServer("http://127.0.0.1:1", "TRAI1", "s3cret", connect_retries=0)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        sink.write(Metric(1, 1))


def test_anylearns_own_server_is_found_by_its_namespace(task, monkeypatch):
    """Programs written for Anylearn run there unchanged."""
    monkeypatch.delenv("AISIO_TASK_METRICS")
    monkeypatch.setenv("BACKEND_NAMESPACE", "prod")
    sink = metrics.sink_of_this_task()
    assert isinstance(sink, MetricsServer)
    assert sink.url == "http://anylearn-backend.prod"
