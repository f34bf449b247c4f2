"""What is written in a picture: the texts of an SVG file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

_TEXT = "{http://www.w3.org/2000/svg}text"


def texts(path: Path) -> list[str]:
    """Return all texts of an SVG file, in the order of the file."""
    root = ET.fromstring(path.read_text("utf-8"))
    return ["".join(one.itertext()).strip() for one in root.iter(_TEXT)]
