"""`aisio load`."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

NAMES = {"a": b"first", "b": b"second"}


@pytest.fixture
def cache(tmp_path):
    """Return the folder of the cache."""
    return tmp_path / "cache"


@pytest.fixture
def catalog(bucket, tmp_path, monkeypatch, environ, cache):
    """Name two objects in a catalog, and return a function that adds entries."""
    entries = []

    def add(tag, url, data):
        digest = hashlib.sha256(data).hexdigest()
        entries.append({"tag": tag, "url": url, "sha256": digest, "owner": "a@example.com"})
        (tmp_path / "catalog").mkdir(exist_ok=True)
        (tmp_path / "catalog" / "team.yaml").write_text(json.dumps(entries))

    for name, data in NAMES.items():
        bucket.object(f"{name}.bin").put(data)
        add(name, f"ais://cli-data/{name}.bin", data)
    for name, value in {
        "AISIO_CATALOG": str(tmp_path / "catalog"),
        "AISIO_CACHE_DIR": str(cache),
        "BIONEMO_DATA_SOURCE": "",
    }.items():
        monkeypatch.setenv(name, value)
        environ[name] = value
    return add


def file_of(cache, name):
    """Return where a resource's file belongs."""
    return cache / f"{hashlib.sha256(NAMES[name]).hexdigest()}-{name}.bin"


def test_stdout_gets_the_path_and_nothing_else(start, catalog, cache):
    """As a program, twice: downloaded, and found."""
    for _ in range(2):
        program = start("load", "team/a")
        out, err = program.communicate()
        assert (program.returncode, out.decode(), err) == (0, f"{file_of(cache, 'a')}\n", b"")
    assert file_of(cache, "a").read_bytes() == b"first"


def test_ngc_17_the_digest_of_a_resource_without_one_is_shown(run, catalog, tmp_path):
    """On stderr, to be written into the catalog; the path stands alone."""
    file = tmp_path / "catalog" / "team.yaml"
    digest = hashlib.sha256(b"first").hexdigest()
    file.write_text(file.read_text().replace(f'"{digest}"', "null"))
    done = run("load", "team/a")
    assert done.stdout.count("\n") == 1
    assert digest in done.stderr


def test_a_folder_can_be_given(run, catalog, tmp_path):
    """It need not exist, and may be relative: the path is absolute."""
    done = run("load", "team/a", "--cache-dir", tmp_path / "other")
    assert done.stdout == f"{file_of(tmp_path / 'other', 'a')}\n"


def test_all_are_loaded_and_named(run, catalog, cache):
    """A line each: the tag, a tab, the path."""
    done = run("load", "--all")
    assert done.exit_code == 0
    assert done.stdout == "".join(f"team/{name}\t{file_of(cache, name)}\n" for name in NAMES)


def test_all_goes_on_where_one_fails_and_names_it_at_the_end(run, catalog, cache):
    """Exit status 1; the others are there."""
    catalog("aa", "ais://cli-data/not-there", b"")
    catalog("ab", "ais://cli-data/a.bin", b"other bytes")
    done = run("load", "--all")
    assert done.exit_code == 1
    assert done.stdout == "".join(f"team/{name}\t{file_of(cache, name)}\n" for name in NAMES)
    assert "team/aa: " in done.stderr
    assert done.stderr.splitlines()[-1].endswith("2 of 4 resources failed: team/aa, team/ab")


def test_they_are_listed_with_where_they_come_from(run, catalog):
    """As download_bionemo_data lists them."""
    done = run("load", "--list")
    assert done.stdout == "#resource_name\tsource_options\nteam/a\turl\nteam/b\turl\n"


def test_a_recheck_finds_damage(run, catalog, cache):
    """Also damage that leaves size and time as they were."""
    run("load", "team/a")
    before = file_of(cache, "a").stat()
    file_of(cache, "a").write_bytes(b"FIRST")
    os.utime(file_of(cache, "a"), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run("load", "team/a", "--recheck").exit_code == 0
    assert file_of(cache, "a").read_bytes() == b"first"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([], 2, "one of TAG, --all and --list is needed"),
        (["team/a", "--all"], 2, "one of TAG, --all and --list is needed"),
        (["--all", "--list"], 2, "one of TAG, --all and --list is needed"),
        (["team/a", "--source", "web"], 2, "web"),
        (["team/aa"], 1, "Resource 'team/aa' not found."),
        (["team/a", "--source", "ngc"], 1, "does not have an NGC URL."),
    ],
)
def test_a_failure_is_reported_in_one_line(run, catalog, words, status, says):
    """On stderr, with an exit status."""
    done = run("load", *words)
    assert (done.exit_code, done.stdout) == (status, "")
    assert says in done.stderr


def test_the_endpoint_of_the_command_line_is_the_cluster(
    run, catalog, endpoint, monkeypatch, cache
):
    """It beats the environment's."""
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    done = run("--endpoint", endpoint, "load", "team/a")
    assert done.stdout == f"{file_of(cache, 'a')}\n"


def test_a_missing_object_is_reported_with_its_url(run, catalog):
    """And leaves nothing."""
    catalog("gone", "ais://cli-data/gone", b"")
    done = run("load", "team/gone")
    assert done.exit_code == 1
    assert "ais://cli-data/gone" in done.stderr
