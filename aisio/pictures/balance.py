"""How evenly a cluster is filled, as a picture: a bar for each target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aisio.pictures.bars import Bar, Panel, draw_panels

__all__ = ["draw_balance"]

_GIB = 1 << 30
_MIB = 1 << 20


def draw_balance(
    path: Path | str,
    targets: Sequence[Mapping[str, Any]],
    *,
    title: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Draw what each target of a cluster holds.

    Args:
        path: A file that ends in .png or .svg.
        targets: At least one, each with "target", and as far as it is known "objects",
            "size_bytes", "used_bytes" and "available_bytes".
        title: Above the picture.
        notes: Lines below it.

    Raises:
        ConfigError: See `aisio.pictures.picture_file.check_picture`.
        MissingExtraError: See `aisio.pictures.picture_file.check_picture`.
    """
    panels = []
    if _known(targets, "objects"):
        panels.append(_panel("Objects", "objects", targets, "objects", 1, "{:,.0f}"))
        sizes = [target.get("size_bytes") or 0 for target in targets]
        unit, name = (_GIB, "GiB") if max(sizes) >= _GIB else (_MIB, "MiB")
        text = f"{{:,.2f}} {name}"
        panels.append(_panel("Bytes of these objects", name, targets, "size_bytes", unit, text))
    if _known(targets, "used_bytes"):
        panels.append(_capacity(targets))
    draw_panels(path, panels, title=title, notes=notes)


def _known(targets: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(target.get(name) is not None for target in targets)


def _panel(
    title: str,
    unit: str,
    targets: Sequence[Mapping[str, Any]],
    name: str,
    size: int,
    text: str,
) -> Panel:
    bars = _bars(targets, name, lambda target: target[name] / size, text.format)
    mean = sum(bar.value for bar in bars) / len(bars)
    return Panel(title, unit, bars, (mean, f"mean, {text.format(mean)}"))


def _bars(
    targets: Sequence[Mapping[str, Any]],
    name: str,
    value_of: Callable[[Mapping[str, Any]], float],
    text: Callable[[float], str],
) -> list[Bar]:
    return [
        Bar(target["target"], value := value_of(target), text(value))
        if target.get(name) is not None
        else Bar(target["target"], 0.0, "not known", pale=True)
        for target in targets
    ]


def _capacity(targets: Sequence[Mapping[str, Any]]) -> Panel:
    bars = []
    for target in targets:
        used, available = target.get("used_bytes"), target.get("available_bytes")
        if used is None or available is None or not used + available:
            bars.append(Bar(target["target"], 0.0, "not known", pale=True))
            continue
        total = used + available
        text = f"{100 * used / total:.0f} % of {total / _GIB:,.0f} GiB"
        bars.append(Bar(target["target"], 100 * used / total, text))
    return Panel("Capacity of the disks that is used, by whatever", "percent", bars, end=100.0)
