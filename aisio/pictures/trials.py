"""What `aisio bench` measured, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aisio.pictures.bars import Bar, Panel, draw_panels

__all__ = ["draw_trials"]

_ITEMS = {"list": "entries of the listing", "objects": "objects", "shards": "samples of shards"}


def draw_trials(path: Path | str, trials: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Draw the rates and times of the kinds of work.

    Args:
        path: A file that ends in .png or .svg.
        trials: At least one; each as `aisio bench --json` writes it.
        title: Above the picture.

    Raises:
        ConfigError: See `aisio.pictures.picture_file.check_picture`.
        MissingExtraError: See `aisio.pictures.picture_file.check_picture`.
    """
    panels = [
        Panel("Rate", "items per second", [_rate(trial) for trial in trials]),
        *_read_rates(trials),
        Panel("Time of an item: this CPU, and waiting", "microseconds", _parts(trials)),
        *_latencies(trials),
    ]
    notes = [f"limited by: {', '.join(map(_limit, trials))}", "one process and one thread"]
    draw_panels(path, panels, title=title, notes=notes)


def _name(trial: Mapping[str, Any]) -> str:
    work = str(trial["work"])
    return _ITEMS.get(work, work)


def _rate(trial: Mapping[str, Any]) -> Bar:
    rate = trial["items_per_s"]
    return Bar(_name(trial), rate, f"{rate:,.0f}/s of {trial['items']:,}")


def _read_rates(trials: Sequence[Mapping[str, Any]]) -> list[Panel]:
    bars = [
        Bar(_name(trial), trial["mb_per_s"], f"{trial['mb_per_s']:,.1f} MB/s")
        for trial in trials
        if trial["size_bytes"]
    ]
    return [Panel("Throughput", "megabytes (1,000,000 bytes) per second", bars)] if bars else []


def _parts(trials: Sequence[Mapping[str, Any]]) -> list[Bar]:
    bars = []
    for trial in trials:
        cpu_us = trial["cpu_s"] / trial["items"] * 1e6
        other_us = max(0.0, trial["wall_s"] / trial["items"] * 1e6 - cpu_us)
        bars.append(Bar(f"{_name(trial)}: this CPU", cpu_us, f"{cpu_us:,.1f} µs"))
        bars.append(Bar(f"{_name(trial)}: waiting", other_us, f"{other_us:,.1f} µs", pale=True))
    return bars


def _latencies(trials: Sequence[Mapping[str, Any]]) -> list[Panel]:
    panels = []
    for trial in trials:
        if trial["p50_s"] is None:
            continue
        times = {
            "to the first byte, median": trial["first_s"],
            **{f"whole object, {share}": trial[f"{share}_s"] for share in ("p50", "p90", "p99")},
        }
        bars = [
            Bar(name, 1e3 * time_s, f"{1e3 * time_s:,.2f} ms") for name, time_s in times.items()
        ]
        panels.append(Panel(f"Latency of {_name(trial)}", "milliseconds", bars))
    return panels


def _limit(trial: Mapping[str, Any]) -> str:
    return f"{_name(trial)} by {'this CPU' if trial['limited_by'] == 'cpu' else 'the store'}"
