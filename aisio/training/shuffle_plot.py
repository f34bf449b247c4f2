"""plot_shuffle: how well an order is shuffled, as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from aisio.pictures.picture_file import check_picture
from aisio.pictures.shuffle import draw_shuffle
from aisio.training.loader import Loader
from aisio.training.shuffle_quality import ShuffleQuality, shuffle_quality

__all__ = ["plot_shuffle"]


def plot_shuffle(
    of: Loader | Iterable[Sequence[int]],
    path: Path | str,
    *,
    samples: int | None = None,
    title: str = "",
) -> ShuffleQuality:
    """Draw how well an order is shuffled; no sample is read for it.

    Args:
        of: See `shuffle_quality`.
        path: A file that ends in .png or .svg. An existing file is replaced.
        samples: See `shuffle_quality`.
        title: Above the picture.

    Returns:
        The numbers.

    Raises:
        ConfigError: See `shuffle_quality`; or the file ends in something else.
        MissingExtraError: The extra `plot` is not installed.
    """
    check_picture(path)
    found = shuffle_quality(of, samples=samples)
    together = [
        ("neighbours in storage", found.stored_together, found.random_stored_together),
    ]
    if found.stay_together is not None:
        name = "of the last epoch's neighbours"
        together.append((name, found.stay_together, found.random_stay_together))
    notes = [
        f"{found.received:,} of {found.samples:,} samples in {found.batches:,} batches;"
        f" mean move {found.mean_move:.1%} (random: {found.random_move:.1%});"
        f" rank correlation {found.rank_correlation:.3f} (random: 0)"
    ]
    draw_shuffle(path, found.moves, together, title=title, notes=notes)
    return found
