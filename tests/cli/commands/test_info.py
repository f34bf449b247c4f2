"""`aisio info`."""

from __future__ import annotations

import json
import os

import pytest

from tests.svg import texts


def facts(done):
    """Read one JSON object."""
    assert done.exit_code == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def test_an_object_is_described_by_all_that_is_known(run, bucket):
    """What HEAD says."""
    bucket.object("a.bin").put(b"bytes")
    known = bucket.object("a.bin").head()
    found = facts(run("info", "--json", "ais://cli-data/a.bin"))
    assert found["url"] == "ais://cli-data/a.bin"
    assert found["size_bytes"] == 5
    assert found["checksum"] == {"kind": known.checksum.kind, "value": known.checksum.value}
    assert found["version"] == known.version
    assert {"name", "etag", "mtime_s", "custom"} <= found.keys()
    table = run("info", "ais://cli-data/a.bin").stdout
    assert "size_bytes  5\n" in table
    assert known.checksum.value in table


def test_a_missing_object_is_an_error(run, bucket):
    """Status 1."""
    assert run("info", "ais://cli-data/none").exit_code == 1


def test_a_bucket_or_prefix_is_counted(run, bucket):
    """Objects and bytes below it."""
    for name in ("a/1", "a/2", "b"):
        bucket.object(name).put(b"12345")
    found = facts(run("info", "--json", "ais://cli-data"))
    assert found == {"url": "ais://cli-data", "exists": True, "objects": 3, "size_bytes": 15}
    assert facts(run("info", "--json", "ais://cli-data/a/"))["objects"] == 2
    assert run("info", "ais://cli-data").stdout.splitlines()[1:] == [
        "exists      yes",
        "objects     3",
        "size_bytes  15",
    ]


def test_what_is_not_there_does_not_exist(run, bucket, tmp_path):
    """The facts say so, and the status is 1, for scripts: a prefix may be misspelt."""
    bucket.object("train/1").put(b"x")
    for url in ("ais://cli-none", "ais://cli-data/trian/", f"{tmp_path}/none/"):
        done = run("info", "--json", url)
        found = json.loads(done.stdout)
        assert (found["exists"], found["objects"], found["size_bytes"]) == (False, 0, 0)
        assert done.exit_code == 1
        assert done.stderr.startswith("aisio: error: ")


def test_what_is_missing_is_told_with_what_may_be_meant(run, bucket):
    """The folder of that name, or the buckets that there are."""
    bucket.object("train/1").put(b"x")
    done = run("info", "ais://cli-data/train")
    assert done.exit_code == 1
    assert "`aisio info 'ais://cli-data/train/'` takes them all" in done.stderr
    for command in ("info", "ls", "cat", "du"):
        url = "ais://cli-none/x" if command == "cat" else "ais://cli-none"
        done = run(command, url)
        assert done.exit_code == 1
        assert done.stderr.endswith("; `aisio ls` lists the buckets\n"), done.stderr


def test_an_empty_bucket_or_local_folder_exists(run, bucket, files):
    """By itself, not by what is in it."""
    for url in ("ais://cli-data", files({"x/y": b""}) / "x"):
        assert facts(run("info", "--json", url))["exists"]


def test_a_time_that_no_calendar_has_is_shown_as_seconds(run, files):
    """File systems have times beyond the year 9999."""
    path = files({"a": b""}) / "a"
    os.utime(path, (0, 300_000_000_000))
    if path.stat().st_mtime != 300_000_000_000:
        pytest.skip("this file system has no such time")
    assert facts(run("info", "--json", path))["mtime"] == "300000000000 s since 1970"


def test_a_local_file_and_folder_are_described(run, files):
    """Without a cluster."""
    folder = files({"a.txt": b"text", "b/c.txt": b"more"})
    assert facts(run("info", "--json", folder / "a.txt"))["size_bytes"] == 4
    assert facts(run("info", "--json", folder))["size_bytes"] == 8


def test_the_connection_is_described_with_its_origins(run, endpoint, monkeypatch):
    """What holds, and who said so."""
    monkeypatch.setenv("AIS_READ_TIMEOUT", "7")
    found = facts(run("info", "--json"))
    assert (found["endpoint"], found["ready"]) == (endpoint, True)
    settings = found["settings"]
    assert settings["endpoint"] == {"value": endpoint, "from": "AIS_ENDPOINT"}
    assert settings["timeouts.read_s"] == {"value": 7.0, "from": "AIS_READ_TIMEOUT"}
    assert settings["timeouts.connect_s"] == {"value": 3.0, "from": "default"}
    settings = facts(run("-e", endpoint, "info", "--json"))["settings"]
    assert settings["endpoint"] == {"value": endpoint, "from": "argument"}


