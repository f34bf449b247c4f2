"""`aisio serve`."""

from __future__ import annotations

import signal
import socket

import pytest
import requests

from aisio.client.client import Client
from aisio.errors import AccessError
from tests.token_file import new_jwt


@pytest.fixture
def serve(start, tmp_path):
    """Return a function that starts `aisio serve` and returns the program and its endpoint."""

    def serve(*words):
        folder = tmp_path / "served"
        folder.mkdir(exist_ok=True)
        program = start("serve", folder, "--port", "0", *words)
        endpoint = program.stdout.readline().decode().strip()
        assert endpoint, program.stderr.read().decode()
        return program, endpoint

    return serve


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_endpoint_and_stops_cleanly(serve, number):
    """The endpoint is the first line; both signals are ways to say that it is enough."""
    program, endpoint = serve()
    Client(endpoint).bucket("cli-data").create().object("a").put(b"bytes")
    assert endpoint.startswith("http://127.0.0.1:")
    program.send_signal(number)
    assert (program.stdout.read(), program.stderr.read(), program.wait()) == (b"", b"", 0)


def test_folders_are_buckets(serve, tmp_path):
    """What is there already is served, what is put is a file."""
    (tmp_path / "served" / "data").mkdir(parents=True)
    (tmp_path / "served" / "data" / "a.txt").write_bytes(b"text")
    _, endpoint = serve()
    bucket = Client(endpoint).bucket("data")
    assert bucket.object("a.txt").get() == b"text"
    bucket.object("b/c.txt").put(b"more")
    assert (tmp_path / "served" / "data" / "b" / "c.txt").read_bytes() == b"more"


@pytest.mark.parametrize("text", ["secret\n", '{"token": "secret"}'])
def test_a_token_file_is_demanded_of_clients(serve, tmp_path, text):
    """In plain text, or as AIS_AUTHN_TOKEN_FILE has it."""
    (tmp_path / "token").write_text(text)
    _, endpoint = serve("--token-file", tmp_path / "token")
    assert Client(endpoint, token="secret").buckets() == []
    with pytest.raises(AccessError):
        Client(endpoint, token="").buckets()


def test_tokens_of_authn_and_signed_redirects_are_demanded_of_clients(serve, tmp_path):
    """As a secured cluster does; the key is not on the command line."""
    pytest.importorskip("cryptography")
    (tmp_path / "key").write_text("k3y\n")
    _, endpoint = serve("--jwt-key-file", tmp_path / "key", "--signed-redirects")
    client = Client(endpoint, token=new_jwt("k3y"))
    client.bucket("data").create().object("a").put(b"bytes")
    assert client.object("ais://data/a").get() == b"bytes"
    with pytest.raises(AccessError, match="token expired"):
        Client(endpoint, token=new_jwt("k3y", expires_in_s=-1)).buckets()


def test_a_token_of_the_environment_is_another_cluster_s(serve, environ):
    """Else a shell that talks to a cluster would lock its own local gateway."""
    environ["AIS_AUTHN_TOKEN"] = "secret"
    _, endpoint = serve()
    assert Client(endpoint, token="").buckets() == []


@pytest.mark.parametrize("source", ["arguments", "environment"])
def test_s3_keys_are_demanded_below_s3(serve, environ, source):
    """From either source; requests without a signature are refused."""
    words = []
    if source == "environment":
        environ["AISIO_SERVE_S3_ACCESS_KEY"] = "access"
        environ["AISIO_SERVE_S3_SECRET_KEY"] = "secret"
    else:
        words = ["--s3-access-key", "access", "--s3-secret-key", "secret"]
    environ["AWS_ACCESS_KEY_ID"] = "another service's"
    _, endpoint = serve(*words)
    assert requests.get(f"{endpoint}/s3").status_code == 403
    assert Client(endpoint).buckets() == []


def test_a_token_can_be_given_as_an_argument(serve):
    """Where nobody else looks."""
    _, endpoint = serve("--token", "secret")
    assert Client(endpoint, token="secret").buckets() == []


def test_read_only_refuses_changes(serve):
    """Whatever the client."""
    _, endpoint = serve("--read-only")
    with pytest.raises(AccessError):
        Client(endpoint).bucket("cli-data").create()


def test_verbose_writes_a_line_for_each_request(serve):
    """On stderr: stdout holds the endpoint alone."""
    program, endpoint = serve("--verbose")
    Client(endpoint).buckets()
    program.terminate()
    assert program.stdout.read() == b""
    assert b"/v1/buckets" in program.stderr.read()


def test_what_cannot_be_served_is_an_error(run, tmp_path):
    """A folder that is not there, a port that is taken, a token that is none."""
    assert run("serve", tmp_path / "none").exit_code == 1
    (tmp_path / "token").write_text("{}")
    assert run("serve", tmp_path, "--token-file", tmp_path / "token").exit_code == 1
    assert run("serve", tmp_path, "--token", "a", "--token-file", "b").exit_code == 2
    assert run("serve", tmp_path, "--tls-key", "b").exit_code == 2
    assert run("serve", tmp_path, "--tls-client-ca", "b").exit_code == 2
    (tmp_path / "empty").write_text("\n")
    assert run("serve", tmp_path, "--jwt-key-file", tmp_path / "empty").exit_code == 1
    assert run("serve", tmp_path, "--jwt-key-file", tmp_path / "none").exit_code == 1
    assert run("serve", tmp_path, "--s3-access-key", "a").exit_code == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", tmp_path, "--port", taken.getsockname()[1])
    assert done.exit_code == 1
    assert "cannot listen" in done.stderr
