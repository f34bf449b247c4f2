"""What `register` changes in Lhotse, and `unregister` puts back.

- `lhotse.ais.AISRangeReader` and `AISBatchLoader`, for all that import them later. Lhotse and NeMo
  import them when they make one.
- `lhotse.indexing.read_index`: indexes of object stores are read anew by each process. Lhotse keeps
  them for ever in the folder of temporary files, also when the object has been replaced. An index
  that lies beside its file is compared with its size.
- The IO backend in use: aisio opens the URLs of object stores. All others are opened as before.
- The pickles of what goes to a worker name this module. So a worker that is spawned registers too,
  before it opens a URL.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from aisio.config import is_set
from aisio.errors import NotFoundError
from aisio.extras import missing_extra
from aisio.integrations.lhotse.batch_loader import AISBatchLoader, GetBatchLoader
from aisio.integrations.lhotse.cut_data import is_read
from aisio.integrations.lhotse.object_files import open_object
from aisio.integrations.lhotse.offset_index import check_size, read_index
from aisio.integrations.lhotse.range_reader import AISRangeReader

try:
    import lhotse.ais.batch_loader
    import lhotse.ais.range_reader
    import numpy as np
    from lhotse import CutSet, indexing, serialization
    from lhotse.indexing import IndexedJsonlReader, IndexedTarReader
    from lhotse.shar import lazy_pointer
except ImportError as error:
    raise missing_extra("lhotse", "lhotse") from error

__all__ = ["AisioIOBackend", "is_registered", "register", "registered", "unregister"]


class AisioIOBackend(serialization.AIStoreIOBackend):  # type: ignore[misc]  # Lhotse has no types
    """Opens the URLs of object stores: see `aisio.integrations.lhotse.open_object`.

    ais:// always, and s3://, gs:// and the like where AIS_ENDPOINT names a cluster.
    """

    def open(self, identifier: Any, mode: str) -> IO[Any]:
        """Open an object by URL."""
        return open_object(str(identifier), mode)

    @classmethod
    def is_available(cls) -> bool:
        """Return True."""
        return True

    def handles_special_case(self, identifier: Any) -> bool:
        """Tell whether a URL is opened by aisio; no other backend is asked then."""
        is_ais = str(identifier).startswith("ais://")
        return is_ais or (is_read(identifier) and is_set("AIS_ENDPOINT"))

    def is_applicable(self, identifier: Any) -> bool:
        """Tell whether a URL is opened by aisio."""
        return self.handles_special_case(identifier)


_MODULES = {
    "AISRangeReader": (lhotse.ais, lhotse.ais.range_reader),
    "AISBatchLoader": (lhotse.ais, lhotse.ais.batch_loader),
    "read_index": (indexing,),
}


class _Registration:
    """What Lhotse had before.

    Attributes:
        get_batch: See `register`.
        names: What Lhotse itself has under the names that are changed.
        former: The IO backend that was in use; None if none had been chosen yet.
        backend: The one that took its place.
        pickled: The classes whose pickles name this module.
    """

    def __init__(self) -> None:
        from lhotse.dataset import AudioSamples

        self.get_batch = False
        self.names = {name: getattr(modules[0], name) for name, modules in _MODULES.items()}
        self.pickled = (CutSet, AudioSamples, IndexedJsonlReader, IndexedTarReader)
        self.former: Any = None
        self.backend: Any = None

    def set_backend(self) -> None:
        """Have aisio asked first, before the backend that is in use."""
        if self.backend is not None and serialization.CURRENT_IO_BACKEND is self.backend:
            return
        self.former = serialization.CURRENT_IO_BACKEND
        current = serialization.get_current_io_backend()
        others = getattr(current, "backends", [current])
        self.backend = serialization.CompositeIOBackend([AisioIOBackend(), *others])
        serialization.set_current_io_backend(self.backend)


_registration: _Registration | None = None


def is_registered() -> bool:
    """Tell whether Lhotse reads by aisio."""
    return _registration is not None


def register(worker_id: int | None = None, *, get_batch: bool | None = None) -> None:
    """Have Lhotse read by aisio; once is enough, unless another IO backend is chosen later.

    Args:
        worker_id: Not used: with it, this is a `worker_init_fn` of a DataLoader.
        get_batch: Have the batch loaders that Lhotse makes send get-batches; see `AISBatchLoader`.
            None leaves it as it is, at first False.
    """
    global _registration
    if _registration is None:
        _registration = _Registration()
        for kind in _registration.pickled:
            copyreg.pickle(kind, _reduce)
        lazy_pointer.close_all()
    _registration.set_backend()
    if get_batch is not None:
        _registration.get_batch = get_batch
    loader = GetBatchLoader if _registration.get_batch else AISBatchLoader
    _set_names(
        {"AISRangeReader": AISRangeReader, "AISBatchLoader": loader, "read_index": _read_index}
    )


def unregister() -> None:
    """Have Lhotse read as before; what was made meanwhile stays as it is."""
    global _registration
    if _registration is None:
        return
    former, _registration = _registration, None
    _set_names(former.names)
    if serialization.CURRENT_IO_BACKEND is former.backend:
        serialization.CURRENT_IO_BACKEND = former.former
        if former.former is None:  # Lhotse chooses it by what is set when it is first asked
            serialization.get_default_io_backend.cache_clear()
    for kind in former.pickled:
        copyreg.dispatch_table.pop(kind, None)
    lazy_pointer.close_all()


@contextmanager
def registered(*, get_batch: bool | None = None) -> Iterator[None]:
    """Have Lhotse read by aisio within a `with` block; see `register`."""
    before = _registration.get_batch if _registration else None
    register(get_batch=get_batch)
    try:
        yield
    finally:
        if before is None:
            unregister()
        else:
            register(get_batch=before)


def _set_names(values: dict[str, Any]) -> None:
    for name, value in values.items():
        for module in _MODULES[name]:
            setattr(module, name, value)


def _read_index(idx_path: Any) -> Any:
    """Return an index as an array of NumPy, as `lhotse.indexing.read_index` does."""
    if AisioIOBackend().handles_special_case(idx_path):
        return np.asarray(_read_remote_index(str(idx_path)), dtype="<u8")
    read = _registration.names["read_index"] if _registration else indexing.read_index
    return read(idx_path)


def _read_remote_index(url: str) -> Sequence[int]:
    offsets = read_index(url)
    if url.endswith(".idx"):
        with suppress(NotFoundError):  # the file is elsewhere
            check_size(offsets[-1], AISRangeReader(url.removesuffix(".idx")), url)
    return offsets


def _reduce(instance: Any) -> tuple[Any, ...]:
    """Pickle an object as it would be without aisio, but through a function of this module."""
    function, arguments, *rest = instance.__reduce_ex__(4)
    get_batch = _registration is not None and _registration.get_batch
    return _registered_call, (get_batch, function, arguments), *rest


def _registered_call(get_batch: bool, function: Any, arguments: tuple[Any, ...]) -> Any:
    if _registration is None:
        register(get_batch=get_batch)
    return function(*arguments)