SETTINGS = {
    "AIS_AUTHN_TOKEN": ("token", "secret"),
    "AIS_AUTHN_URL": ("authn_url", "http://127.0.0.1:9"),
    "AIS_CONNECT_TIMEOUT": ("timeouts.connect_s", "1"),
    "AIS_READ_TIMEOUT": ("timeouts.read_s", "7"),
    "AIS_MAX_CONN_POOL": ("pool_size", "2"),
    "AIS_CLIENT_CA": ("tls.ca_file", __file__),
    "AIS_CRT": ("tls.client_cert_file", __file__),
    "AIS_CRT_KEY": ("tls.client_key_file", __file__),
    "AIS_SKIP_VERIFY_CRT": ("tls.verify", "true"),
}


@pytest.mark.parametrize("variable", SETTINGS)
def test_every_variable_is_named_where_it_has_set_something(run, variable, monkeypatch):
    """All that `aisio.config` reads for a client."""
    setting, value = SETTINGS[variable]
    monkeypatch.setenv(variable, value)
    settings = facts(run("info", "--json"))["settings"]
    assert variable in settings[setting]["from"]
    others = {known["from"] for name, known in settings.items() if name != setting}
    assert others == {"AIS_ENDPOINT", "default"}


@pytest.mark.parametrize("words", [["info"], ["info", "--json"]])
def test_a_token_is_never_shown(run, words, monkeypatch):
    """Only that there is one."""
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "very-secret")
    done = run(*words)
    assert "very-secret" not in done.output
    assert "set" in done.stdout


def test_a_cluster_that_is_not_there_is_not_ready(run, unused_endpoint):
    """That is an answer, not an error."""
    found = facts(run("-e", unused_endpoint, "info", "--json"))
    assert (found["endpoint"], found["ready"]) == (unused_endpoint, False)


def test_a_pattern_is_counted(run, bucket):
    """As a prefix is; one that matches nothing is an error."""
    for name in ("a.jpg", "b.jpg", "c/d.jpg"):
        bucket.object(name).put(b"123")
    facts = json.loads(run("info", "--json", "ais://cli-data/*.jpg").stdout)
    assert (facts["objects"], facts["size_bytes"]) == (2, 6)
    assert run("info", "ais://cli-data/*.png").exit_code == 1


def test_plot_draws_what_the_targets_hold(run, bucket, tmp_path):
    """And the numbers are shown as well."""
    pytest.importorskip("matplotlib")
    for name in ("a/1", "a/2", "b"):
        bucket.object(name).put(b"12345")
    found = facts(run("info", "--json", "ais://cli-data/a/", "--plot", tmp_path / "a.svg"))
    (target,) = found["targets"]
    assert (found["objects"], found["size_bytes"]) == (2, 10)
    assert (target["objects"], target["size_bytes"]) == (2, 10)
    drawn = texts(tmp_path / "a.svg")
    assert {"What the targets hold of ais://cli-data/a/", target["target"], "2"} <= set(drawn)
    table = run("info", "ais://cli-data", "--plot", tmp_path / "b.png").stdout
    assert f"target {target['target']}  3 objects, 15 bytes; disks " in table


def test_plot_without_url_draws_the_capacity(run, tmp_path):
    """Of the whole cluster."""
    pytest.importorskip("matplotlib")
    found = facts(run("info", "--json", "--plot", tmp_path / "a.svg"))
    assert found["ready"]
    (target,) = found["targets"]
    assert target["objects"] is None
    assert target["used_bytes"] > 0
    assert target["target"] in texts(tmp_path / "a.svg")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("ais://cli-data/a", "a.png"), "--plot takes a bucket, or a URL that ends in"),
        (("catalog://x", "a.png"), "--plot takes a bucket"),
        (("ais://cli-data/*", "a.png"), "--plot takes a bucket"),
        (("/tmp/", "a.png"), "this is in no cluster"),
        (("ais://cli-data", "a.gif"), "a picture is a .png or .svg file"),
        (("ais://cli-none", "a.png"), "there is no such bucket"),
        (("ais://cli-data/none/", "a.png"), "no object has a name that begins with this"),
    ],
)
def test_plot_of_what_is_on_no_targets_is_an_error(run, bucket, tmp_path, words, error):
    """Without a picture."""
    pytest.importorskip("matplotlib")
    done = run("info", words[0], "--plot", tmp_path / words[1])
    assert done.exit_code > 0
    assert error in done.stderr
    assert list(tmp_path.iterdir()) == []
