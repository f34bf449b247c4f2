"""`aisio pack`: a folder of files -> tar shards."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster, missing_bucket_hint
from aisio.cli.output import json_line, printable, write_lines, write_note, write_summary
from aisio.cli.progress import Progress, show_progress
from aisio.cli.types import DESTINATION, ExistingPath, SizeType
from aisio.errors import ConfigError
from aisio.escapes import first_few
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aisio.shards.packing import PackedShard


class _PackCommand(click.Command):
    """Reads `--shuffle DIR` as a shuffle without a seed; click would take DIR for the seed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        words = list(args)
        for place, (word, after) in enumerate(zip(args, [*args[1:], ""], strict=True)):
            if word == "--shuffle" and not after.isdigit():
                words[place] = "--shuffle=0"
        return super().parse_args(ctx, words)


def _parse_split(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> dict[str, str] | None:
    """Return the fractions of train=0.9,val=0.1 by name."""
    if value is None:
        return None
    parts = [part.partition("=")[::2] for part in value.split(",")]
    fractions = dict(parts)
    if len(fractions) < len(parts) or not all(name and text for name, text in parts):
        raise click.BadParameter(
            f"{value!r}: expected names and fractions, each name once, as in train=0.9,val=0.1"
        )
    from aisio.shards.pack_order import split_fractions

    try:
        split_fractions(fractions)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error
    return fractions


@click.command("pack", cls=_PackCommand, short_help="Pack a folder into tar shards.")
@click.argument("folder", metavar="DIR", type=ExistingPath(file_okay=False))
@click.argument("url", type=DESTINATION)
@click.option("--samples", type=click.IntRange(min=1), help="Samples in each shard.")
@click.option("--bytes", "size_bytes", type=SizeType(), help="Or most bytes, as in 64M [256M].")
@click.option("--prefix", default="shard", show_default=True, help="What shard names begin with.")
@click.option(
    "--list",
    "files",
    type=ExistingPath(dir_okay=False),
    help="Pack these files: CSV or JSON lines with file, label and other columns.",
)
@click.option(
    "--labels-from-folder", is_flag=True, help="Write the number of the first folder as .cls."
)
@click.option(
    "--classes",
    type=ExistingPath(dir_okay=False),
    help="Number the labels as this classes.json of another run.",
)
@click.option(
    "--shuffle",
    "seed",
    metavar="[SEED]",
    is_flag=False,
    flag_value=0,
    type=click.IntRange(min=0),
    help="Mix the samples [with --labels-from-folder, seed 0].",
)
@click.option("--no-shuffle", is_flag=True, help="Keep the order of the names, or of the list.")
@click.option(
    "--split",
    callback=_parse_split,
    metavar="NAME=FRACTION,...",
    help="Split into folders, as in train=0.9,val=0.1.",
)
@click.option("--strict", is_flag=True, help="Refuse samples whose extensions differ.")
@click.option("--overwrite", is_flag=True, help="Replace the shards of another run.")
@click.option("--create-bucket", is_flag=True, help="Create the bucket if there is none.")
@click.option(
    "--jobs",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="How many shards to write at once.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each shard.")
@click.pass_obj
def command(
    cluster: Cluster,
    folder: Path,
    url: ObjectUrl,
    samples: int | None,
    size_bytes: int | None,
    prefix: str,
    files: Path | None,
    labels_from_folder: bool,
    classes: Path | None,
    seed: int | None,
    no_shuffle: bool,
    split: dict[str, str] | None,
    strict: bool,
    overwrite: bool,
    create_bucket: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Pack the files below DIR into tar shards PREFIX-000000.tar, PREFIX-000001.tar ... below URL.

    Files that have the same path up to the first dot of their names make a sample: 0001.jpg and
    0001.cls. Samples stay whole, and the same files give the same bytes. The URL of each shard is
    written to stdout once it is stored; the index of all of them is written last. A command that
    was interrupted can be repeated: what is stored is not sent again.
    """
    from aisio.shards.packing import write_shards
    from aisio.shards.plan import plan_folder

    if samples is not None and size_bytes is not None:
        raise click.UsageError("--samples and --bytes cannot be combined")
    if seed is not None and no_shuffle:
        raise click.UsageError("--shuffle and --no-shuffle exclude each other")
    _check_prefix(prefix)
    plan = plan_folder(
        folder,
        samples=samples,
        size_bytes=size_bytes,
        prefix=prefix,
        strict=strict,
        files=files,
        labels_from_folder=labels_from_folder,
        classes=classes,
        shuffle=None if seed is None and not no_shuffle else not no_shuffle,
        seed=seed or 0,
        split=split,
    )
    for text in plan.warnings():
        write_note(f"warning: {text}")
    if create_bucket:
        cluster.create_bucket(url)
    store = cluster.store(url)
    with missing_bucket_hint(store), show_progress(folder.name, plan.content_bytes) as progress:
        shards = write_shards(
            plan, url, store=store, overwrite=overwrite, jobs=jobs, on_packed=progress.add
        )
        with closing(shards):
            counts = _Counts()
            write_lines(_lines(shards, counts, as_json=as_json), flush=True)
    write_summary(f"{counts}, {_number(plan.samples, 'sample')}, {_packed(progress)}")
    if plan.classes:
        numbered = [f"{number} {name}" for number, name in enumerate(plan.classes)]
        write_summary(f"{_number(len(numbered), 'class', 'es')}: {first_few(numbered)}")


def _packed(progress: Progress) -> str:
    files, elapsed_s = progress.files, progress.elapsed_s
    speed = f"{files / elapsed_s:,.0f} files/s, {progress.rate_text}"
    return f"{files:,} files in {elapsed_s:.1f} s: {speed}"


class _Counts:
    """How many shards there are, and how many of them were stored before."""

    def __init__(self) -> None:
        self.shards = 0
        self.stored = 0

    def __str__(self) -> str:
        shards = _number(self.shards, "shard")
        return f"{shards} ({self.stored:,} stored before)" if self.stored else shards


def _number(count: int, what: str, plural: str = "s") -> str:
    return f"{count:,} {what}{plural * (count != 1)}"


def _lines(shards: Iterable[PackedShard], counts: _Counts, *, as_json: bool) -> Iterator[str]:
    for shard in shards:
        counts.shards += 1
        counts.stored += shard.was_stored
        yield json_line(_as_dict(shard)) if as_json else printable(shard.url)


def _check_prefix(prefix: str) -> None:
    from aisio.shards.plan import check_prefix

    try:
        check_prefix(prefix)
    except ConfigError as error:
        raise click.UsageError(f"--prefix: {error}") from error


def _as_dict(shard: PackedShard) -> dict[str, Any]:
    checksum = {"kind": shard.checksum.kind, "value": shard.checksum.value}
    return {
        "url": shard.url,
        "samples": shard.samples,
        "size_bytes": shard.size_bytes,
        "checksum": checksum,
        "was_stored": shard.was_stored,
    }
