"""docs/commands.schema.json: what programs may rely on is what commands write."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from aisio.cli import main
from aisio.resources.cache.cache import Cache
from tests.publishing.publishing_job import started_jobs
from tests.tars import pack

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "commands.schema.json").read_text("utf-8")
)


def closed(schema: Any) -> Any:
    """Return a schema that allows no other properties than those it has."""
    if isinstance(schema, dict):
        schema = {name: closed(value) for name, value in schema.items()}
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return [closed(value) for value in schema] if isinstance(schema, list) else schema


def validator(command: str) -> jsonschema.Draft202012Validator:
    """Return what validates a line of a command."""
    schema = {**copy.deepcopy(closed(SCHEMA)), "$ref": f"#/$defs/{command}"}
    return jsonschema.Draft202012Validator(schema)


def commands(group: click.Group = main, before: str = "") -> Iterator[str]:
    """Yield the names of all commands with --json, as in "cache list"."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        elif any("--json" in param.opts for param in command.params):
            yield before + name


@pytest.fixture
def rows(run):
    """Return a function that runs a command with --json, and validates what it writes."""

    def rows(command: str, *words: object, status: int = 0) -> list[dict[str, Any]]:
        done = run(*command.split(), "--json", *words)
        assert done.exit_code == status, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert found, command
        for row in found:
            validator(command).validate(row)
        return found

    return rows


def test_each_command_with_json_has_a_schema():
    """And the schema is one."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(commands()) <= SCHEMA["$defs"].keys()
    assert {"ls", "rm", "du", "diff", "cache list", "tasks show"} <= set(commands())


def test_targets(rows, bucket, tmp_path):
    """As they are drawn."""
    pytest.importorskip("matplotlib")
    bucket.object("a").put(b"a")
    for words in ((), ("ais://cli-data",)):
        rows("info", "--plot", tmp_path / "targets.png", *words)


def test_objects_and_buckets(rows, bucket, tmp_path, monkeypatch):
    """Listed, described, compared, deleted."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("t/a", "t/b", "u"):
        bucket.object(name).put(name.encode())
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "u").write_bytes(b"U")
    url = "ais://cli-data"
    for words in ((), (url,), ("-l", url), ("--no-recursion", url), ("-l", tmp_path / "tree")):
        rows("ls", *words)
    for words in ((), (url,), (f"{url}/u",), (f"{url}/t/*",), (tmp_path / "tree" / "u",)):
        rows("info", *words)
    rows("info", f"{url}/no/", status=1)
    rows("du", "-d", 2, url)
    assert len(rows("diff", "--all", url, tmp_path / "tree", status=1)) == 3
    assert len(rows("rm", "-n", "-r", url)) == 3
    assert len(rows("rm", "-r", f"{url}/t")) == 2
    rows("mb", "ais://cli-data-2")
    rows("rb", "-n", "ais://cli-data-2")
    rows("rb", "ais://cli-data-2")


def test_shards(rows, bucket, files, tmp_path, monkeypatch):
    """Packed, indexed, verified, timed."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    folder = files({"0.jpg": b"0", "0.cls": b"1", "1.jpg": b"2"})
    rows("pack", folder, "ais://cli-data/shards/", "--samples", 1)
    tar = tmp_path / "t.tar"
    rows("tar", "--tar-path", tar, "--index-path", f"{tar}.idx", "--source-path", folder)
    rows("tar", "--tar-path", tar, "--index-path", f"{tar}.2", "--index-only")
    rows("index", "ais://cli-data/shards/")
    first = next(info for info in bucket.list("shards/") if info.name.endswith(".tar"))
    bucket.object(first.name).put(pack(("0.jpg", b"9"), ("0.cls", b"1")))
    rows("verify", "ais://cli-data/shards/", status=1)
    rows("bench", "--turns", 1, "ais://cli-data/shards/")


def test_catalogs_and_downloads(rows, bucket, tmp_path, monkeypatch):
    """Checked, listed, pinned, loaded, removed."""
    bucket.object("a.bin").put(b"data")
    cache = tmp_path / "cache"
    digest = hashlib.sha256(b"data").hexdigest()
    entries = [
        {"tag": "a", "url": "ais://cli-data/a.bin", "sha256": digest, "owner": "a@example.com"},
        {"tag": "s", "prefix": "ais://cli-data/", "owner": "a@example.com", "description": "all"},
    ]
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "team.yaml").write_text(json.dumps(entries, indent=1))
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("AISIO_CACHE_DIR", str(cache))
    monkeypatch.setenv("BIONEMO_DATA_SOURCE", "")
    assert rows("catalog check") == [{"resources": 1, "sources": 1}]
    rows("catalog list")
    for tag in ("team/a", "team/s"):
        rows("catalog show", tag)
    rows("info", "catalog://team/s")
    rows("ls", "-l", "catalog://team/s")
    assert rows("catalog pin", "team/s")[0]["field"] == "digest"
    assert rows("load", "--list") == [{"tag": "team/a", "origins": ["url"]}]
    assert rows("load", "team/a") == rows("load", "--all")
    assert rows("cache path") == [{"path": str(cache)}]
    rows("cache list")
    old = cache / f"{'0' * 64}-old.bin"
    with Cache(cache).lock(old):
        old.write_bytes(b"old")
        Cache(cache).mark_verified(old, old)
    os.utime(f"{old}.aisio-verified", (3600, 3600))
    rows("cache prune", "--dry-run", "--max-size", 0)
    next(cache.glob("*a.bin")).write_bytes(b"DATA")
    rows("cache verify", status=1)


def test_top(rows, tmp_path):
    """A job at one moment."""
    for start_job in started_jobs(tmp_path):
        start_job()
        (found,) = rows("top", tmp_path, "--once")
        assert found["ranks_seen"] == [3]


def test_tasks(rows, run_task, tmp_path):
    """Run, shown, and what they have left."""
    program = (
        "from pathlib import Path\nfrom aisio.tasks import report_intermediate_metric\n"
        "print('hello')\nreport_intermediate_metric(float('nan'), name='loss', step=1)\n"
        "Path('out').mkdir()\nPath('out/model').write_text('m')\n"
    )
    task_id = run_task(program, "--output", "out")
    for words in (("ls",), ("show", task_id), ("logs", task_id), ("metrics", task_id)):
        rows(f"tasks {words[0]}", *words[1:])
    rows("tasks results", task_id, "--list")
    rows("tasks results", task_id, tmp_path)
    rows("tasks abort", task_id)


def test_transfers(rows, bucket, files, tmp_path, monkeypatch):
    """Copied, moved, skipped, deleted and failed."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    folder, url = files({"a": b"1", "b": b"2"}), "ais://cli-data"
    rows("put", "-r", folder, url)
    rows("get", "--dry-run", "-r", url, tmp_path / "out")
    rows("cp", "-r", f"{url}/", f"{url}-2", "--create-bucket")
    rows("mv", f"{url}-2/a", f"{url}/c")
    assert {row["action"] for row in rows("sync", "--delete", folder, url)} == {"skip", "delete"}
    (folder / "broken").symlink_to("nowhere")
    failed = rows("sync", folder, url, status=1)
    assert [row["error"] is None for row in failed].count(False) == 1
    bucket.client.bucket("cli-data-2").delete()
