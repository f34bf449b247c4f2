"""Single measurements -> medians, ratios and aims."""

from __future__ import annotations

import importlib

import pytest


@pytest.fixture
def report(root, monkeypatch):
    """Return the benchmark's module; its folder is no package."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module("report")


@pytest.fixture
def corpus(report):
    """Return a corpus of the usual size."""
    return importlib.import_module("corpus").Corpus("http://127.0.0.1:1", "bench")


def turn(number: int, reader: str, wall_s: float, *, work: str = "list") -> dict[str, object]:
    """Return a measurement of a hundred items."""
    return {
        "turn": number,
        "work": work,
        "reader": reader,
        "items": 100,
        "bytes": 200_000_000,
        "wall_s": wall_s,
        "cpu_s": 0.01,
        "first_s": 0.001,
        "baseline_bytes": 5_000_000,
        "peak_bytes": 8_000_000,
    }


def test_a_row_has_the_medians(report):
    """One slow turn does not count."""
    (row,) = report.rows([turn(number, "aisio", wall_s) for number, wall_s in enumerate((1, 2, 9))])
    assert (row.rate, row.cpu_us, row.first_ms, row.memory_mb) == (50, 100, 1, 3)


def test_a_large_object_counts_in_megabytes(report):
    """It is one item, whatever its size."""
    (row,) = report.rows([turn(0, "curl", 2.0, work="stream")])
    assert (row.rate, row.cpu_us) == (100, 50)


def test_ratios_are_taken_within_a_turn(report):
    """A machine that slows down for both in one turn changes no ratio."""
    turns = [
        turn(number, reader, wall_s * slow)
        for number, slow in enumerate((1, 5, 2))
        for reader, wall_s in (("aisio", 1), ("official SDK", 3))
    ]
    ours, theirs = report.rows(turns)
    assert (ours.ratio, theirs.ratio) == (1, 3)


def test_who_is_faster_than_aisio_stands_out(report, corpus):
    """The table hides nothing."""
    turns = [turn(0, "aisio", 2), turn(0, "official SDK", 1), turn(0, "obstore over /s3", 4)]
    lines = "\n".join(report.table_lines(report.rows(turns), corpus))
    assert lines.index("official SDK") < lines.index("`aisio`") < lines.index("obstore")
    assert "| **0.50 x, slower** |" in lines
    assert "| 2.00 x |" in lines
    summary = "\n".join(report.summary_lines(report.rows(turns), corpus))
    assert "| List 20,000 objects, entries | 50 | **100** | 25 | - |" in summary


@pytest.mark.parametrize(("wall_s", "verdict"), [(2.9, "**missed**"), (3.1, "pass")])
def test_aims_are_passed_or_missed(report, wall_s, verdict):
    """With the ratio that was reached; an aim that was not measured is left out."""
    turns = [turn(0, "aisio", 1), turn(0, "official SDK", wall_s)]
    lines = list(report.aim_lines(turns))
    assert f"| list: 3 x official SDK | {wall_s:.2f} | {verdict} |" in lines
    assert not any("shards" in line for line in lines)


@pytest.mark.parametrize(("first_s", "verdict"), [(0.04, "pass"), (0.05, "**missed**")])
def test_an_aim_may_compare_another_figure_with_a_peer(report, first_s, verdict):
    """Its ratio is to be low: the first batch of a job that goes on, and of one that begins."""
    readers = {"aisio Loader": 0.04, "aisio Loader, resumed at 50 %": first_s}
    turns = [
        turn(0, reader, 1, work="train/first batch") | {"first_s": seconds}
        for reader, seconds in readers.items()
    ]
    lines = [line for line in report.aim_lines(turns) if "resumed at 50 %" in line]
    assert lines == [
        f"| resumed at 50 %: first batch as soon, within 10 % | {first_s / 0.04:.2f} | {verdict} |"
    ]


def test_a_table_is_sorted_by_the_figure_it_is_about(report, corpus):
    """Without ratios of rates, and it is not in the summary."""
    turns = [
        turn(0, "alone: the stated bound", 1, work="train/memory") | {"peak_bytes": 9_000_000},
        turn(0, "aisio Loader", 2, work="train/memory"),
    ]
    lines = "\n".join(report.table_lines(report.rows(turns), corpus))
    assert lines.index("`aisio Loader`") < lines.index("| alone: the stated bound |")
    assert " x |" not in lines
    assert len(list(report.summary_lines(report.rows(turns), corpus))) == 2


def test_what_does_a_part_of_the_work_counts_as_done_by_hand(report):
    """It is no reader that aisio could lose to."""
    (row,) = report.rows([turn(0, "alone: AISShardReader, in order", 1, work="train/one process")])
    assert row.kind == report.BY_HAND


def test_every_aim_names_readers_that_exist(report):
    """A name that is misspelt would leave its aim out."""
    for aim in report.AIMS:
        readers = report.WORKS[aim.work].readers
        assert {*aim.readers, aim.peer or aim.readers[0]} <= readers.keys(), aim


def test_who_failed_is_named_with_the_reason(report):
    """Once, and not in the table."""
    failed = {"turn": 0, "work": "list", "reader": "obstore over /s3", "failed": "Unsuited: no"}
    assert report.rows([failed]) == []
    assert report.failure_lines([failed, failed]) == ["- list, obstore over /s3: Unsuited: no"]
