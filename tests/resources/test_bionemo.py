"""The names of bionemo.core.data.load, and the command download_bionemo_data."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import subprocess
import sys

import pytest

from aisio.errors import CatalogError
from aisio.resources import bionemo

ENTRYPOINT = "import aisio.resources.bionemo as b; b.entrypoint()"
LINE = "-" * 80


@pytest.fixture
def files(tmp_path):
    """Write two files where the URLs of a catalog point, and return their bytes by name."""
    files = {"b.bin": b"second", "a.bin": b"first"}
    (tmp_path / "origin").mkdir()
    for name, data in files.items():
        (tmp_path / "origin" / name).write_bytes(data)
    return files


@pytest.fixture
def catalog(tmp_path, files, monkeypatch):
    """Return the folder of a catalog that the environment names; its cache is beside it."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    entries = [
        {
            "tag": name,
            "url": f"file://{tmp_path}/origin/{name}",
            "sha256": hashlib.sha256(data).hexdigest(),
            "owner": "a@example.com",
        }
        for name, data in files.items()
    ]
    write(folder, entries)
    monkeypatch.setenv("AISIO_CATALOG", str(folder))
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("BIONEMO_DATA_SOURCE", raising=False)
    return folder


def write(folder, entries, name="team.yaml"):
    """Write a file of a catalog; JSON is YAML."""
    (folder / name).write_text(json.dumps(entries))


def path_of(tmp_path, files, name):
    """Return where an entry's file belongs."""
    return tmp_path / "cache" / f"{hashlib.sha256(files[name]).hexdigest()}-{name}"


@pytest.fixture
def run(catalog):
    """Return a function that runs the command as a program."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONWARNINGS": "error",
    }

    def run(*words, start=("-c", ENTRYPOINT)):
        command = [sys.executable, *start, *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    return run


REGISTERED = [
    {
        "tag": "both",
        "ngc": "org/team/name:1.0",
        "ngc_registry": "model",
        "pbss": "s3://bucket/both",
        "sha256": None,
        "owner": "a@example.com",
    },
    {"tag": "Again", "pbss": "s3://bucket/again", "sha256": None, "owner": "a@example.com"},
]
TABLE = (
    "#resource_name\tsource_options\n"
    "model/Again\tpbss\n"
    "model/both\tngc,pbss\n"
    "team/a.bin\turl\n"
    "team/b.bin\turl\n"
)


def test_ngc_28_the_table_is_sorted_and_names_the_sources(catalog, run):
    """A first line that begins with #, then a name, a tab, and ngc before pbss."""
    write(catalog, REGISTERED, "model.yaml")
    done = run("--list-resources")
    assert (done.returncode, done.stdout, done.stderr) == (0, TABLE, "")
    out = io.StringIO()
    bionemo.print_resources(output_source=out)
    assert out.getvalue() == TABLE


def test_ngc_29_one_absolute_path_is_all_that_stdout_gets(run, tmp_path, files):
    """Everything else goes to stderr; the file is there."""
    path = path_of(tmp_path, files, "a.bin")
    for _ in range(2):
        done = run("team/a.bin")
        assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert path.read_bytes() == b"first"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["team/a.bin", "--list-resources"], 2, "not allowed with argument artifact_name"),
        ([], 2, "You must provide an artifact name if --list-resources or --all is not set!"),
        ([""], 2, "You must provide an artifact name if --list-resources or --all is not set!"),
        (["--source", "web", "team/a.bin"], 2, "invalid choice: 'web'"),
        (["no/tag"], 1, "error: Resource 'no/tag' not found."),
        (["--source", "ngc", "team/a.bin"], 1, "'team/a.bin' does not have an NGC URL."),
    ],
)
def test_ngc_30_what_cannot_be_meant_is_told_in_one_line(run, words, status, told):
    """Exit status 2 for the command line, 1 for what failed; no traceback, nothing on stdout."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("start", [("-c", ENTRYPOINT), ("-m", "aisio.resources.bionemo")])
def test_ngc_30_all_works_alone_and_so_does_python_m(run, start):
    """Upstream wants a name beside --all, and python -m fails."""
    done = run("--all", start=start)
    assert done.returncode == 0, done.stderr


def test_ngc_31_all_are_loaded_in_order_and_told_on_stderr(run, tmp_path, files):
    """The banner, the table, a line; then a line and where each is. Stdout is empty."""
    done = run("--all", "--list-resources")
    table = "\n".join([TABLE.splitlines()[0], *TABLE.splitlines()[3:]])
    paths = [f"  team/{name}: {path_of(tmp_path, files, name)}" for name in ("a.bin", "b.bin")]
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "Downloading all resources:",
        *table.splitlines(),
        LINE,
        LINE,
        "All resources downloaded:",
        *paths,
    ]


def test_the_command_does_not_ask_for_a_default_source(run, catalog, monkeypatch):
    """As upstream's: without --source a registry's entry comes from ngc."""
    write(catalog, REGISTERED, "model.yaml")
    done = run("model/Again")
    assert done.returncode == 1
    assert "does not have an NGC URL" in done.stderr


def test_load_takes_the_same_arguments(catalog, tmp_path, files):
    """By place and by name."""
    resources = bionemo.get_all_resources(catalog)
    other = tmp_path / "other"
    by_place = bionemo.load("team/a.bin", None, resources, other)
    assert by_place == other / path_of(tmp_path, files, "a.bin").name
    assert bionemo.load(model_or_data_tag="team/a.bin", cache_dir=other) == by_place
    with pytest.raises(ValueError, match=r"^Resource 'x/y' not found\."):
        bionemo.load("x/y")


def test_resources_are_those_of_a_folder_else_of_the_default_catalog(catalog, tmp_path):
    """A folder that is not there has none."""
    assert sorted(bionemo.get_all_resources()) == ["team/a.bin", "team/b.bin"]
    assert bionemo.get_all_resources(tmp_path / "nothing") == {}
    write(tmp_path, [{"tag": "a/b"}], "wrong.yaml")
    with pytest.raises(CatalogError):
        bionemo.get_all_resources(tmp_path)


def test_what_the_environment_says_is_read_when_it_is_asked_for(monkeypatch, tmp_path):
    """Upstream reads both once, at import."""
    module = importlib.import_module("aisio.resources.bionemo")
    monkeypatch.delenv("AISIO_CACHE_DIR", raising=False)
    for name in ("one", "two"):
        monkeypatch.setenv("BIONEMO_CACHE_DIR", str(tmp_path / name))
        monkeypatch.setenv("BIONEMO_DATA_SOURCE", name)
        assert tmp_path / name == module.BIONEMO_CACHE_DIR
        assert name == module.DEFAULT_SOURCE
    monkeypatch.delenv("BIONEMO_DATA_SOURCE")
    assert module.DEFAULT_SOURCE == "ngc"


def test_ngc_11_boto3s_client_has_the_endpoint_and_tries_ten_times(monkeypatch):
    """As upstream makes it, but for the endpoint of the environment."""
    pytest.importorskip("boto3")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", "http://127.0.0.1:9")
    client = bionemo.default_pbss_client()
    assert client.meta.endpoint_url == "http://127.0.0.1:9"
    assert client.meta.config.retries == {"mode": "standard", "total_max_attempts": 11}
    client.close()
