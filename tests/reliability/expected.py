"""What comes of each way x fault, and the table of it in docs/reliability.md.

`python -m tests.reliability.expected` writes the table anew, from the project's folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.reliability.paths import FAULTS, WAYS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- the table: begin -->\n", "<!-- the table: end -->\n"


class Outcome(NamedTuple):
    """What a reader gets.

    Attributes:
        what: "same" for the right bytes, each once; "other" for wrong ones; else the error's name.
        more: Requests beyond those of an undisturbed read, at least.
        most: The same, at most.
    """

    what: str
    more: int = 0
    most: int = 0

    def __str__(self) -> str:
        if self.what == "same":
            requests = f"{self.more} to {self.most}" if self.most > self.more else f"{self.more}"
            return "right bytes" + (f", +{requests}" if self.more else "")
        return f"`{self.what}`" if self.what != "other" else "**not seen**"


RIGHT, AGAIN = Outcome("same"), Outcome("same", 1, 1)
INTEGRITY, UNSEEN = Outcome("IntegrityError"), Outcome("other")

USUAL: dict[str, Outcome] = {
    "cut": AGAIN,
    "reset": AGAIN,
    "corrupt byte": INTEGRITY,
    "stall": AGAIN,
    "silence": AGAIN,
    "refused": AGAIN,
    "429": AGAIN,
    "503": AGAIN,
    "restart": AGAIN,
    "trickle": RIGHT,
    "other reply": INTEGRITY,
}
"""What nearly every way makes of a fault."""

ALONE = Outcome("same")
"""What a batch does not give whole and right is read object by object."""

TWO_STEPS = Outcome("same", 1, 2)
"""A batch is asked for twice: of the proxy, and of the node that it names."""

BATCH: dict[str, Outcome] = {
    **dict.fromkeys(("cut", "reset", "corrupt byte", "stall", "silence", "other reply"), ALONE),
    **dict.fromkeys(("refused", "429", "503", "restart"), TWO_STEPS),
}
"""What get-batch makes of a fault in its archive, of objects whose checksums were listed."""

STRUCK = {
    (way, fault): Outcome("same", 1, most)
    for way, how in WAYS.items()
    if how.ahead
    for fault, most in (("stall", 2), ("silence", 2), ("restart", 3))
}
"""A restart breaks all connections; after a timeout what had begun to come is asked for anew."""

SPECIAL: Mapping[tuple[str, str], Outcome | None] = {
    **STRUCK,
    # Here four requests are in flight.
    ("`AISShardDataset`, a batch", "stall"): Outcome("same", 1, 4),
    ("`AISShardDataset`, a batch", "silence"): Outcome("same", 1, 4),
    ("`AISShardDataset`, a batch", "restart"): Outcome("same", 1, 4),
    # What the index has other hashes of is read once more.
    ("`AISShardDataset`, a batch", "corrupt byte"): AGAIN,
    ("`Loader` of `AISShardDataset`", "corrupt byte"): AGAIN,
    # AIStore gives no checksum of a listing, a range or a member; a web server gives none at all.
    ("`Bucket.list`", "corrupt byte"): UNSEEN,
    ("`Object.get`, a range", "corrupt byte"): UNSEEN,
    ("`Object.open`, with seeks", "corrupt byte"): UNSEEN,
    ("`Object.get_member`", "corrupt byte"): UNSEEN,
    ("`DirectStore.read`, http", "corrupt byte"): UNSEEN,
    # The answer does not name its object, and nothing was listed to compare it with.
    ("`Object.get`", "other reply"): UNSEEN,
    ("`Object.get`, a range", "other reply"): UNSEEN,
    ("`Object.get`, straight to the target", "other reply"): UNSEEN,
    ("`Object.get_member`", "other reply"): UNSEEN,
    ("`Object.stream`", "other reply"): UNSEEN,
    ("`ais_load_files`", "other reply"): UNSEEN,
    ("`Object.get(into=)`", "other reply"): UNSEEN,
    ("`ObjectGroup.get_all`", "other reply"): UNSEEN,
    ("`DirectStore.read`, http", "other reply"): UNSEEN,
    ("`DirectStore.read`, s3", "other reply"): UNSEEN,
    ("`Store.read`, oss", "other reply"): UNSEEN,
    # No checksum is there of one tensor; what is no safetensors file is told by its header.
    ("`safetensors.safe_open`, a tensor", "corrupt byte"): UNSEEN,
    ("`safetensors.load_file`, header", "other reply"): Outcome("CheckpointError"),
    # Each tensor is compared with its digest, and read once more.
    ("`StorageReader`, a load", "corrupt byte"): AGAIN,
    ("`StorageReader`, a load", "restart"): Outcome("same", 1, 3),
    # A range from the middle on lies behind the end of a smaller object, as the store then says.
    ("`Object.open`, with seeks", "other reply"): Outcome("IntegrityError"),
    # A restart breaks the connections of all requests that are in flight.
    ("`AISShardReader`", "restart"): Outcome("same", 1, 2),
    ("webdataset's `samples`", "restart"): Outcome("same", 1, 2),
    ("`AISShardReader`, straight to the target", "restart"): Outcome("same", 1, 2),
    ("`AISShardReader`, s3", "restart"): Outcome("same", 1, 2),
    ("`safetensors.load_file`", "restart"): Outcome("same", 1, 3),
    ("`safetensors.safe_open`, a tensor", "restart"): Outcome("same", 1, 3),
    ("`Object.get(into=)`, in parts", "restart"): Outcome("same", 1, 4),
    ("`aisio get`, in parts", "restart"): Outcome("same", 1, 4),
    # All pages of a listing have one path: there is no other reply to give.
    ("`Bucket.list`", "other reply"): None,
}


def expected(way: str, fault: str) -> Outcome | None:
    """Return what must come of a fault on a way; None if they do not meet."""
    usual = USUAL | BATCH if way in ("`Client.get_batch`", "`AISBatchIterDataset`") else USUAL
    return SPECIAL.get((way, fault), usual[fault])


def table() -> str:
    """Return the table in Markdown: a row a way, a column a fault."""
    lines = ["| | " + " | ".join(FAULTS) + " |", "| --- " * (len(FAULTS) + 1) + "|"]
    for way in WAYS:
        cells = " | ".join(str(expected(way, fault) or "-") for fault in FAULTS)
        lines.append(f"| {way} | {cells} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """Return a page with the table as it is now between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
