"""Hints for users who type what s5cmd, rclone, gsutil or the AWS CLI would take."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import click

__all__ = ["BUCKETS_HINT", "command_hint", "error_hint", "usage_hint"]

_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("copy", "copyto"), "cp"),
        **dict.fromkeys(("move", "moveto", "rename", "ren"), "mv"),
        **dict.fromkeys(("delete", "del", "remove", "deletefile", "unlink"), "rm"),
        "purge": "rm -r",
        **dict.fromkeys(("mkdir", "md", "create-bucket", "create"), "mb"),
        **dict.fromkeys(("rmdir", "rd", "remove-bucket", "destroy"), "rb"),
        **dict.fromkeys(("list", "dir", "lsf", "find"), "ls"),
        "lsd": "ls --no-recursion",
        **dict.fromkeys(("lsl", "ll"), "ls -l"),
        **dict.fromkeys(("lsjson",), "ls --json"),
        "size": "du",
        **dict.fromkeys(("tree", "ncdu"), "du --max-depth 9"),
        **dict.fromkeys(("check", "compare", "cmp"), "diff"),
        **dict.fromkeys(("rsync", "mirror"), "sync"),
        **dict.fromkeys(("stat", "head", "show", "describe"), "info"),
        **dict.fromkeys(("hash", "md5sum", "hashsum", "checksum"), "ls -l"),
        **dict.fromkeys(("download", "fetch"), "get"),
        "upload": "put",
        **dict.fromkeys(("pipe", "rcat"), "put - URL"),
        "server": "serve",
        "benchmark": "bench",
        "help": "--help",
        "version": "--version",
    }
)
"""What other programs call a command, and what does that here."""

_CREDENTIALS = "credentials and regions come from the environment: see the page on settings"
_CONCURRENCY = "aisio finds by itself how many requests at once are fastest"
_GROUPS = "leave it out, as in `aisio ls`"
_NO_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("config", "configure"),
            "settings are environment variables, which `aisio info` shows",
        ),
        **dict.fromkeys(("login", "auth"), _CREDENTIALS),
        **dict.fromkeys(("s3", "s3api", "bucket", "object", "storage", "alias"), _GROUPS),
    }
)
"""What stands before a command of other programs, or has no counterpart here."""

_TRANSFERS = frozenset({"cp", "get", "mv", "put", "sync"})
_EACH_FILE = "`--json` prints each file or object"

_OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("--endpoint", "--endpoint-url", "-e"), "this command asks no cluster"),
        **dict.fromkeys(
            ("--profile", "--region", "--no-sign-request", "--credentials-file"), _CREDENTIALS
        ),
        **dict.fromkeys(
            ("--transfers", "--checkers", "--concurrency", "--numworkers", "-m"), _CONCURRENCY
        ),
        **dict.fromkeys(("--progress", "-P"), "progress is shown on a terminal by itself"),
        "--no-progress": "--quiet leaves it out",
        "--only-show-errors": "--quiet leaves out all but errors and warnings",
        "--summarize": "`aisio du` adds up sizes",
        **dict.fromkeys(("--recursive", "-r", "-R"), "it takes all that is below a URL anyway"),
        **dict.fromkeys(
            ("--yes", "-y", "--no-confirm", "--interactive"), "no command asks for confirmation"
        ),
        **dict.fromkeys(
            ("--verbose", "-v", "-vv", "--log", "--debug"),
            "`aisio --traceback COMMAND` shows where an error comes from",
        ),
        **dict.fromkeys(("--no-verify-ssl", "--no-check-certificate"), "set AIS_SKIP_VERIFY_CRT"),
    }
)
"""Options of other programs, and what to know of them here."""

BUCKETS_HINT = "`aisio ls` lists the buckets"
_CLUSTER_HINTS = {
    **dict.fromkeys(
        ("backend is missing in the cluster configuration", 'remote bucket "'),
        "the URL goes to the cluster, as --endpoint or AIS_ENDPOINT names one; without them it "
        "goes to the cloud directly",
    ),
    '404 bucket "ais://': BUCKETS_HINT,
}


def command_hint(name: str) -> str:
    """Return what to type instead of another program's command; "" if it is not known."""
    if name in _COMMANDS:
        return f"`aisio {_COMMANDS[name]}` does that"
    return _NO_COMMANDS.get(name, "")


def usage_hint(error: click.ClickException) -> str:
    """Return what the user of an invalid command line may have meant; "" if that is not known."""
    if isinstance(error, click.NoSuchOption):
        return _option_hint(error)
    text = error.format_message()
    if "unexpected extra argument" in text:
        return "quote a pattern, as in 'ais://data/*.jpg', or the shell expands it"
    return ""


def _option_hint(error: click.NoSuchOption) -> str:
    name, context = error.option_name, error.ctx
    if name == "-v" and context is not None and context.parent is None:
        return "`aisio --version` prints the version"
    if _is_of_a_command(error):
        return "it stands behind the command's name"
    if name in ("-v", "--verbose") and context is not None and context.info_name in _TRANSFERS:
        return _EACH_FILE
    return _OPTIONS.get(name, "")


def _is_of_a_command(error: click.NoSuchOption) -> bool:
    """Whether an option that stands before the command's name is one of some command."""
    group = error.ctx and error.ctx.command
    return isinstance(group, click.Group) and any(
        error.option_name in parameter.opts
        for command in group.commands.values()
        for parameter in command.params
    )


def error_hint(text: str) -> str:
    """Return a hint for the text of a store's error; "" if there is none."""
    return next((hint for mark, hint in _CLUSTER_HINTS.items() if mark in text), "")
