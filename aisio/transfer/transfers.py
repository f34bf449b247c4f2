"""copy, move and sync: many objects and files, from any store to any other.

First the sources and the destination are listed, names are checked, and what is unchanged is left
out. Only then is anything changed. Copies run several at once. One that fails does not stop the
others, unless the caller wants that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

from aisio.client.client import Bucket, Client
from aisio.errors import AisioError, ConfigError, NotFoundError, StorageError
from aisio.sources.base import Source, url_of
from aisio.sources.nothing_found import no_name_begins_so
from aisio.stores import AisStore, store_for
from aisio.summary import counted
from aisio.transfer.comparison import Comparison
from aisio.transfer.copying import Copier, are_one_cluster
from aisio.transfer.destination import Destination
from aisio.transfer.jobs import Action, Copy, Outcome
from aisio.transfer.local_checksums import LocalChecksums
from aisio.transfer.local_folder import LocalFolder, behind_link_error
from aisio.transfer.options import OnOutcome, Progress, Report, TransferOptions
from aisio.transfer.planning import Plan, make_plan, split_blocking
from aisio.transfer.trees import Entry, Tree, open_tree, tree_of_source
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.urls import FILE, ObjectUrl

__all__ = ["Transfer", "copy", "move", "sync"]

_log = logging.getLogger(__name__)

_JOB_FROM_OBJECTS = 500
"""Fewer objects are copied by a request each, which takes less time than a job of the cluster."""

_STREAMED_BYTES = 16 << 20
"""What a copy of a large object counts for among the bytes in flight: it passes in pieces."""


def copy(
    sources: str | Iterable[str],
    destination: str,
    options: TransferOptions | None = None,
    *,
    client: Client | None = None,
    on_outcome: OnOutcome | None = None,
) -> Report:
    """Copy objects or files.

    Args:
        sources: URLs of objects, files, patterns, or with `recursive` folders and buckets.
        destination: URL of a folder or bucket; for a single source also that of the copy.
        options: What is copied, and how.
        client: The cluster; by default the one that the environment names.
        on_outcome: Called with each outcome. Then a failure does not end the transfer.

    Returns:
        How many were copied, skipped and failed.

    Raises:
        AisioError: A source has no object; names that cannot be; or, without `on_outcome`, the
            first failure.
        OSError: Without `on_outcome`: a file cannot be read or written.
    """
    return _start(sources, destination, options, client, on_outcome, Action.COPY)


def move(
    sources: str | Iterable[str],
    destination: str,
    options: TransferOptions | None = None,
    *,
    client: Client | None = None,
    on_outcome: OnOutcome | None = None,
) -> Report:
    """Copy objects or files, and delete each source once its copy is verified; see `copy`."""
    return _start(sources, destination, options, client, on_outcome, Action.MOVE)


def sync(
    source: str,
    destination: str,
    options: TransferOptions | None = None,
    *,
    client: Client | None = None,
    on_outcome: OnOutcome | None = None,
) -> Report:
    """Make a folder or bucket like another one: copy what is new, or differs in size or checksum.

    With `delete`, what the source does not have is deleted at the destination, once all copies have
    succeeded. The other arguments are those of `copy`.

    Raises:
        NotFoundError: The source has nothing, and there is no `allow_empty`.
    """
    options = replace(options or TransferOptions(), recursive=True, existing="compare")
    return _start([source], destination, options, client, on_outcome, Action.COPY)


def _start(
    sources: str | Iterable[str],
    destination: str,
    options: TransferOptions | None,
    client: Client | None,
    on_outcome: OnOutcome | None,
    action: Action,
) -> Report:
    texts = [sources] if isinstance(sources, str) else list(sources)
    transfer = Transfer(
        options or TransferOptions(),
        client=client,
        action=action,
        on_outcome=on_outcome or _raise_error,
    )
    for text in texts:
        transfer.add_source(ObjectUrl.parse(text))
    return transfer.run(ObjectUrl.parse(destination))


def _raise_error(outcome: Outcome) -> None:
    if outcome.error is not None:
        raise outcome.error


class Transfer:
    """One transfer, from the listing of its sources to its report.

    Args:
        options: What is copied, and how.
        client: The cluster; by default the one that the environment names.
        action: COPY or MOVE.
        on_outcome: Called with each outcome.
        progress: Is told how far the transfer is.
        checksums: Those of local files; by default what the cache folder remembers.
    """

    def __init__(
        self,
        options: TransferOptions,
        *,
        client: Client | None = None,
        action: Action = Action.COPY,
        on_outcome: OnOutcome = _raise_error,
        progress: Progress | None = None,
        checksums: LocalChecksums | None = None,
    ) -> None:
        self._options = options
        self._client = client
        self._action = action
        self._on_outcome = on_outcome
        self._progress = progress
        self._comparison = Comparison(checksums, size_only=options.size_only)
        self._trees: list[Tree] = []
        self._failures: list[Outcome] = []
        self._folders: dict[str, LocalFolder] = {}
        self._report = Report()

    def add_source(self, url: ObjectUrl) -> None:
        """Add an object, a pattern, or with `recursive` a folder or bucket.

        Raises:
            UrlError: It names no object, and is not read recursively.
            NotFoundError: It is a local file that does not exist.
        """
        tree = open_tree(
            store_for(url, self._client),
            url,
            recursive=self._options.recursive,
            as_prefix=self._options.as_prefix,
            on_error=self._add_broken_link,
        )
        self._trees.append(tree)

    def add_named_source(self, source: Source, about: str) -> None:
        """Add a source, such as one of a catalog."""
        self._trees.append(tree_of_source(source, about))

    @property
    def is_single(self) -> bool:
        """Whether the only source names one object or file."""
        return len(self._trees) == 1 and self._trees[0].is_single

    def _add_broken_link(self, name: str, error: StorageError) -> None:
        url = f"{FILE}:///{name}"
        self._failures.append(Outcome(self._action, url, "", error=error))

    def run(self, destination: ObjectUrl, *, path: Path | None = None) -> Report:
        """Copy, move and delete what the options say.

        Args:
            destination: A folder or bucket; for a single source also the URL of its copy.
            path: A local destination as the user wrote it, for errors.

        Raises:
            AisioError: Nothing was changed, because of a name, a missing source or bucket.
            Exception: Whatever `on_outcome` raises.
        """
        options = self._options
        place = Destination.of(destination, self._client, is_folder=not self.is_single, path=path)
        for tree in self._trees:
            place.check_apart_from(tree, delete=options.delete)
        self._check_deletion()
        self._load_checksums(place)
        entries = list(self._entries())
        if not options.dry_run:
            place.prepare(create_bucket=options.create_bucket)
        plan = make_plan(entries, place, options, self._comparison)
        blocking, extra = split_blocking(plan.extra, (entry.name for entry in entries))
        self._report.unverified = plan.unverified
        self._tell(chain(self._failures, plan.outcomes))
        if options.delete and not self._report.failed:
            self._delete(blocking, place)
        self._copy(plan, place)
        if options.delete and not self._report.failed:
            self._delete(extra, place)
        return self._report

    def _check_deletion(self) -> None:
        if self._options.delete and any(tree.folder is None for tree in self._trees):
            raise ConfigError(
                f"{self._trees[0].about} is no folder: what it does not select would be deleted "
                f"at the destination; name the folder, and leave names out with --exclude"
            )

    def _load_checksums(self, place: Destination) -> None:
        if self._options.existing != "compare" or self._options.size_only:
            return
        folders = [tree.folder for tree in self._trees if tree.folder is not None]
        for url in (place.url, *folders):
            if url.provider == FILE:
                self._comparison.checksums.load(url.name)

    def _entries(self) -> Iterator[Entry]:
        """List the sources whole.

        Raises:
            NotFoundError: One of them has nothing.
        """
        names = self._options.name_patterns
        for tree in self._trees:
            found = taken = 0
            for entry in tree.entries:
                found += 1
                if names.takes(entry.name):
                    taken += 1
                    if not self._must_stay(entry):
                        yield entry
            if found and not taken:
                _log.warning("%s: %s, of %s", tree.about, names.why_empty, counted(found, "name"))
            if not (found or self._failures or self._options.allow_empty):
                raise _nothing_there(tree)

    def _must_stay(self, entry: Entry) -> bool:
        """Tell whether a file may not be moved; it is a failure then."""
        folder = self._local_folder_of(entry) if self._action is Action.MOVE else None
        if folder is None or not folder.is_behind_link(entry.name):
            return False
        error = behind_link_error("move", folder.path / entry.name)
        self._failures.append(Outcome(self._action, entry.info.url, "", error=error))
        return True

    def _local_folder_of(self, entry: Entry) -> LocalFolder | None:
        """Return the folder that a file was found below, if it is in a folder of it."""
        if entry.info.root != f"{FILE}://" or "/" not in entry.name:
            return None
        path = f"/{entry.info.name.removesuffix(entry.name)}"
        if path not in self._folders:
            self._folders[path] = LocalFolder(Path(path))
        return self._folders[path]

    def _tell(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._report.add(outcome)
            self._on_outcome(outcome)

    def _copy(self, plan: Plan, place: Destination) -> None:
        if self._options.dry_run:
            self._tell(_planned(job, self._action) for job in plan.copies)
            return
        progress = self._progress
        if progress is not None:
            sizes = [job.entry.info.size_bytes for job in plan.copies]
            known = [size for size in sizes if size is not None]
            progress.begin(len(sizes), sum(known) if len(known) == len(sizes) else None)
        count: Callable[[int], object] = progress.add if progress is not None else _ignore
        if self._copy_by_job(plan, place):
            count(self._report.size_bytes)
            return
        copier = Copier(place.store, place.folder, action=self._action, count=count)
        results = fetch_in_order(
            plan.copies,
            copier.copy,
            send_ahead=copier.send_ahead,
            size_of=_bytes_in_flight,
            result_bytes=lambda outcome: outcome.size_bytes,
        )
        try:
            for job, outcome in zip(plan.copies, results, strict=True):
                self._tell([outcome])
                if progress is not None:
                    progress.finish_file()
                if self._action is Action.MOVE and outcome.error is None:
                    self._remove_empty_folders(job.entry)
        finally:
            copier.stop()
            results.close()  # type: ignore[attr-defined]

    def _copy_by_job(self, plan: Plan, place: Destination) -> bool:
        """Have the cluster copy a whole bucket or prefix; tell whether it did, with all verified.

        A job names none of the objects that it could not copy. They are found by copying each.
        """
        tree, options = self._trees[0], self._options
        is_whole = (
            len(plan.copies) >= _JOB_FROM_OBJECTS
            and (len(self._trees), self._action, options.existing) == (1, Action.COPY, "replace")
            and not (options.include or options.exclude or plan.outcomes)
        )
        folder = tree.folder
        if not is_whole or folder is None or not place.url.name.endswith(folder.name):
            return False
        store = plan.copies[0].entry.source.store_of(plan.copies[0].entry.info)
        if not (isinstance(store, AisStore) and are_one_cluster(store, place.store)):
            return False
        source = Bucket(store.client, folder.with_name(""))
        prepend = place.url.name.removesuffix(folder.name)
        try:
            source.copy(str(place.url.with_name("")), prefix=folder.name, prepend=prepend)
        except StorageError as error:
            _log.info("%s: copying object by object: %s", tree.about, error)
            return False
        self._tell(_planned(job, self._action) for job in plan.copies)
        return True

    def _remove_empty_folders(self, moved: Entry) -> None:
        """Remove the local folders that a file was the last one in; the source itself stays."""
        if (folder := self._local_folder_of(moved)) is not None:
            folder.remove_empty_parents(folder.path / moved.name)

    def _delete(self, entries: Sequence[Entry], place: Destination) -> None:
        if self._options.dry_run:
            self._tell(_deletion(entry) for entry in entries)
            return
        delete = partial(_delete_one, place)
        self._tell(fetch_in_order(entries, delete, result_bytes=lambda _: 0))


def _ignore(size_bytes: int) -> None:
    """Count nothing."""


def _nothing_there(tree: Tree) -> AisioError:
    url = tree.folder
    if url is not None and url.provider == FILE and Path("/", url.name).is_dir():
        return ConfigError(f"{Path('/', url.name)}: there are no files in this folder")
    if url is not None and not url.name:
        return NotFoundError(f"{tree.about}: the bucket is empty", url=tree.about)
    return no_name_begins_so(tree.about)


def _bytes_in_flight(job: Copy) -> int | None:
    size = job.entry.info.size_bytes
    return None if size is None else min(size, _STREAMED_BYTES)


def _planned(job: Copy, action: Action) -> Outcome:
    return Outcome(action, job.entry.info.url, str(job.url), job.entry.info.size_bytes or 0)


def _deletion(entry: Entry, error: AisioError | OSError | None = None) -> Outcome:
    return Outcome(Action.DELETE, "", entry.info.url, entry.info.size_bytes or 0, error)


def _delete_one(place: Destination, entry: Entry) -> Outcome:
    try:
        place.store.delete(url_of(entry.info), missing_ok=True)
    except (AisioError, OSError) as error:
        return _deletion(entry, error)
    if place.folder is not None:
        place.folder.remove_empty_parents(place.folder.path / entry.name)
    return _deletion(entry)
