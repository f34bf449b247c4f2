"""Access, uploads, downloads and errors of the server."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Iterator

import aiohttp  # noqa: F401 - the server needs it
import pytest
import requests

from aisio.tasks.states import ResourceState
from tests.tasks.server.served import PASSWORD, Served, serve


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Served]:
    """Return a server for all tests of this file."""
    with serve(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def server(shared) -> Served:
    """Return the server, with a client that is logged in."""
    shared.login()
    return shared


def zipped(**files: bytes) -> bytes:
    """Return a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def new_dataset(server: Served, filename: str = "data.zip") -> str:
    """Register a data set; return its id."""
    reply = server.call("POST", "dataset/add", name="data", filename=filename, public=0)
    return str(reply["data"])


@pytest.mark.parametrize(("user", "password"), [("ada", "wrong"), ("eve", PASSWORD), ("ada", "")])
def test_a_wrong_login_is_refused(server, user, password) -> None:
    """Without saying what of it is wrong."""
    response = server.send("POST", "user/login", username=user, password=password)
    assert (response.status_code, response.json()["message"]) == (
        401,
        "user or password is wrong",
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "mirror/list"), ("POST", "train_task/add"), ("POST", "resource/upload"),
     ("POST", "resource/upload_finish"), ("GET", "resource/download?file_id=x"),
     ("POST", "resource/compression"), ("GET", "no/such")],
)  # fmt: skip
def test_every_operation_needs_the_token(server, method, path) -> None:
    """Also those that do not exist."""
    server.token = ""
    assert server.send(method, path).status_code == 401


def test_errors_have_a_status_and_say_why(server) -> None:
    """In the form of Anylearn's server."""
    cases = [
        ("GET", "dataset/query", {"id": "DSET0"}, 404, "DSET0"),
        ("GET", "dataset/query", {}, 400, "no 'id'"),
        ("POST", "dataset/add", {"name": ""}, 400, "name"),
        ("POST", "algorithm/add", {"name": "a b", "mirror_id": "MIRR" + "0" * 28}, 400, "a b"),
        ("POST", "algorithm/add", {"name": "a", "mirror_id": "MIRR9"}, 404, "MIRR9"),
        ("GET", "resource/listdir", {"file_id": new_dataset(server)}, 409, "not READY"),
        ("GET", "no/such", {}, 404, "no/such"),
        ("GET", "no/such%0Aline", {}, 404, "Not Found"),
        ("PATCH", "mirror/list", {}, 404, "mirror/list"),
    ]
    for method, path, values, status, words in cases:
        response = server.send(method, path, **values)
        assert response.status_code == status, path
        assert words in response.json()["message"]


def test_a_form_in_an_unknown_encoding_is_refused(server) -> None:
    """It is the client's fault, not the server's."""
    for charset, body in (("none", b"id=x"), ("utf-8", b"id=\xff")):
        kind = f"application/x-www-form-urlencoded; charset={charset}"
        headers = {"Authorization": f"Bearer {server.token}", "Content-Type": kind}
        url = f"{server.url}/api/project/update"
        assert requests.put(url, headers=headers, data=body, timeout=60).status_code == 400


def test_a_file_is_uploaded_in_chunks(server) -> None:
    """In any order, some of them twice; anylearn sends an empty one behind whole chunks."""
    dataset = new_dataset(server, "data.bin")
    data = bytes(range(250)) * 8
    for number in (1, 0, 1, 2):
        chunk = data[number * 1000 : (number + 1) * 1000]
        assert server.send_chunk(dataset, number, chunk).status_code == 200
    assert server.call("GET", "dataset/query", id=dataset)[0]["state"] == ResourceState.UPLOADING
    server.call("POST", "resource/upload_finish", file_id=dataset)
    reply = server.wait_for("dataset", dataset, ResourceState.READY)
    assert (reply["size"], reply["filename"]) == (2000, "data.bin")
    assert server.call("GET", "resource/listdir", file_id=dataset) == ["data.bin"]


