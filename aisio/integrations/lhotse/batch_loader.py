"""AISBatchLoader: all data of a batch of cuts, read at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aisio.client.client import Client
from aisio.client.shared_clients import default_client
from aisio.errors import AisioError, ShardError, StorageError
from aisio.escapes import one_line
from aisio.extras import missing_extra
from aisio.integrations.lhotse.cut_data import Slot, slots_of
from aisio.integrations.lhotse.pieces import PieceReader, Result

try:
    from lhotse import CutSet
    from lhotse.ais.batch_loader import AISBatchLoaderError
except ImportError as error:
    raise missing_extra("lhotse", "lhotse") from error

__all__ = ["AISBatchLoader", "AISBatchLoaderError", "GetBatchLoader"]

_log = logging.getLogger("aisio.lhotse")


class AISBatchLoader:
    """Reads what the cuts of a batch refer to in object stores: `lhotse.ais.AISBatchLoader`.

    It sends GETs, several in flight, and one for ranges of a tar that are near. Whole objects are
    verified by their checksums, ranges by their lengths and the headers in them. It pickles.

    Args:
        force_individual: Send no get-batch, whatever `get_batch` says.
        skip_failed_fetches: Drop cuts whose data is missing or damaged, with a warning.
        get_batch: Ask a cluster for all of a batch by one request. Its response has no checksums.
            What it lacks, or has wrong, is asked for again by GETs.
        client: The cluster; by default the one that AIS_ENDPOINT names.

    Attributes:
        force_individual: As above.
        skip_failed_fetches: As above.
        get_batch: As above.
    """

    def __init__(
        self,
        force_individual: bool = False,
        skip_failed_fetches: bool = False,
        *,
        get_batch: bool = False,
        client: Client | None = None,
    ) -> None:
        self.force_individual = force_individual
        self.skip_failed_fetches = skip_failed_fetches
        self.get_batch = get_batch
        self._reader = PieceReader(client)

    @property
    def client(self) -> Client:
        """The cluster.

        Raises:
            ConfigError: None was given, and AIS_ENDPOINT is not set.
        """
        return self._reader.client or default_client()

    def __call__(self, cuts: CutSet) -> CutSet:
        """Read the data of cuts into their manifests.

        All is read before the first manifest is changed.

        Args:
            cuts: One batch; not a lazy one.

        Returns:
            The same cuts; with `skip_failed_fetches` possibly fewer, in a new CutSet.

        Raises:
            ValueError: The cuts are lazy.
            AISBatchLoaderError: A URL or storage type is not valid, or something cannot be read.
                With `skip_failed_fetches`: there is no such bucket, or the cluster refuses access
                or cannot be reached.
            ConfigError: No cluster or store is known for a URL.
        """
        if cuts.is_lazy:
            raise ValueError("AISBatchLoader reads one batch: pass cuts.to_eager(), not lazy cuts")
        slots = slots_of(cuts)
        if not slots:
            return cuts
        failed: dict[int, AisioError] = {}
        for slot, result in zip(slots, self._read(slots), strict=True):
            try:
                if not isinstance(result, bytes):
                    raise result
                slot.fill(result)
            except (StorageError, ShardError) as error:
                if not self.skip_failed_fetches:
                    raise AISBatchLoaderError(str(error)) from error
                failed.setdefault(slot.cut_index, error)
        return _without(cuts, failed) if failed else cuts

    def _read(self, slots: list[Slot]) -> list[Result]:
        try:
            return self._reader.read(
                [slot.piece for slot in slots],
                by_batch=self.get_batch and not self.force_individual,
                keeps_errors=self.skip_failed_fetches,
            )
        except (StorageError, ShardError) as error:
            raise AISBatchLoaderError(str(error)) from error


class GetBatchLoader(AISBatchLoader):
    """An AISBatchLoader that sends get-batches, as `register(get_batch=True)` has Lhotse make."""

    def __init__(
        self, force_individual: bool = False, skip_failed_fetches: bool = False, **options: Any
    ) -> None:
        super().__init__(force_individual, skip_failed_fetches, **{"get_batch": True} | options)


def _without(cuts: CutSet, failed: Mapping[int, AisioError]) -> CutSet:
    """Return the cuts that could be read, and log why the others are left out."""
    for index, cut in enumerate(cuts):
        if index in failed:
            reason = one_line(str(failed[index]))
            _log.warning("cut %s is left out of its batch: %s", one_line(cut.id), reason)
    return CutSet([cut for index, cut in enumerate(cuts) if index not in failed])
