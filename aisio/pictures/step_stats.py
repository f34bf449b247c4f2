"""Where the time of a job's steps went, as a picture: what `stats()` says in bars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from aisio.errors import ConfigError
from aisio.pictures.bars import Bar, Panel, draw_panels

__all__ = ["HasStats", "plot_stats"]

_STAGES = {
    "list_s": "list: waiting for listings",
    "connect_s": "connect: opening connections",
    "wait_s": "wait: from request to response",
    "read_s": "read: bytes off the socket",
    "verify_s": "verify: hashing",
    "parse_s": "parse: samples in shards",
    "decode_s": "decode: fields of samples",
}
_OTHER = "other: transforms, the caller, all else"


class HasStats(Protocol):
    """A Loader, or a dataset."""

    def stats(self) -> Mapping[str, Any]:
        """Return what was counted."""


def plot_stats(
    of: HasStats | Mapping[str, Any], path: Path | str, *, title: str = ""
) -> Mapping[str, Any]:
    """Draw where the time went: of a Loader's steps, and of its dataset, or of a dataset alone.

    Of a Loader: how long the trainer took for its own steps and waited for batches, and what its
    workers did meanwhile. Of a dataset: the stages of its reads, summed over all threads and
    workers; and each worker's time.

    Args:
        of: A Loader, a dataset, or what `stats()` of one returned.
        path: A file that ends in .png or .svg. An existing file is replaced.
        title: Above the picture.

    Returns:
        The numbers: what `stats()` returned.

    Raises:
        ConfigError: Nothing was counted yet, or the file ends in something else.
        MissingExtraError: The extra `plot` is not installed.
    """
    stats = of if isinstance(of, Mapping) else of.stats()
    panels, notes = [], []
    if "replay_step_s" in stats:
        panels += _of_loader(stats)
        dataset = getattr(of, "dataset", None)
        if dataset is not None and hasattr(dataset, "stats") and panels:
            panels += _of_dataset(dataset.stats())
            notes = ["Workers report what they read when an epoch ends, or when they end."]
    elif "seconds" in stats:
        panels += _of_dataset(stats)
    else:
        raise ConfigError(f"{path}: the stats of a Loader or dataset are needed to draw")
    if not panels:
        raise ConfigError(f"{path}: nothing was read yet, so there is nothing to draw")
    draw_panels(path, panels, title=title, notes=notes)
    return stats


def _of_loader(stats: Mapping[str, Any]) -> list[Panel]:
    batches = stats["batches"]
    if not batches:
        return []
    waited_s, workers_s = stats["wait_s"], stats["wait_for_workers_s"]
    in_workers_s = stats["workers_read_s"] + stats["workers_collate_s"]
    trainer = {
        "step: the trainer's own": (stats["step_s"], True),
        "wait: for a batch of a worker" if in_workers_s else "wait: reading": (workers_s, False),
        "copy: out of shared memory": (stats["unpack_s"], False),
        "other: beginning epochs": (max(0.0, waited_s - workers_s - stats["unpack_s"]), False),
    }
    panels = [_times(f"The trainer, {batches:,} batches", trainer, batches, "a batch")]
    if in_workers_s:
        workers = {
            "fetch: reading and decoding": (stats["workers_read_s"], False),
            "collate: making batches": (stats["workers_collate_s"], False),
        }
        if stats["pin_s"]:
            workers["pin: copying for the GPU"] = stats["pin_s"], False
        panels.append(_times("All workers meanwhile, in sum", workers, batches, "a batch"))
    return panels


def _of_dataset(stats: Mapping[str, Any]) -> list[Panel]:
    if not stats["items"] + stats["skipped"]:
        return []
    stages = {name: (stats.get(key, 0.0), False) for key, name in _STAGES.items()}
    rest_s = stats["seconds"] - sum(seconds for seconds, _ in stages.values())
    if rest_s > 0:
        stages[_OTHER] = rest_s, True
    title = f"Reading {stats['items']:,} items, all threads in sum"
    panels = [_times(title, stages, stats["items"], "an item")]
    workers = stats.get("workers", {})
    if len(workers) > 1:
        panels.append(_by_worker(workers))
    return panels


def _by_worker(workers: Mapping[int, Mapping[str, Any]]) -> Panel:
    bars = [
        Bar(f"worker {worker}", own["seconds"], _worker_text(own))
        for worker, own in workers.items()
    ]
    mean_s = sum(bar.value for bar in bars) / len(bars)
    return Panel("Time of each worker", "seconds", bars, (mean_s, f"mean, {_seconds(mean_s)}"))


def _worker_text(own: Mapping[str, Any]) -> str:
    megabytes = own["bytes_read"] / 1e6
    return (
        f"{_seconds(own['seconds'])}, {own['items']:,} items, {megabytes:,.0f} MB,"
        f" {own['retries']:,} retries"
    )


def _times(title: str, times: Mapping[str, tuple[float, bool]], count: int, each: str) -> Panel:
    all_s = sum(seconds for seconds, _ in times.values()) or 1.0
    bars = []
    for name, (seconds, pale) in times.items():
        one_s = seconds / max(1, count)
        text = f"{_seconds(seconds)}, {seconds / all_s:.0%}, {_seconds(one_s)} {each}"
        bars.append(Bar(name, seconds, text if seconds else "none", pale))
    return Panel(title, "seconds", bars)


def _seconds(seconds: float) -> str:
    if seconds >= 1.0 or not seconds:
        return f"{seconds:,.2f} s"
    return f"{seconds * 1e3:,.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:,.1f} µs"
