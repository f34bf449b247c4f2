"""Real data: the 1,797 handwritten digits, 8 x 8 pixels each, that scikit-learn ships.

`python -m digits.data images` writes them to a new folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits


def write_digits(folder: Path) -> int:
    """Write each digit as a PNG image, in a folder for each class: `7/000123.png`.

    Args:
        folder: A folder that does not exist yet.

    Returns:
        How many digits were written.

    Source:
        E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """
    digits = load_digits()
    for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        brightness = (pixels * 15).astype("uint8")  # 0 to 16 in the source
        class_folder = folder / str(digit)
        class_folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(brightness).save(class_folder / f"{number:06d}.png")
    return len(digits.target)


if __name__ == "__main__":
    print(f"{write_digits(Path(sys.argv[1])):,} images in {sys.argv[1]}")
