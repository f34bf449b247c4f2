"""What a dataset does with objects that are gone since they were listed."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from aisio.errors import AccessError, ConfigError, NotFoundError
from aisio.records import ObjectInfo
from aisio.skipped import SkippedNames
from aisio.sources.base import Source, url_of
from aisio.stores import AisStore, Store
from aisio.stores.tar import TarStore
from aisio.training.split_options import Equalize
from aisio.urls import FILE, MEMORY, WEB_SCHEMES

__all__ = ["GoneObjects", "MissingObjects", "OnMissing", "require_no_equalize"]

OnMissing: TypeAlias = Literal["raise", "none", "skip"]
"""For an object that is gone since it was listed: raise NotFoundError; have None in its place; or
leave it out."""

GONE = "gone since they were listed"

_log = logging.getLogger("aisio.datasets")


class MissingObjects:
    """Tells objects that may be missing from what must be an error.

    Only an object that was listed and is gone may be missing, and never its bucket, its folder, the
    tar that it is in, or the ETL: without those nothing could be read, and an epoch would be empty
    without an error. Whether the place of the objects is still there is looked up for the first
    missing one, the second, the fourth, the eighth and so on.

    Args:
        on_missing: See `OnMissing`.
        owner: Name of the dataset's class.

    Attributes:
        on_missing: As given.

    Raises:
        ConfigError: It is none of these.
    """

    def __init__(self, on_missing: OnMissing, owner: str) -> None:
        if on_missing not in get_args(OnMissing):
            raise ConfigError(
                f'<{owner}> on_missing={on_missing!r}: "raise", "none" or "skip" is needed'
            )
        self.on_missing: OnMissing = on_missing
        self._misses_by_place: Counter[str] = Counter()

    def allows(self, source: Source, info: ObjectInfo, etl_name: str | None) -> bool:
        """Tell whether an object may be missing that a read has not found."""
        if self.on_missing == "raise":
            return False
        store = source.store_of(info)
        if source.effective_etl(etl_name) and _exists(store, info):
            return False  # it is the ETL that was not found
        place = f"{info.root} {source.base_url}"
        self._misses_by_place[place] += 1
        is_power_of_two = self._misses_by_place[place].bit_count() == 1
        return not is_power_of_two or _has_place(source, store, info)


class GoneObjects:
    """The objects that one epoch, or one batch, has skipped.

    Args:
        owner: Name of the dataset's class, for the log.

    Attributes:
        count: Number of them.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._names = SkippedNames()
        self.count = 0

    def add(self, name: str) -> None:
        """Count an object."""
        self._names.add(name, GONE)
        self.count += 1

    def log(self) -> None:
        """Log how many there are, and the first few, in one line; nothing if there are none."""
        if self._names:
            _log.warning("<%s> %s", self._owner, self._names)


def require_no_equalize(on_missing: OnMissing, equalize: Equalize) -> None:
    """Refuse to make ranks equal where only reading shows how many objects they have.

    Raises:
        ConfigError: Objects are skipped, and ranks are to be equal.
    """
    if on_missing == "skip" and equalize != "none":
        raise ConfigError(
            f"equalize={equalize!r} with on_missing='skip': a rank whose objects are gone would"
            " have fewer than the others: use on_missing='raise' or 'none'"
        )


def _exists(store: Store, info: ObjectInfo) -> bool:
    try:
        store.head(url_of(info))
    except NotFoundError:
        return False
    return True


def _has_place(source: Source, store: Store, info: ObjectInfo) -> bool:
    """Tell whether there still is what the object was in."""
    url = url_of(info)
    if isinstance(store, TarStore):
        return False  # files of a tar go only with the tar
    if isinstance(store, AisStore):
        return store.client.bucket(url.root).exists()
    if url.provider == FILE:
        folder = source.base_url.removeprefix("file://")
        return not folder or Path(folder).is_dir()
    if url.provider in (MEMORY, *WEB_SCHEMES):
        return True
    try:
        next(iter(store.list(url.with_name(""))), None)
    except NotFoundError:
        return False
    except AccessError:
        return True  # who may not list the bucket was told of it by somebody else
    return True
