"""`aisio cache`."""

from __future__ import annotations

import os
import re
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from aisio.resources.cache.cache import Cache
from aisio.resources.unpack.unpack import unpack
from tests.tars import pack


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the folder that AISIO_CACHE_DIR names; it is not there yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("AISIO_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def entry(folder):
    """Return the path of an entry, unpacked, that was used last in 1970."""
    data = pack(("1", b"one"))
    path = folder / f"{sha256(data).hexdigest()}-x.tar"
    cache = Cache(folder)
    with cache.lock(path):
        path.write_bytes(data)
        cache.mark_verified(path, unpack(path, "tar"))
    os.utime(f"{path}.aisio-verified", (3600, 3600))
    return path


def test_another_folder_can_be_named(run, folder, tmp_path):
    """Before the command, for all of them."""
    other = tmp_path / "other"
    assert run("cache", "--cache-dir", str(other), "path").stdout == f"{other}\n"
    assert run("cache", "path").stdout == f"{folder}\n"


def test_path_is_the_folder_and_nothing_else(run, folder):
    """It can be used in a command; nothing is made."""
    done = run("cache", "path")
    assert (done.stdout, done.stderr, done.exit_code) == (f"{folder}\n", "", 0)
    assert not folder.exists()


def test_list_has_four_columns(run, entry):
    """Bytes, last use, state and name, with tabs between."""
    done = run("cache", "list")
    size = sum(one.stat().st_size for one in entry.parent.rglob("*") if one.is_file())
    assert done.stdout == f"{size}\t1970-01-01T01:00:00+00:00\tverified\t{entry.name}\n"


def test_an_absent_folder_holds_nothing(run, folder):
    """No command complains of it, and none makes it."""
    for words in (("list",), ("verify",), ("prune", "--max-size", "1G")):
        done = run("cache", *words)
        assert (done.stdout, done.exit_code) == ("", 0)
    assert not folder.exists()


def test_verify_says_nothing_of_what_is_right(run, entry):
    """But counts it."""
    done = run("cache", "verify")
    assert (done.stdout, done.stderr, done.exit_code) == ("", "aisio: 1 checked, 0 wrong\n", 0)


def test_verify_reports_what_is_wrong(run, entry):
    """Name and reason on stdout, status 1; the entry stays unless --remove is given."""
    entry.write_bytes(entry.read_bytes()[:-1])
    done = run("cache", "verify")
    assert re.fullmatch(rf"{entry.name}\tsha256 .*: expected \w+, got \w+\n", done.stdout)
    assert done.exit_code == 1
    assert "\tunverified\t" in run("cache", "list").stdout
    assert run("cache", "verify", "--remove").exit_code == 1
    assert run("cache", "list").stdout == ""
    assert run("cache", "verify").exit_code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that cannot be read")
def test_verify_reports_what_it_cannot_read(run, entry):
    """Status 1, and the others are checked."""
    bad = entry.with_name("0" * 64 + "-x")
    bad.symlink_to("/proc/self/mem")
    done = run("cache", "verify")
    assert re.fullmatch(rf"{bad.name}\tit cannot be checked: .*Input/output error.*\n", done.stdout)
    assert done.stderr == "aisio: 2 checked, 1 wrong\n"
    assert done.exit_code == 1


def test_verify_says_what_it_could_not_check(run, folder):
    """Where no digest is known, there is neither praise nor blame."""
    folder.mkdir()
    (folder / "None-x").write_bytes(b"")
    done = run("cache", "verify")
    assert done.stderr == (
        "aisio: None-x: not checked: no digest of it is known\naisio: 0 checked, 0 wrong\n"
    )
    assert done.exit_code == 0


def test_prune_makes_room(run, entry):
    """It lists what it removes; a dry run only lists."""
    listed = run("cache", "list").stdout
    assert run("cache", "prune", "--max-size", "20G").stdout == ""
    dry = run("cache", "prune", "--max-size", "1K", "--dry-run")
    assert (dry.stdout, run("cache", "list").stdout) == (listed, listed)
    assert "1 would be removed" in dry.stderr
    done = run("cache", "prune", "--max-size", "0")
    assert done.stdout == listed
    assert run("cache", "list").stdout == ""
    assert not entry.exists()


@pytest.mark.parametrize("words", [(), ("--max-size", "much"), ("--max-size", "-1")])
def test_prune_needs_a_size(run, folder, words):
    """A command line that cannot be meant."""
    assert run("cache", "prune", *words).exit_code == 2


def test_names_cannot_speak_to_the_terminal(run, folder):
    """A name with control characters is one line."""
    folder.mkdir()
    (folder / "None-a\nb\x1b[2J").write_bytes(b"")
    assert run("cache", "list").stdout.endswith("\tNone-a\\nb\\x1b[2J\n")


def test_a_folder_that_cannot_be_is_a_clear_error(run, tmp_path, monkeypatch):
    """One line on stderr, status 1."""
    file = tmp_path / "file"
    file.write_bytes(b"")
    monkeypatch.setenv("AISIO_CACHE_DIR", str(Path(file, "cache")))
    done = run("cache", "list")
    assert done.exit_code == 1
    assert re.fullmatch(rf"aisio: error: .*{file}.*\n", done.stderr)
