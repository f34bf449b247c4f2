"""What a transfer takes, leaves out and does, and what it came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from aisio.errors import ConfigError
from aisio.patterns.name_patterns import NamePatterns
from aisio.transfer.jobs import Action, Outcome

__all__ = ["Existing", "OnOutcome", "Progress", "Report", "TransferOptions"]

Existing = Literal["replace", "keep", "compare"]
"""What becomes of an object or file at the destination: it is replaced; kept, whatever it is; or
kept if it has the size and checksum of the source."""


@dataclass(frozen=True)
class TransferOptions:
    """What is copied, and how.

    Attributes:
        recursive: The sources are folders, buckets or patterns; else single objects or patterns.
        as_prefix: A recursive source "ais://data/tr" stands for train/ and trash/ alike; else for
            the folder tr/.
        include: Take only names that match one of these; see `aisio.patterns.name_patterns`.
        exclude: Leave out names that match one of these.
        existing: What becomes of what is at the destination already.
        size_only: Compare sizes alone.
        delete: Of `sync`: delete what the source does not have.
        allow_empty: Of `sync`: go on where the source has nothing.
        create_bucket: Create the destination's bucket if there is none.
        dry_run: Change nothing; the outcomes are those of what would be done.

    Raises:
        ConfigError: `existing` has another value, or a pattern is empty.
        UrlError: A pattern is not valid.
    """

    recursive: bool = False
    as_prefix: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    existing: Existing = "replace"
    size_only: bool = False
    delete: bool = False
    allow_empty: bool = False
    create_bucket: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.existing not in ("replace", "keep", "compare"):
            raise ConfigError(
                f"existing={self.existing!r}: expected 'replace', 'keep' or 'compare'"
            )
        _ = self.name_patterns  # one that is not valid is an error at once

    @property
    def name_patterns(self) -> NamePatterns:
        """Which names are taken."""
        return NamePatterns(self.include or None, self.exclude or None, owner="TransferOptions")


class Progress(Protocol):
    """Is told how far a transfer is; by several threads at once."""

    def begin(self, files: int, size_bytes: int | None) -> None:
        """Tell how much will be copied; the size is None where it is not known."""

    def add(self, size_bytes: int) -> None:
        """Count bytes that were copied; a negative number where they are sent again."""

    def finish_file(self) -> None:
        """Count an object or file that was copied."""


OnOutcome = Callable[[Outcome], object]
"""Called with each outcome, by one thread; an error that it raises ends the transfer."""


@dataclass
class Report:
    """What a transfer came to.

    Attributes:
        copied: Objects and files that were copied or moved.
        skipped: Those that were left as they are.
        deleted: Those that were deleted at the destination.
        failed: Those that could not be copied, moved or deleted.
        size_bytes: Bytes that were copied.
        unverified: Those that were copied again, because no two checksums could be compared.
    """

    copied: int = 0
    skipped: int = 0
    deleted: int = 0
    failed: int = 0
    size_bytes: int = 0
    unverified: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        if outcome.error is not None:
            self.failed += 1
        elif outcome.action is Action.SKIP:
            self.skipped += 1
        elif outcome.action is Action.DELETE:
            self.deleted += 1
        else:
            self.copied += 1
            self.size_bytes += outcome.size_bytes
