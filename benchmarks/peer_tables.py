"""What `training_peers.py` measured, as tables in Markdown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from loaders import WORKERS

COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("one process, samples/s", "rate_0", "{:,.0f}".format),
    ("CPU us/sample", "cpu_us_0", "{:,.0f}".format),
    (f"{WORKERS} workers, samples/s", f"rate_{WORKERS}", "{:,.0f}".format),
    ("CPU us/sample", f"cpu_us_{WORKERS}", "{:,.0f}".format),
    ("first batch, ms", "first_s", lambda seconds: f"{seconds * 1e3:,.0f}"),
    ("after a stop, ms", "resumed_s", lambda seconds: f"{seconds * 1e3:,.0f}"),
    ("to prepare, s", "prepare_s", "{:,.1f}".format),
)
"""Head, figure, and format of each column of the table of speeds."""


def speed_lines(figures: Mapping[str, Mapping[str, Sequence[float]]]) -> Iterator[str]:
    """Yield the table of speeds: medians over the turns, the best of each column in bold."""
    medians = {
        name: {key: statistics.median(values) for key, values in own.items()}
        for name, own in figures.items()
    }
    yield f"| reader | {' | '.join(head for head, _, _ in COLUMNS)} |"
    yield f"| ---{' | ---:' * len(COLUMNS)} |"
    for name, own in medians.items():
        cells = []
        for _, key, text in COLUMNS:
            all_values = [other[key] for other in medians.values() if key in other]
            best = (max if key.startswith("rate") else min)(all_values, default=0)
            cell = text(own[key]) if key in own else "-"
            cells.append(f"**{cell}**" if own.get(key) == best else cell)
        yield f"| {name} | {' | '.join(cells)} |"


def exactness_lines(verdicts: Mapping[tuple[str, str], Mapping[str, str]]) -> Iterator[str]:
    """Yield the table of what came behind a change of the topology."""
    names = list(next(iter(verdicts.values())))
    yield f"| before | after | {' | '.join(names)} |"
    yield f"| --- | ---{' | ---' * len(names)} |"
    for (before, after), own in verdicts.items():
        yield f"| {before} | {after} | {' | '.join(own[name] for name in names)} |"


def verdict(keys: Sequence[str], count: int) -> str:
    """Say whether each of so many samples came once."""
    seen = Counter(keys)
    missing, twice = count - len(seen), len(keys) - len(seen)
    return "exact" if not missing and not twice else f"{missing} missing, {twice} twice"
