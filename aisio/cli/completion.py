"""Completion of command lines in bash, zsh and fish: commands and options by click, URLs by us.

Bash splits words at ":" as well, and completes what is behind it. So its script passes the whole
line, and cuts off of each completion what stands before the last colon. Zsh and fish do not split
there. Their scripts are not those of click either: that for zsh adds a space to the name of a
folder, and that for fish ends a name at its first comma.
"""

from __future__ import annotations

import logging
import re
import shlex
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)

from aisio.config import first_set
from aisio.urls import ALIASES, ObjectUrl

if TYPE_CHECKING:
    from aisio.client.client import Client

__all__ = ["complete_bucket", "complete_url", "completion_script"]

SHELLS = ("bash", "zsh", "fish")

_VARIABLE = "_AISIO_COMPLETE"
_TIMEOUT_S = 1.0
_MAX_COMPLETIONS = 200

_SPECIAL = re.compile(r"""[\s'"\\$&;|<>()`*?\[\]{}!]""")
"""What the shell would read as more than text."""

_SPECIAL_IN_QUOTES = re.compile(r"""["$\\`]""")
"""The same inside "..."."""

_BASH = r"""%(complete_func)s() {
    local line=${COMP_LINE:0:COMP_POINT} IFS=$'\n' typed cut="" response completion type value
    local word='([^[:space:]\\]|\\.)*$'
    [[ $line =~ $word ]] && typed=${BASH_REMATCH[0]}
    if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
        cut=${typed%%"${typed##*:}"}
    fi
    COMPREPLY=()
    response=$(env COMP_LINE="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
    for completion in $response; do
        type=${completion%%%%,*}
        value=${completion#*,}
        if [[ $type == dir ]]; then
            compopt -o dirnames
        elif [[ $type == file ]]; then
            compopt -o default
        else
            if [[ $value == */ ]]; then
                compopt -o nospace
            fi
            COMPREPLY+=("${value#"$cut"}")
        fi
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


_ZSH = r"""#compdef %(prog_name)s

%(complete_func)s() {
    local -a names folders options lines
    local type value help
    lines=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for type value help in "${lines[@]}"; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files ;;
            plain)
                if [[ $help != _ ]]; then
                    options+=("$value:$help")
                elif [[ $value == */ ]]; then
                    folders+=("$value")
                else
                    names+=("$value")
                fi ;;
        esac
    done
    (( $#options )) && _describe -V unsorted options -U
    (( $#folders )) && compadd -U -V unsorted -S '' -a folders
    (( $#names )) && compadd -U -V unsorted -a names
    return 0
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = r"""function %(complete_func)s
    set -l words (commandline -cp | string collect)
    set -l word (commandline -ct | string collect)
    for line in (env COMP_WORDS=$words COMP_CWORD=$word %(complete_var)s=fish_complete \
            %(prog_name)s 2>/dev/null)
        set -l item (string split -m 1 , -- $line)
        switch $item[1]
            case dir
                __fish_complete_directories $item[2]
            case file
                __fish_complete_path $item[2]
            case plain
                echo $item[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


@add_completion_class
class _Zsh(ZshComplete):
    source_template = _ZSH


@add_completion_class
class _Fish(FishComplete):
    source_template = _FISH


@add_completion_class
class _Bash(BashComplete):
    """Completion in bash by the whole line."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and that one."""
        # One more letter tells whether a blank at the end belongs to a word.
        words = _split(f"{first_set('COMP_LINE') or ''}x")
        incomplete = words.pop()[:-1]
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return a completion as the script reads it, with a name quoted for the shell."""
        quote = _open_quote(first_set("COMP_LINE") or "")
        if quote == "'":
            value = item.value.replace("'", r"'\''")
        else:
            special = _SPECIAL_IN_QUOTES if quote else _SPECIAL
            value = special.sub(r"\\\g<0>", item.value)
        return f"{item.type},{value}"


def _open_quote(line: str) -> str:
    """Return the quotation mark that a line ends inside of; "" if there is none."""
    quote, is_escaped = "", False
    for mark in line:
        if is_escaped:
            is_escaped = False
        elif mark == "\\" and quote != "'":
            is_escaped = True
        elif mark == quote:
            quote = ""
        elif not quote and mark in "'\"":
            quote = mark
    return quote


def _split(line: str) -> list[str]:
    for closing in ("", "'", '"'):
        try:
            return shlex.split(line + closing)
        except ValueError:
            continue
    return line.split()


def completion_script(command: click.Command, shell: str) -> str:
    """Return the script that makes a shell complete the command lines of aisio."""
    kind = get_completion_class(shell)
    assert kind is not None
    made: ShellComplete = kind(command, {}, "aisio", _VARIABLE)
    # Without click's `source`, which starts bash to find out its version.
    return made.source_template % made.source_vars()


def complete_url(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the buckets or names that begin with an incomplete URL; files for a path.

    Nothing of a cluster that does not answer within a second.
    """
    if "://" in incomplete:
        return [CompletionItem(url) for url in _urls(context, incomplete)]
    schemes = [f"{scheme}://" for scheme in ("ais", "s3", "gs", "az")]
    matching = [scheme for scheme in schemes if incomplete and scheme.startswith(incomplete)]
    return [*map(CompletionItem, matching), CompletionItem(incomplete, type="file")]


def complete_bucket(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the URLs of the buckets that begin so."""
    text = incomplete if "://" in incomplete else "ais://"
    if not text.startswith(incomplete):
        return []
    urls = _urls(context, text) if "/" not in text.partition("://")[2] else ()
    return [CompletionItem(url.rstrip("/")) for url in urls]


def _urls(context: click.Context, incomplete: str) -> list[str]:
    scheme, _, rest = incomplete.partition("://")
    if scheme not in ALIASES:
        return []
    try:
        logging.disable()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = _client(context)
            found = _names(client, incomplete) if "/" in rest else _buckets(client, scheme, rest)
            # A name that has a line break would be two to the shell.
            return list(islice(filter(str.isprintable, found), _MAX_COMPLETIONS))
    except Exception:  # a shell that completes a word has no place for an error
        return []
    finally:
        logging.disable(logging.NOTSET)


def _client(context: click.Context) -> Client:
    from aisio.client.client import Client
    from aisio.records import RetryPolicy, Timeouts

    # The callback of the options before the command, which makes the cluster, has not run.
    behind = context.obj.endpoint if context.obj is not None else None
    return Client(
        behind or context.find_root().params.get("endpoint"),
        timeouts=Timeouts(connect_s=_TIMEOUT_S, read_s=_TIMEOUT_S),
        retry=RetryPolicy(attempts=1),
    )


def _buckets(client: Client, scheme: str, begin: str) -> Iterator[str]:
    for bucket in client.buckets(scheme):
        if bucket.name.startswith(begin) and not bucket.url.namespace:
            yield f"{scheme}://{bucket.name}/"


def _names(client: Client, incomplete: str) -> Iterator[str]:
    url = ObjectUrl.parse(incomplete)
    bucket = client.bucket(url.root)
    for info in bucket.list(url.name, recursive=False, page_size=_MAX_COMPLETIONS):
        yield f"{url.root}/{info.name}"
