"""The file of a picture: its format, its figure, and how it is written.

matplotlib's Figure is used without pyplot: a picture needs no display, and changes no setting of
the program that draws it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisio.atomic_write import atomic_write
from aisio.errors import ConfigError
from aisio.escapes import visible
from aisio.extras import missing_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

__all__ = ["check_picture", "picture", "plain"]

_FORMATS = ("png", "svg")
_DPI = 150
_SETTINGS: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",  # text stays text, which can be searched and copied
    "svg.hashsalt": "aisio",  # the same numbers make the same file
}


def check_picture(path: Path | str) -> Path:
    """Return the path of a picture, before anything is measured for it.

    Raises:
        ConfigError: The file ends neither in .png nor in .svg, or cannot be written there.
        MissingExtraError: The extra `plot` is not installed.
    """
    path = Path(path)
    if path.suffix.lower().lstrip(".") not in _FORMATS:
        raise ConfigError(f"{path}: a picture is a .png or .svg file")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{path}: there is no folder {folder}")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: a picture is a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: you may not write into {folder}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise missing_extra("matplotlib", "plot") from error
    return path


@contextmanager
def picture(path: Path | str, *, width: float = 8.0, height: float = 4.5) -> Iterator[Figure]:
    """Yield an empty figure, and write it when the block has ended.

    An existing file is replaced when the picture is complete.

    Args:
        path: A file that ends in .png or .svg.
        width: In inches, as `height`.
        height: See `width`.

    Raises:
        ConfigError: See `check_picture`.
        MissingExtraError: See `check_picture`.
    """
    path = check_picture(path)
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    suffix = path.suffix.lower().lstrip(".")
    metadata = {"Date": None} if suffix == "svg" else {}
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        with atomic_write(path) as file:
            figure.savefig(file, format=suffix, dpi=_DPI, metadata=metadata)


def plain(text: str) -> str:
    """Return text that matplotlib does not read as mathematics, and does not leave out.

    Control characters are escaped: no SVG may hold them, and matplotlib refuses bytes of names that
    are not UTF-8.
    """
    return visible(text).replace("$", r"\$").lstrip("_")
