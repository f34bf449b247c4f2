"""`aisio tasks gc`."""

from __future__ import annotations

import json
import os


def test_pieces_are_condemned_and_later_deleted(run, tasks_home) -> None:
    """After the time of grace; --dry-run says what would be."""
    pieces = tasks_home / "store" / "pieces" / "0a"
    pieces.mkdir(parents=True)
    (pieces / ("0a" * 32)).write_bytes(b"unused")
    os.utime(pieces / ("0a" * 32), (0, 0))
    expected = {
        "deleted": 0, "deleted_bytes": 0, "condemned": 1, "condemned_bytes": 6,
        "kept": 0, "kept_bytes": 0, "home_bytes": 0, "home_paths": [],
    }  # fmt: skip
    for options in (["--dry-run"], []):
        assert json.loads(run("tasks", "gc", "--json", *options).stdout) == expected
    (path,) = (tasks_home / "store" / "condemned").iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"time": 0}))
    lines = run("tasks", "gc", "--dry-run").stdout.splitlines()
    store = (tasks_home / "store").as_uri() + "/"
    assert lines[0] == f"{store}: 1 pieces to be deleted (6 bytes)"
    assert run("tasks", "gc").stdout.splitlines() == [
        f"{store}: 1 pieces deleted (6 bytes)",
        f"{store}: 0 pieces condemned, for a later call (0 bytes)",
        f"{store}: 0 pieces kept (0 bytes)",
        f"{tasks_home}: 0 files and folders deleted (0 bytes)",
    ]
    assert list(pieces.iterdir()) == []


def test_a_time_of_grace_below_an_hour_is_refused(run, tasks_home) -> None:
    """Uploads that run need it."""
    done = run("tasks", "gc", "--grace-hours", "0.5")
    assert done.exit_code == 2
    assert "--grace-hours" in done.stderr
