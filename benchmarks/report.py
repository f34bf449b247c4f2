"""Single measurements -> medians, ratios, aims, and tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from cases import WORKS
from corpus import Corpus

Turn: TypeAlias = dict[str, Any]
"""The output of one measuring process, with the number of its turn."""

KINDS = OURS, OFFICIAL, OTHER, BY_HAND = ("aisio", "official", "other", "by hand")
"""Kinds of readers; except for "other", their names begin with the kind."""

ALONE = "alone"
"""How the names of those begin that do a part of the work; they count as done by hand."""

FIGURES = ("rate", "mb_per_s", "cpu_us", "first_ms", "memory_mb")


@dataclass(frozen=True)
class Row:
    """One reader at one kind of work: medians over the turns.

    Attributes:
        work: Key of WORKS.
        reader: Key of its readers.
        rate: Items per second.
        mb_per_s: Payload, in MB per second.
        cpu_us: CPU time of the reader and its children, in microseconds per item.
        first_ms: Time to the first item, in milliseconds.
        memory_mb: Maximum memory in use, minus that before the first request, in MB.
        ratio: Rate of the fastest aisio reader of this work, divided by this rate: the median of
            the ratios within each turn. None if aisio has no reader.
    """

    work: str
    reader: str
    rate: float
    mb_per_s: float
    cpu_us: float
    first_ms: float
    memory_mb: float
    ratio: float | None

    @property
    def kind(self) -> str:
        """One of KINDS."""
        if self.reader.startswith(ALONE):
            return BY_HAND
        return next((kind for kind in KINDS if self.reader.startswith(kind)), OTHER)


@dataclass(frozen=True)
class Aim:
    """A speed or cost that aisio should reach.

    Attributes:
        text: The aim in words.
        work: Key of WORKS.
        readers: Readers of aisio; the fastest counts.
        peer: The reader to compare with; None compares a figure with a number.
        wanted: The minimum ratio of rates, or the maximum of another figure, or of its ratio.
        figure: Name of the figure.
        least: The minimum of a figure or its ratio that has a maximum.
    """

    text: str
    work: str
    readers: tuple[str, ...]
    peer: str | None
    wanted: float
    figure: str = "rate"
    least: float = 0.0


SINGLE, FLIGHT = ("aisio one by one",), ("aisio in flight",)
SHARDS = ("aisio AISShardReader",)
BATCHES = ("aisio get_batch", "aisio AISBatchIterDataset")
STREAMS, INTO = (
    ("aisio Object.stream", "aisio Object.open"),
    ("aisio Object.get", "aisio Object.get(into=)"),
)
WRITER = "checkpoint/write", ("aisio Checkpoint.writer",)
READER = "checkpoint/read", ("aisio Checkpoint.reader",)
LOADER, TORCH = ("aisio Loader",), "torch DataLoader of AISShardReader"
BYTES, FIRST, MEMORY = "train/2 workers, bytes", "train/first batch", "train/memory"
TRAINING = (
    *(
        Aim(
            f"from workers, {kind}: {wanted} x DataLoader",
            f"train/transport, {kind}",
            LOADER,
            "torch DataLoader",
            wanted,
        )
        for kind, wanted in (("bytes", 4), ("tensors", 1.5), ("images", 1.5))
    ),
    Aim(
        "shuffled, one process: 1.0 of AISShardReader",
        "train/one process",
        LOADER,
        "alone: AISShardReader, in order",
        1,
    ),
    Aim(
        "2 workers: 0.8 of AISShardReader", BYTES, LOADER, "alone: AISShardReader, one process", 0.8
    ),
    Aim("2 workers: 1.8 x DataLoader", BYTES, LOADER, TORCH, 1.8),
    Aim("2 workers: 3.2 x WebLoader", BYTES, LOADER, "webdataset WebLoader, its shuffle", 3.2),
    *(
        aim
        for work, what in (("decoded", "JPEG"), ("arrays", "stored pixels"))
        for aim in (
            Aim(f"{what}: 1.3 x DataLoader", f"train/2 workers, {work}", LOADER, TORCH, 1.3),
            Aim(
                f"{what}: 0.9 of decoding alone",
                f"train/2 workers, {work}",
                LOADER,
                "alone: decoding in 2 processes",
                0.9,
            ),
        )
    ),
    Aim("first batch: at most 500 ms", FIRST, LOADER, None, 500, "first_ms"),
    *(
        Aim(
            f"resumed at {percent} %: first batch as soon, within 10 %",
            FIRST,
            (f"aisio Loader, resumed at {percent} %",),
            "aisio Loader",
            1.1,
            "first_ms",
        )
        for percent in (25, 50, 95)
    ),
    Aim("state: at most 1000 us CPU", "train/state", LOADER, None, 1_000, "cpu_us"),
    Aim(
        "a worker: at most 134 MB over torch's own", "train/memory", LOADER, None, 134, "memory_mb"
    ),
    Aim(
        "a worker: the stated bound, within 10 %",
        MEMORY,
        LOADER,
        "alone: the stated bound",
        1.1,
        "memory_mb",
        0.9,
    ),
    *(
        Aim(
            f"{what}: at most 4 MB more",
            "train/50 epochs",
            (f"aisio Loader{kind}",),
            None,
            4,
            "memory_mb",
        )
        for what, kind in (
            ("50 epochs", ""),
            ("50 epochs of the same workers", ", persistent workers"),
        )
    ),
)
AIMS = (
    Aim("list: 3 x official SDK", "list", ("aisio",), "official SDK", 3),
    Aim("list: at most 3 us CPU an entry", "list", ("aisio",), None, 3, "cpu_us"),
    Aim("GET 100 KB: 5 x official SDK", "get", SINGLE + FLIGHT, "official SDK", 5),
    Aim("GET 100 KB one by one: 0.9 of by hand", "get", SINGLE, "by hand: http.client", 0.9),
    Aim("GET 100 KB in flight: 0.9 of by hand", "get", FLIGHT, "by hand: 8 threads", 0.9),
    Aim(
        "DataLoader: 4 x official", "loader", ("aisio AISMapDataset",), "official AISMapDataset", 4
    ),
    Aim("get-batch: 0.9 of by hand", "batch", BATCHES, "by hand: http.client", 0.9),
    Aim("shards: 3 x official", "shards", SHARDS, "official AISShardReader", 3),
    Aim("shards: 3 x webdataset", "shards", SHARDS, "webdataset over curl", 3),
    Aim("shards: 0.85 of by hand", "shards", SHARDS, "by hand: http.client, one buffer", 0.85),
    Aim("shards: at most 80 us CPU a sample", "shards", SHARDS, None, 80, "cpu_us"),
    Aim("shards: at most 64 MB of memory", "shards", SHARDS, None, 64, "memory_mb"),
    *(
        Aim(f"{work}: 1.5 x curl", work, ("aisio under WebDataset",), "webdataset over curl", 1.5)
        for work in ("wds/one process", "wds/2 workers", "wds/2 workers, batches")
    ),
    *TRAINING,
    Aim(
        "JPEG of 256 x 256: 0.9 of decoding alone",
        "train/decode",
        ('aisio Loader, decode="torch"', 'aisio Loader, decode="numpy"'),
        "alone: decoding in 2 processes",
        0.9,
    ),
    Aim("pack: 0.8 of tar into aisio put", "pack", ("aisio pack",), "tar into aisio put", 0.8),
    Aim("large object streamed: 0.9 of curl", "stream", STREAMS, "curl", 0.9),
    Aim("large object in memory: 0.95 of by hand", "memory", INTO, "by hand: 4 ranges", 0.95),
    Aim("checkpoint written: 0.9 of 8 parts", *WRITER, "by hand: 8 parts", 0.9),
    Aim("checkpoint written: 2 x one PUT", *WRITER, "by hand: 1 PUT", 2),
    Aim("checkpoint written: at most 256 MiB more", *WRITER, None, 268, "memory_mb"),
    Aim("checkpoint read: 0.9 of 8 ranges", *READER, "by hand: 8 ranges", 0.9),
    Aim("checkpoint read: at most 256 MiB more", *READER, None, 268, "memory_mb"),
    Aim("large object loaded and hashed: 0.8 of curl", "file", ("aisio load",), "curl -o", 0.8),
)


def rate(turn: Turn) -> float:
    """Return items per second."""
    return _items(turn) / float(turn["wall_s"])


def rows(turns: Iterable[Turn]) -> list[Row]:
    """Return a row for each reader that succeeded, in the order of WORKS."""
    done = [turn for turn in turns if "failed" not in turn]
    table = []
    for work, reader in _cases():
        own = _of(done, work, (reader,))
        if own:
            ours = tuple(name for name in WORKS[work].readers if name.startswith(OURS))
            figures = {
                name: statistics.median(figure(turn, name) for turn in own) for name in FIGURES
            }
            table.append(Row(work, reader, **figures, ratio=ratio(done, work, ours, reader)))
    return table


def ratio(turns: Sequence[Turn], work: str, ours: Sequence[str], peer: str) -> float | None:
    """Return how much faster the fastest of ours is: the median of the ratios within each turn.

    A ratio is taken within one turn, as the load of the machine may differ between turns.
    """
    fastest = _fastest(turns, work, ours)
    theirs = {turn["turn"]: rate(turn) for turn in _of(turns, work, (peer,))}
    ratios = [
        rate(turn) / theirs[turn["turn"]]
        for turn in _of(turns, work, (fastest,))
        if turn["turn"] in theirs
    ]
    return statistics.median(ratios) if ratios else None


def aim_lines(turns: Iterable[Turn]) -> Iterator[str]:
    """Yield a table of the aims: reached or missed, and by how much."""
    done = [turn for turn in turns if "failed" not in turn]
    yield "| aim | got | |"
    yield "| --- | ---: | --- |"
    for aim in AIMS:
        got = _reached(done, aim)
        if got is not None:
            passes = got >= aim.wanted if aim.figure == "rate" else aim.least <= got <= aim.wanted
            yield f"| {aim.text} | {got:,.2f} | {'pass' if passes else '**missed**'} |"


def _reached(turns: Sequence[Turn], aim: Aim) -> float | None:
    if aim.peer and aim.figure == "rate":
        return ratio(turns, aim.work, aim.readers, aim.peer)
    own = _median(turns, aim.work, aim.readers, aim.figure)
    if own is None or aim.peer is None:
        return own
    theirs = _median(turns, aim.work, (aim.peer,), aim.figure)
    return own / theirs if theirs else None


def _median(turns: Sequence[Turn], work: str, readers: Sequence[str], name: str) -> float | None:
    figures = [figure(turn, name) for turn in _of(turns, work, readers)]
    return statistics.median(figures) if figures else None


def summary_lines(table: Sequence[Row], corpus: Corpus) -> Iterator[str]:
    """Yield one table of all work, with the fastest of each kind; the fastest reader is bold.

    What is done by hand does not count as a reader.
    """
    yield "| items a second | aisio | official SDK | best other | by hand |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for key, work in WORKS.items():
        own = [row for row in table if row.work == key]
        if not own or work.figure != "rate":
            continue
        best = {
            kind: max((row.rate for row in own if row.kind == kind), default=0.0) for kind in KINDS
        }
        fastest = max(rate for kind, rate in best.items() if kind != BY_HAND)
        cells = [_best_text(rate, rate == fastest) for rate in best.values()]
        yield f"| {work.title_for(corpus)}, {work.unit} | {' | '.join(cells)} |"


def _best_text(rate: float, is_fastest: bool) -> str:
    if not rate:
        return "-"
    return f"**{rate:,.0f}**" if is_fastest else f"{rate:,.0f}"


def table_lines(table: Sequence[Row], corpus: Corpus) -> Iterator[str]:
    """Yield a table for each work, the fastest first; readers faster than aisio are bold."""
    for key, work in WORKS.items():
        own = [row for row in table if row.work == key]
        if not own:
            continue
        item = work.unit.removesuffix("s").replace("entrie", "entry")
        heads = (
            "reader",
            f"{work.unit}/s",
            f"CPU us/{item}",
            "first, ms",
            "memory, MB",
            "aisio is",
        )
        yield ""
        yield f"**{work.title_for(corpus)}**"
        yield ""
        yield f"| {' | '.join(heads)} |"
        yield f"| ---{' | ---:' * (len(heads) - 1)} |"
        yield from map(_line, sorted(own, key=partial(_rank_of, work.figure)))


def _rank_of(figure: str, row: Row) -> float:
    """Return what rows are sorted by: the highest rate first, or the lowest of another figure."""
    value: float = getattr(row, figure)
    return -value if figure == "rate" else value


def _line(row: Row) -> str:
    cells = [
        f"{row.rate:,.0f}",
        f"{row.cpu_us:,.1f}" if row.cpu_us < 100 else f"{row.cpu_us:,.0f}",
        f"{row.first_ms:,.1f}" if row.first_ms < 10 else f"{row.first_ms:,.0f}",
        f"{row.memory_mb:,.0f}",
        _ratio_text(row),
    ]
    name = f"`{row.reader}`" if row.kind == OURS else row.reader
    return f"| {name} | {' | '.join(cells)} |"


def _ratio_text(row: Row) -> str:
    if row.ratio is None or row.kind == OURS or WORKS[row.work].figure != "rate":
        return ""
    text = f"{row.ratio:.2f} x"
    return f"**{text}, slower**" if row.ratio < 1 else text


def failure_lines(turns: Iterable[Turn]) -> list[str]:
    """Return a line for each reader that failed, with the reason, without duplicates."""
    failed = {
        f"- {turn['work']}, {turn['reader']}: {turn['failed']}"
        for turn in turns
        if "failed" in turn
    }
    return sorted(failed)


def _cases() -> Iterator[tuple[str, str]]:
    return ((key, reader) for key, work in WORKS.items() for reader in work.readers)


def _of(turns: Iterable[Turn], work: str, readers: Sequence[str]) -> list[Turn]:
    return [turn for turn in turns if turn["work"] == work and turn["reader"] in readers]


def _fastest(turns: Sequence[Turn], work: str, readers: Sequence[str]) -> str:
    def median_rate(reader: str) -> float:
        own = _of(turns, work, (reader,))
        return statistics.median(map(rate, own)) if own else 0.0

    return max(readers, key=median_rate, default="")


def _items(turn: Turn) -> float:
    return float(turn["bytes"]) / 1e6 if WORKS[turn["work"]].unit == "MB" else float(turn["items"])


def figure(turn: Turn, name: str) -> float:
    """Return one of FIGURES."""
    if name == "rate":
        return rate(turn)
    if name == "mb_per_s":
        return float(turn["bytes"]) / float(turn["wall_s"]) / 1e6
    if name == "cpu_us":
        return float(turn["cpu_s"]) / _items(turn) * 1e6
    if name == "first_ms":
        return float(turn["first_s"]) * 1e3
    return max(0.0, float(turn["peak_bytes"]) - float(turn["baseline_bytes"])) / 1e6
