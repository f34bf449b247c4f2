"""Real data: the 1,797 handwritten digits, 8 x 8 pixels each, that scikit-learn ships."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits


def write_digits(folder: Path, *, seed: int) -> int:
    """Write each digit as an image (`000123.png`) and its class (`000123.cls`).

    Numbers are assigned in random order: shards keep the order of names, and a network learns
    little from digits sorted by writer.

    Args:
        folder: Existing folder.
        seed: Seed of the order.

    Returns:
        How many digits were written.

    Source:
        E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """
    digits = load_digits()
    names = [f"{number:06d}" for number in range(len(digits.target))]
    random.Random(seed).shuffle(names)
    for name, pixels, digit in zip(names, digits.images, digits.target, strict=True):
        brightness = (pixels * 15).astype("uint8")  # 0 to 16 in the source
        Image.fromarray(brightness).save(folder / f"{name}.png")
        (folder / f"{name}.cls").write_text(str(digit))
    return len(names)
