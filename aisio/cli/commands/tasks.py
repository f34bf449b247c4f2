"""`aisio tasks`: training tasks."""

from __future__ import annotations

from pathlib import Path

import click

from aisio.cli.commands import tasks_gc, tasks_output, tasks_run, tasks_show
from aisio.cli.error_handler import CommandGroup
from aisio.cli.output import write_lines, write_note
from aisio.cli.standard_streams import require_stdout


@click.group(
    "tasks",
    cls=CommandGroup,
    no_args_is_help=False,
    short_help="Run training tasks, and look at them.",
)
def command() -> None:
    """Work with training tasks: code, data and hyperparameters that run as a job.

    Home folder, store, user and engine are those of AISIO_TASKS_HOME, AISIO_TASKS_STORE_URL,
    AISIO_TASKS_USER and AISIO_TASKS_ENGINE.
    """


@command.command("serve", short_help="Serve tasks to anylearn's SDK.")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the records.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    default=8090,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen at; 0 takes a free one.",
)
@click.option("--public-url", help="Base URL that clients reach the server by, if it is another.")
@click.option("--tls-cert", type=click.Path(), help="PEM file of the certificate, for https.")
@click.option("--tls-key", type=click.Path(), help="PEM file of its private key.")
@click.option("-v", "--verbose", is_flag=True, help="A line on stderr for each request.")
def serve_command(
    home: Path | None,
    host: str,
    port: int,
    public_url: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    verbose: bool,
) -> None:
    """Serve tasks by Anylearn's REST routes until Ctrl-C or SIGTERM; tasks that run go on.

    The URL is written to stdout as soon as connections are accepted. Clients log in with the user
    of AISIO_TASKS_USER and the password of AISIO_TASKS_PASSWORD. If none is set, one is made up and
    kept in the file server.password of the home folder.
    """
    import logging

    from aisio.tasks.server import ServerOptions, serve
    from aisio.tasks.server.server import PASSWORD_FILE
    from aisio.tasks.settings import load_task_settings

    if tls_key and not tls_cert:
        raise click.UsageError("--tls-key needs --tls-cert")
    require_stdout()
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(message)s", force=True
    )
    settings = load_task_settings(home=home)
    if not settings.password:
        write_note(f"user {settings.user}, password in {settings.home / PASSWORD_FILE}")
    serve(
        ServerOptions(
            settings,
            host=host,
            port=port,
            public_url=public_url,
            tls_cert=tls_cert,
            tls_key=tls_key,
        ),
        ready=lambda url: write_lines([url], flush=True),
    )


for _command in (
    tasks_run.command,
    tasks_show.ls_command,
    tasks_show.show_command,
    tasks_output.logs_command,
    tasks_output.metrics_command,
    tasks_output.results_command,
    tasks_show.abort_command,
    tasks_gc.command,
):
    command.add_command(_command)