def test_a_chunk_that_is_missing_makes_the_upload_an_error(server) -> None:
    """The reason can be read."""
    dataset = new_dataset(server)
    server.send_chunk(dataset, 1, b"second")
    server.call("POST", "resource/upload_finish", file_id=dataset)
    reply = server.wait_for("dataset", dataset, ResourceState.ERROR, ResourceState.READY)
    assert "chunk 0" in reply["message"]


@pytest.mark.parametrize(
    ("data", "files", "words"),
    [
        ({"file_id": "x"}, {}, "multipart"),
        ({"chunk": "0"}, {"file": b"x"}, "file_id"),
        ({"file_id": "x", "chunk": "one"}, {"file": b"x"}, "chunk='one'"),
        ({"file_id": "x", "chunk": "0"}, {"other": b"x"}, "no part 'file'"),
    ],
)
def test_a_chunk_that_cannot_be_meant_is_refused(server, data, files, words) -> None:
    """With what is wrong."""
    response = requests.post(
        f"{server.url}/api/resource/upload",
        headers={"Authorization": f"Bearer {server.token}"},
        data=data,
        files=files,
        timeout=60,
    )
    assert response.status_code == 400
    assert words in response.json()["message"]


def test_what_was_uploaded_is_downloaded(server) -> None:
    """The same file, by ranges too; the token may be in the query, as anylearn sends it."""
    archive = zipped(**{"a.txt": b"text" * 1000})
    dataset = new_dataset(server)
    server.upload(dataset, archive)
    server.wait_for("dataset", dataset, ResourceState.READY)
    made = server.call("POST", "resource/compression", file_id=dataset)["data"]
    form = {"file_id": dataset, "compression_id": made}
    state = requests.get(
        f"{server.url}/api/resource/compression",
        headers={"Authorization": f"Bearer {server.token}"},
        data=form,
        timeout=60,
    )
    assert (state.status_code, state.json()["data"]) == (200, made)
    url = f"{server.url}/api/resource/download"
    whole = requests.get(url, params={**form, "token": server.token}, timeout=60)
    assert whole.content == archive
    assert whole.headers["Content-Disposition"] == 'attachment; filename="data.zip"'
    part = requests.get(
        url, params={**form, "token": server.token}, headers={"Range": "bytes=2-4"}, timeout=60
    )
    assert (part.status_code, part.content) == (206, archive[2:5])
    for token, archive_id, status in (("x", made, 401), (server.token, "../../x", 400)):
        query = {"file_id": dataset, "compression_id": archive_id, "token": token}
        assert requests.get(url, params=query, timeout=60).status_code == status


def test_no_secret_is_logged(server, caplog) -> None:
    """Neither of a login nor of a download."""
    caplog.set_level(logging.DEBUG)
    server.login()
    server.send("GET", "resource/download", file_id="DSET0", token=server.token)
    server.send("POST", "user/login", username="ada", password="wrong-password")
    records = [one.getMessage() for one in caplog.records if not one.name.startswith("urllib3")]
    assert "GET /api/resource/download 400" in records
    for secret in (PASSWORD, server.token, "wrong-password"):
        assert secret not in "".join(records)


def test_what_a_killed_server_has_not_finished_is_taken_up(tmp_path) -> None:
    """Uploads whose chunks have all come, and tasks that were not started."""
    with serve(tmp_path) as server:
        server.login()
        dataset = new_dataset(server, "data.bin")
        server.send_chunk(dataset, 0, b"bytes")
        (server.service.settings.home / "uploads" / f"{dataset}.finish").touch()
        algorithm = server.call(
            "POST", "algorithm/add", name="digits", mirror_id="MIRR" + "0" * 28, filename="a.zip"
        )["data"]
        server.upload(algorithm, zipped(**{"train.py": b"", "requirements.txt": b""}))
        server.wait_for("algorithm", algorithm, ResourceState.READY)
        task = server.service.train_tasks.create(
            project_id=server.service.projects.default().id,
            algorithm_id=algorithm,
            name="task",
            entrypoint="python train.py",
        )
        assert server.engine.jobs == []
    with serve(tmp_path) as server:
        server.login()
        server.wait_for("dataset", dataset, ResourceState.READY)
        server.wait_for("train_task", task.id, 1)
        assert [job.task_id for job in server.engine.jobs] == [task.id]
