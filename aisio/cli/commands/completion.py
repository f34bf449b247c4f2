"""`aisio completion`: the script that makes a shell complete command lines."""

from __future__ import annotations

import click

from aisio.cli.completion import SHELLS, completion_script


@click.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    r"""Print the script that makes a shell complete commands, options, buckets and names.

    \b
    bash:  eval "$(aisio completion bash)"          in ~/.bashrc
    zsh:   eval "$(aisio completion zsh)"           in ~/.zshrc, after compinit
    fish:  aisio completion fish | source           in ~/.config/fish/config.fish

    Buckets and names are those of the cluster at AIS_ENDPOINT, or at --endpoint on the line. One
    that does not answer within a second is not waited for.
    """
    click.echo(completion_script(context.find_root().command, shell), nl=False)
