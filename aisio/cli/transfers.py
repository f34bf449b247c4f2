"""What cp, mv, sync, get and put share: their options, and how a transfer is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aisio.cli.cluster import Cluster, missing_bucket_hint
from aisio.cli.error_handler import error_message
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import json_line, printable, write_lines, write_summary
from aisio.cli.progress import Progress, show_progress
from aisio.cli.types import DESTINATION, SOURCE, URL, CatalogName, require_source
from aisio.errors import AccessError, AisioError, ConfigError, NotFoundError, UrlError
from aisio.summary import size_text
from aisio.urls import FILE, ObjectUrl

if TYPE_CHECKING:
    from aisio.transfer.jobs import Outcome
    from aisio.transfer.options import Report, TransferOptions
    from aisio.transfer.transfers import Transfer

__all__ = [
    "copy_arguments",
    "destination_of",
    "name_options",
    "require_another_file",
    "run_copy",
    "run_transfer",
    "transfer_options",
    "transfer_settings",
]

F = TypeVar("F", bound=Callable[..., Any])

_VERBS = {"copy": "cp", "move": "mv", "delete": "rm"}


_NAME_OPTIONS = (
    click.option(
        "--include", multiple=True, metavar="PATTERN", help="Only names like this; repeatable."
    ),
    click.option(
        "--exclude", multiple=True, metavar="PATTERN", help="No names like this; repeatable."
    ),
)
_OPTIONS = (
    *_NAME_OPTIONS,
    click.option(
        "--dry-run", "--dryrun", is_flag=True, help="Change nothing; print what would be done."
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON object for each file."),
)
_CREATE_BUCKET = click.option(
    "--create-bucket", is_flag=True, help="Create the bucket if there is none."
)
_EXISTING_OPTIONS = (
    click.option("-n", "--no-clobber", is_flag=True, help="Keep what is at the destination."),
    click.option(
        "--skip-unchanged", is_flag=True, help="Skip what has the same size and checksum there."
    ),
    click.option("--size-only", is_flag=True, help="Compare sizes, not checksums."),
)


def transfer_options(*, existing: bool = True, create_bucket: bool = True) -> Callable[[F], F]:
    """Return a decorator that adds the options of a transfer to a command.

    Args:
        existing: Also those that say what becomes of what is at the destination.
        create_bucket: Also --create-bucket.
    """

    def add(command: F) -> F:
        added = [
            *(_EXISTING_OPTIONS if existing else ()),
            *_OPTIONS,
            *([_CREATE_BUCKET] if create_bucket else ()),
        ]
        return _with(added, command)

    return add


def name_options(command: F) -> F:
    """Add --include and --exclude to a command."""
    return _with(_NAME_OPTIONS, command)


def _with(options: Sequence[Callable[[F], F]], command: F) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def copy_arguments(command: F) -> F:
    """Add SRC..., DST, and the options of a copy to a command that passes them to `run_copy`."""
    recursive = click.option(
        "-r", "-R", "--recursive", is_flag=True, help="What is in the folders or buckets SRC."
    )
    destination = click.argument("destination", metavar="DST")
    sources = click.argument("sources", metavar="SRC...", type=SOURCE, nargs=-1, required=True)
    return sources(destination(recursive(transfer_options()(command))))


def run_copy(
    cluster: Cluster,
    sources: tuple[ObjectUrl | CatalogName, ...],
    destination: str,
    *,
    as_json: bool,
    move: bool = False,
    **flags: Any,
) -> None:
    """Run a command of `copy_arguments`.

    Args:
        cluster: The cluster of the command line.
        sources: SRC...
        destination: DST.
        as_json: Write one JSON object for each file to stdout.
        move: Delete what was copied.
        flags: Those of `transfer_settings`.

    Raises:
        UsageError: The destination is not valid, a source names no object, or the flags contradict
            each other.
        AisioError: At least one object or file failed.
    """
    options = transfer_settings(**flags)
    url = destination_of(sources, destination)
    for source in sources:
        if isinstance(source, CatalogName) or options.recursive:
            continue
        if cluster.pattern_source(source) is None:
            require_source(source, "--recursive takes all that are below it")
    run_transfer(cluster, sources, url, options, as_json=as_json, move=move)


def destination_of(sources: Iterable[ObjectUrl | CatalogName], text: str) -> ObjectUrl:
    """Return the URL of a destination.

    A path whose first folder does not exist may lack its scheme, unless the sources have one: then
    it is a new folder.

    Raises:
        UsageError: It is not valid, or may lack its scheme.
    """
    are_local = all(isinstance(one, ObjectUrl) and one.provider == FILE for one in sources)
    kind = DESTINATION if are_local else URL
    url: ObjectUrl = kind.convert(text, None, click.get_current_context())
    return url


def transfer_settings(
    *,
    no_clobber: bool = False,
    skip_unchanged: bool = False,
    **options: Any,
) -> TransferOptions:
    """Return the options of a transfer for the flags of a command line, --json left out.

    Args:
        no_clobber: Keep what is at the destination.
        skip_unchanged: Keep what is the same there.
        options: Fields of `TransferOptions`.

    Raises:
        UsageError: The flags contradict each other, or a pattern is not valid.
    """
    from aisio.transfer.options import TransferOptions

    if no_clobber and skip_unchanged:
        raise click.UsageError("--no-clobber keeps what --skip-unchanged would replace: choose one")
    if options.get("size_only") and "existing" not in options and not skip_unchanged:
        raise click.UsageError("--size-only says how --skip-unchanged compares: add that")
    existing = "keep" if no_clobber else "compare" if skip_unchanged else "replace"
    try:
        return TransferOptions(**{"existing": existing, **options})
    except (ConfigError, UrlError) as error:
        raise click.UsageError(str(error)) from error


def run_transfer(
    cluster: Cluster,
    sources: Iterable[ObjectUrl | CatalogName],
    destination: ObjectUrl,
    options: TransferOptions,
    *,
    as_json: bool,
    move: bool = False,
    path: Path | None = None,
    item_kind: str = "objects",
) -> None:
    """Run a transfer, report each failure, and sum up.

    Args:
        cluster: The cluster of the command line.
        sources: What is copied.
        destination: Where to.
        options: What is copied, and how.
        as_json: Write one JSON object for each file to stdout.
        move: Delete what was copied.
        path: A local destination as the user wrote it, for errors.
        item_kind: What failures count, in the plural.

    Raises:
        AisioError: At least one object or file failed.
    """
    sources = list(sources)
    failures = FailureCollector(item_kind, fatal=_fatal(destination))
    shown = _Shown(options, as_json, failures)
    with show_progress() as progress:
        transfer = _transfer(cluster, options, shown, progress, move=move)
        with _hints(cluster, sources, destination, recursive=options.recursive):
            for source in sources:
                _add(transfer, source, cluster)
            shown.is_single = transfer.is_single
            report = transfer.run(destination, path=path)
    failures.raise_if_any()
    if not shown.is_single:
        write_summary(_summary(report, progress, options, move=move))


def require_another_file(source: Path, destination: Path) -> None:
    """Check that one file is not copied onto itself.

    Raises:
        ConfigError: It would be.
    """
    with suppress(OSError):
        if source.samefile(destination):
            raise ConfigError(f"{source}: source and destination are the same")


def _fatal(destination: ObjectUrl) -> tuple[type[AisioError], ...]:
    """Return what no other copy to a store could do any better."""
    return () if destination.provider == FILE else (AccessError,)


def _transfer(
    cluster: Cluster,
    options: TransferOptions,
    shown: _Shown,
    progress: Progress,
    *,
    move: bool,
) -> Transfer:
    from aisio.transfer.jobs import Action
    from aisio.transfer.transfers import Transfer

    return Transfer(
        options,
        client=cluster.client() if cluster.endpoint else None,
        action=Action.MOVE if move else Action.COPY,
        on_outcome=shown.tell,
        progress=progress,
    )


def _add(transfer: Transfer, source: ObjectUrl | CatalogName, cluster: Cluster) -> None:
    if isinstance(source, CatalogName):
        transfer.add_named_source(source.source(cluster), source.text)
    else:
        transfer.add_source(source)


@contextmanager
def _hints(
    cluster: Cluster,
    sources: Iterable[ObjectUrl | CatalogName],
    destination: ObjectUrl,
    *,
    recursive: bool,
) -> Iterator[None]:
    """Add to the error of something that does not exist what the user may have meant."""
    try:
        yield
    except NotFoundError as error:
        if error.url == destination.root:
            with missing_bucket_hint(cluster.store(destination)):
                raise
        name = click.get_current_context().info_name
        for source in sources:
            if not isinstance(source, ObjectUrl) or error.url != str(source):
                continue
            if recursive and cluster.has_object(source):
                takes = "cp` copies" if name == "sync" else f"{name}` without --recursive takes"
                text = f"{source} is an object, and no folder: `aisio {takes} it"
                raise NotFoundError(text, url=error.url) from error
            with cluster.not_found_hints(source, f"aisio {name} --recursive"):
                raise
        raise


@dataclass
class _Shown:
    """What the user sees of each file.

    Attributes:
        options: Those of the transfer.
        as_json: Write one JSON object for each file to stdout.
        failures: Those so far.
        is_single: There is one file, whose error is raised as it is.
    """

    options: TransferOptions
    as_json: bool
    failures: FailureCollector
    is_single: bool = False

    def tell(self, outcome: Outcome) -> None:
        """Show what became of one file.

        Raises:
            AisioError: It failed, and so would all others.
        """
        if self.as_json:
            write_lines([json_line(_as_dict(outcome, self.options))])
        elif self.options.dry_run and (verb := _VERBS.get(outcome.action.value)):
            names = (outcome.source, outcome.destination)
            write_lines([printable(" ".join([verb, *filter(None, names)]))])
        if outcome.error is not None and self.is_single:
            raise outcome.error
        with self.failures.collect(outcome.name):
            if outcome.error is not None:
                raise outcome.error


def _as_dict(outcome: Outcome, options: TransferOptions) -> dict[str, Any]:
    return {
        "action": outcome.action.value,
        "source": outcome.source or None,
        "destination": outcome.destination or None,
        "size_bytes": outcome.size_bytes,
        "dry_run": options.dry_run,
        "error": None if outcome.error is None else error_message(outcome.error),
    }


def _summary(report: Report, progress: Progress, options: TransferOptions, *, move: bool) -> str:
    verbs = ("to copy", "to move") if options.dry_run else ("copied", "moved")
    counts = (
        (report.skipped, "skipped"),
        (report.deleted, "to delete" if options.dry_run else "deleted"),
    )
    parts = [f"{report.copied:,} {verbs[move]}"]
    parts += [f"{count:,} {what}" for count, what in counts if count]
    text = f"{', '.join(parts)}: {size_text(report.size_bytes)}"
    if not options.dry_run and report.copied:
        text += f" in {progress.elapsed_s:.1f} s, {progress.rate_text}"
    if report.unverified:
        text += (
            f"; {report.unverified:,} of the same size have no checksum to compare: --size-only "
            f"would skip them"
        )
    return text
