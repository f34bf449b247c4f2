"""What is written, by which way, through which fault; and the table of it in docs/reliability.md.

`python -m tests.reliability.writes` writes the table anew, from the project's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aisio import Checkpoint, WriteOptions
from aisio.urls import ObjectUrl
from tests.reliability.paths import Reach

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- the table of writes: begin -->\n", "<!-- the table of writes: end -->\n"
FAULTS = ("silence", "refused", "429", "503", "restart")
"""Each is met once. A last column has 503 for good."""

OLD, NEW = b"old", bytes(range(250)) * 40_000
PARTS = WriteOptions(part_bytes=4_000_000, concurrency=1)
S3_PART_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class Way:
    """A way to write, and which of its requests meets the fault.

    Attributes:
        write: Writes NEW to the object.
        method: Method of the request.
        skip: How many requests of this method pass before the fault.
        most: Requests beyond those of an undisturbed write, at most.
        to: What stands behind the proxy: "gateway", "s3" or "oss".
    """

    write: Callable[[Reach], Any]
    method: str = "PUT"
    skip: int = 0
    most: int = 1
    to: str = "gateway"


def object_of(way: Way) -> ObjectUrl:
    """Return the URL of the object that a way writes."""
    scheme = "ais" if way.to == "gateway" else way.to
    return ObjectUrl.parse(f"{scheme}://data/written")


def _put(reach: Reach) -> None:
    reach.bucket.object("written").put(NEW)


def _open(reach: Reach) -> None:
    with reach.bucket.object("written").writer(PARTS) as file:
        file.write(NEW)


def _open_small(reach: Reach) -> None:
    with reach.bucket.object("written").open("wb") as file:
        file.write(NEW)


def _s3(part_bytes: int) -> Callable[[Reach], None]:
    def write(reach: Reach) -> None:
        checkpoint = Checkpoint(direct=reach.direct, part_bytes=part_bytes, concurrency=1)
        with checkpoint.writer("s3://data/written") as file:
            file.write(NEW)

    return write


def _oss(part_bytes: int) -> Callable[[Reach], None]:
    def write(reach: Reach) -> None:
        checkpoint = Checkpoint(direct=reach.oss, part_bytes=part_bytes, concurrency=1)
        with checkpoint.writer("oss://data/written") as file:
            file.write(NEW)

    return write


WAYS: Mapping[str, Way] = {
    "`Object.put`": Way(_put, skip=1, most=2),
    '`Object.open("wb")`, of one part': Way(_open_small, skip=1, most=2),
    '`Object.open("wb")`, the first request': Way(_open, method="POST"),
    '`Object.open("wb")`, a part': Way(_open, skip=3, most=2),
    '`Object.open("wb")`, the last request': Way(_open, method="POST", skip=1),
    "`Checkpoint.writer`, s3, of one part": Way(_s3(16 * 1024 * 1024), to="s3"),
    "`Checkpoint.writer`, s3, the first request": Way(_s3(S3_PART_BYTES), method="POST", to="s3"),
    "`Checkpoint.writer`, s3, a part": Way(_s3(S3_PART_BYTES), skip=1, to="s3"),
    "`Checkpoint.writer`, s3, the last request": Way(
        _s3(S3_PART_BYTES), method="POST", skip=1, to="s3"
    ),
    "`Checkpoint.writer`, oss, of one part": Way(_oss(16 * 1024 * 1024), to="oss"),
    "`Checkpoint.writer`, oss, the first request": Way(_oss(4_000_000), method="POST", to="oss"),
    "`Checkpoint.writer`, oss, a part": Way(_oss(4_000_000), skip=1, to="oss"),
    "`Checkpoint.writer`, oss, the last request": Way(
        _oss(4_000_000), method="POST", skip=1, to="oss"
    ),
}


def table() -> str:
    """Return the table in Markdown: a row a way, a column a fault."""
    lines = ["| | " + " | ".join(FAULTS) + " | 503 for good |"]
    lines.append("| --- " * (len(FAULTS) + 2) + "|")
    for way, how in WAYS.items():
        cell = "stored, +1" + (f" to {how.most}" if how.most > 1 else "")
        cells = " | ".join(cell for _ in FAULTS)
        lines.append(f"| {way} | {cells} | error, old object |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """Return a page with the table as it is now between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
