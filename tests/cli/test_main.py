"""The group: help, version, endpoint, and what it loads."""

from __future__ import annotations

import os
import subprocess
import sys

import aisio
from aisio.cli import main


def test_the_commands_are_listed_as_a_newcomer_meets_them(run):
    """Serve comes first: without a server there is nothing to list."""
    first = ["serve", "ls", "get", "put", "cat", "cp", "mv", "sync", "rm", "mb", "rb", "du"]
    last = ["load", "cache", "catalog", "tasks", "completion"]
    shards = ["diff", "info", "pack", "tar", "index", "verify", "bench", "top"]
    assert list(main.commands) == [*first, *shards, *last]
    shown = run("--help").stdout
    assert [shown.index(f"\n  {name} ") for name in main.commands] == sorted(
        shown.index(f"\n  {name} ") for name in main.commands
    )


def test_every_command_and_option_has_help(run):
    """`--help` leaves nothing to guess."""
    for name, command in main.commands.items():
        assert command.help, name
        assert run(name, "--help").exit_code == 0
        options = [param for param in command.params if param.param_type_name == "option"]
        assert [param.name for param in options if not param.help] == [], name


def test_every_command_is_documented(root):
    """docs/commands.md has a section for each command, and names each of its options.

    --quiet and --endpoint are explained once: they may stand before the command too.
    """
    page = (root / "docs" / "commands.md").read_text("utf-8")
    for name, command in main.commands.items():
        section = page.partition(f"\n## aisio {name}\n")[2].partition("\n## ")[0]
        assert section, name
        for param in command.params:
            if param.param_type_name == "option" and param.name not in ("quiet", "endpoint"):
                assert max(param.opts, key=len) in section, (name, param.opts)


def test_version(run):
    """One version, in aisio/version.py."""
    assert run("--version").stdout == f"aisio {aisio.__version__}\n"


def test_the_module_is_the_command():
    """`python -m aisio` works where no script is installed."""
    command = [sys.executable, "-m", "aisio", "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown == f"aisio {aisio.__version__}\n"


def test_help_loads_nothing_heavy():
    """What takes time to import, commands import when they run; so help is there in 0.1 s."""
    code = (
        "import sys\nfrom aisio.cli import main\n"
        "try: main(['ls', '--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # msgspec is not: it takes about as long as dataclasses, and URLs are made of it.
    heavy = {"requests", "urllib3", "tqdm", "aiohttp", "torch", "aisio.client.client"}
    assert heavy.isdisjoint(done.stderr.split())
    assert "aisio.cli.commands.pack" in done.stderr.split()


def test_a_client_loads_nothing_that_it_does_not_need():
    """What `aisio ls` imports is most of its time."""
    code = "import sys, aisio.cli, aisio.client.client\nprint(*sys.modules)"
    env = {name: value for name, value in os.environ.items() if name != "AISIO_TOP"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    heavy = {"asyncio", "multiprocessing", "numpy", "secrets", "subprocess", "tqdm", "yaml"}
    assert heavy.isdisjoint(done.stdout.split())


def test_the_endpoint_on_the_command_line_beats_the_environment(run, bucket, monkeypatch):
    """Argument, then environment."""
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    endpoint = bucket.client.endpoint
    assert run("--endpoint", endpoint, "ls").stdout == "ais://cli-data\n"
    assert run("-e", endpoint, "ls").stdout == "ais://cli-data\n"


def test_the_endpoint_may_stand_behind_the_command(run, bucket, monkeypatch):
    """As with the AWS CLI; in commands that ask a cluster."""
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    endpoint = bucket.client.endpoint
    for option in ("--endpoint", "--endpoint-url", "-e"):
        assert run("ls", option, endpoint).stdout == "ais://cli-data\n"
    assert run("-e", "http://127.0.0.1:9", "ls", "-e", endpoint).exit_code == 0
    for url, problem in (("x:1", "expected one as in"), ("http://me:pw@x", "a user name or")):
        done = run("ls", "--endpoint", url)
        assert done.exit_code == 2
        assert problem in done.stderr
        assert "pw" not in done.stderr
    assert run("completion", "--endpoint", endpoint, "bash").exit_code == 2
