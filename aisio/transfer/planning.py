"""Plan: all that a transfer will do, known before it changes anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from aisio.errors import ConfigError, UrlError
from aisio.records import ObjectInfo
from aisio.transfer.comparison import Comparison, Difference, DifferenceKind, compare
from aisio.transfer.destination import Destination
from aisio.transfer.jobs import Action, Copy, Outcome
from aisio.transfer.local_folder import LocalFolder, behind_link_error
from aisio.transfer.local_names import check_local_names, unusable_name
from aisio.transfer.options import TransferOptions
from aisio.transfer.trees import Entry
from aisio.urls import FILE, ObjectUrl

__all__ = ["Plan", "make_plan", "split_blocking"]


@dataclass
class Plan:
    """What a transfer will do.

    Attributes:
        copies: What is copied.
        outcomes: What is decided already: what is skipped, and what cannot be copied.
        extra: What is at the destination and not in the source.
        unverified: How many are copied because no two checksums could be compared.
    """

    copies: list[Copy] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    extra: list[Entry] = field(default_factory=list)
    unverified: int = 0

    def skip(self, job: Copy) -> None:
        """Leave what is there as it is."""
        info = job.entry.info
        self.outcomes.append(Outcome(Action.SKIP, info.url, str(job.url), info.size_bytes or 0))


def make_plan(
    entries: Iterable[Entry],
    destination: Destination,
    options: TransferOptions,
    comparison: Comparison,
) -> Plan:
    """Decide what becomes of each object or file.

    Args:
        entries: The source's, those that are filtered out excepted.
        destination: Where they go.
        options: What is at the destination already, and which names are looked at there.
        comparison: Compares source and destination.

    Raises:
        ConfigError: Two copies would have one name, a copy would replace a source, or a name cannot
            be a local file.
    """
    plan = Plan()
    places = _Places(resolve=destination.folder is not None)
    wanted = _wanted(entries, destination, places, plan)
    if destination.folder is not None and destination.is_folder:
        names = ((name, job.entry.info.url) for name, job in wanted.items())
        check_local_names(names, destination.folder.path)
    if options.existing == "replace":
        plan.copies.extend(wanted.values())
    else:
        taken = options.name_patterns
        there = [entry for entry in destination.entries() if taken.takes(entry.name)]
        if options.existing == "keep":
            _keep(wanted, there, plan)
        else:
            for difference in compare((job.entry for job in wanted.values()), there, comparison):
                _add(difference, wanted, plan)
    _check_sources_stay(plan.copies, places)
    if options.delete and destination.folder is not None:
        _leave_what_is_behind_links(plan, destination.folder)
    return plan


class _Places:
    """Names objects and files so that one file has one name.

    Args:
        resolve: Follow the links that lead to the folders of files.
    """

    def __init__(self, *, resolve: bool) -> None:
        self._resolve = resolve
        self._folders: dict[str, str] = {}

    def of(self, item: ObjectInfo | ObjectUrl) -> str:
        """Return the name of an object or file."""
        if not self._resolve or item.root != f"{FILE}://":
            return f"{item.root}/{item.name}"
        folder, _, name = item.name.rpartition("/")
        if (real := self._folders.get(folder)) is None:
            real = self._folders[folder] = os.path.realpath(f"/{folder}")
        return f"{real}/{name}"


def _check_sources_stay(copies: Iterable[Copy], places: _Places) -> None:
    """Check that no copy replaces what is to be copied, perhaps later.

    Raises:
        ConfigError: One would.
    """
    sources = {places.of(job.entry.info) for job in copies}
    for job in copies:
        if places.of(job.url) in sources:
            raise ConfigError(
                f"{job.entry.info.url} would be copied to {job.url}, which is a source itself: "
                f"nothing was copied; copy to a folder apart from the sources"
            )


def _leave_what_is_behind_links(plan: Plan, folder: LocalFolder) -> None:
    """Make failures of the files that would be deleted through a link to a folder."""
    extra, plan.extra = plan.extra, []
    for entry in extra:
        if not folder.is_behind_link(entry.name):
            plan.extra.append(entry)
            continue
        error = behind_link_error("delete", folder.path / entry.name)
        plan.outcomes.append(Outcome(Action.DELETE, "", entry.info.url, error=error))


def _wanted(
    entries: Iterable[Entry], destination: Destination, places: _Places, plan: Plan
) -> dict[str, Copy]:
    """Return the copies by their names; those that the destination refuses are failures."""
    wanted: dict[str, Copy] = {}
    for entry in entries:
        # The only copy to a name of its own is compared with what has that name.
        named = entry if destination.is_folder else Entry("", entry.info, entry.source)
        try:
            job = destination.job(named)
        except UrlError as error:
            if destination.folder is not None:
                raise unusable_name(entry.name, entry.info.url) from error
            url = f"{destination.url}{entry.name}"
            plan.outcomes.append(Outcome(Action.COPY, entry.info.url, url, error=error))
            continue
        source = entry.info.url
        if places.of(entry.info) == places.of(job.url):
            raise ConfigError(f"{source}: source and destination are the same")
        other = wanted.setdefault(named.name, job).entry.info.url
        if other != source:
            raise ConfigError(
                f"{other} and {source} would both be copied to {job.path or job.url}: nothing was "
                f"copied"
            )
    return wanted


def _keep(wanted: Mapping[str, Copy], there: Iterable[Entry], plan: Plan) -> None:
    present = {entry.name for entry in there}
    for name, job in wanted.items():
        if name in present:
            plan.skip(job)
        else:
            plan.copies.append(job)


def _add(difference: Difference, wanted: Mapping[str, Copy], plan: Plan) -> None:
    kind, job = difference.kind, wanted.get(difference.name)
    if job is None:
        if difference.destination is not None:
            plan.extra.append(difference.destination)
    elif difference.error is not None:
        source, error = job.entry.info.url, difference.error
        plan.outcomes.append(Outcome(Action.COPY, source, str(job.url), error=error))
    elif kind is DifferenceKind.SAME:
        plan.skip(job)
    else:
        plan.copies.append(job)
        plan.unverified += kind is DifferenceKind.UNVERIFIED


def split_blocking(extra: Iterable[Entry], names: Iterable[str]) -> tuple[list[Entry], list[Entry]]:
    """Return what stands in the way of names, as a file where a folder must be, and what does not.

    Args:
        extra: What the source does not have.
        names: The names of the copies.
    """
    wanted = set(names)
    folders = {name[:end] for name in wanted for end in _slashes(name)}
    blocking: list[Entry] = []
    others: list[Entry] = []
    for entry in extra:
        is_below = any(entry.name[:end] in wanted for end in _slashes(entry.name))
        (blocking if is_below or entry.name in folders else others).append(entry)
    return blocking, others


def _slashes(name: str) -> Iterator[int]:
    return (index for index, character in enumerate(name) if character == "/")
