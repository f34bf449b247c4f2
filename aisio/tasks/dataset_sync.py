"""A local data set, uploaded if the service does not have it in this state."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aisio.errors import AccessError, AisioError, ConfigError, IntegrityError, NotFoundError
from aisio.tasks.errors import ResourceError
from aisio.tasks.objects.chunks import ResourceUploader
from aisio.tasks.objects.resources import upload_file
from aisio.tasks.records.ids import name_by_path
from aisio.tasks.records.local import LocalRecords
from aisio.tasks.records.locks import locked
from aisio.tasks.resources.archive import archive_checksum, write_archive
from aisio.tasks.resources.scan import ScannedFile, scan_file, scan_folder
from aisio.tasks.resources.stat_cache import stat_key
from aisio.tasks.resources.tree import Tree
from aisio.tasks.resources.upload import OnProgress, known_tree
from aisio.tasks.service.resources import Uploaded
from aisio.tasks.service.rows import ResourceRow
from aisio.tasks.service.service import TaskService
from aisio.tasks.states import ResourceState

__all__ = ["LocalData", "find_local_data", "sync_dataset"]

_log = logging.getLogger("aisio.tasks")

_QUICKSTART = {"description": "SDK_QUICKSTART"}


@dataclass(frozen=True)
class LocalData:
    """A data set on this machine.

    Attributes:
        name: Its name, made of its path.
        folder: The folder; None for an archive.
        archive: The archive; None for a folder.
    """

    name: str
    folder: Path | None
    archive: Path | None

    def scan(self, service: TaskService) -> list[ScannedFile]:
        """Return its files, or the archive."""
        if self.folder is not None:
            return scan_folder(self.folder, service.resources.cache)
        assert self.archive is not None
        return [scan_file(self.archive, service.resources.cache)]

    @property
    def place(self) -> Path:
        """The folder that has its files, or the archive, by their names."""
        if self.folder is not None:
            return self.folder.absolute()
        assert self.archive is not None
        return self.archive.absolute().parent

    @property
    def kind(self) -> str:
        """The kind of its tree."""
        return "file" if self.folder is None else "folder"


def find_local_data(folder: str | Path | None, archive: str | Path | None) -> LocalData | None:
    """Return the data set that is given; None if there is none.

    An archive that exists is used as it is; else the folder is.

    Raises:
        ConfigError: What is given does not exist.
    """
    if folder is None and archive is None:
        return None
    if archive is not None and Path(archive).is_file():
        return LocalData(name_by_path(archive if folder is None else folder), None, Path(archive))
    if folder is None:
        raise ConfigError(f"dataset_archive {archive} is not an existing file")
    if not Path(folder).is_dir():
        raise ConfigError(f"dataset_dir {folder} is not an existing directory")
    return LocalData(name_by_path(folder), Path(folder), None)


def sync_dataset(
    service: TaskService,
    data: LocalData,
    uploader: ResourceUploader | None = None,
    on_progress: OnProgress | None = None,
) -> ResourceRow:
    """Return the data set that the service has in this state; upload it if there is none.

    Of several processes with one data set, one uploads it, and the others wait for that.

    Args:
        service: The service.
        data: The data set.
        uploader: Uploads an archive in chunks, instead of the files that the store lacks.
        on_progress: Reports progress of the upload without an uploader.

    Raises:
        ResourceError: The upload failed; the cause is chained.
        StorageError: The service or the store does not answer.
    """
    with locked(service.settings.home, f"dataset {data.name}"):
        return _sync(service, data, uploader, on_progress)


def _sync(
    service: TaskService,
    data: LocalData,
    uploader: ResourceUploader | None,
    on_progress: OnProgress | None,
) -> ResourceRow:
    records = LocalRecords(service.settings.home)
    files = data.scan(service)
    if uploader is not None:
        return _sync_by_chunks(service, records, data, files, uploader)
    tree = known_tree(files, data.kind)
    if tree is not None:
        row = _reusable(service, records, _checksum(service, data, files, tree))
        if row is not None:
            return row
    # One pass reads, hashes and sends what the store lacks: a checksum is known at its end.
    uploaded = _upload(service, data, files, on_progress)
    checksum = _checksum(service, data, files, uploaded.tree)
    row = _reusable(service, records, checksum)
    if row is None:
        filename = f"{data.name}.zip" if data.archive is None else data.archive.name
        row = service.resources.create("dataset", data.name, **_QUICKSTART, filename=filename)
        row = service.resources.finish(row, uploaded, checksum)
        records.add_dataset(row.id, checksum)
    return row


def _sync_by_chunks(
    service: TaskService,
    records: LocalRecords,
    data: LocalData,
    files: Sequence[ScannedFile],
    uploader: ResourceUploader,
) -> ResourceRow:
    """Upload a data set as one archive, by an uploader; that of a folder stays in the home folder.

    Raises:
        ResourceError: The upload failed; the cause is chained.
    """
    archive = data.archive
    if archive is None:
        archive = service.settings.home / f"{data.name}.zip"
        write_archive(files, archive)
    checksum = archive_checksum(archive)
    row = _reusable(service, records, checksum)
    if row is not None:
        return row
    row = service.resources.create("dataset", data.name, **_QUICKSTART, filename=archive.name)
    try:
        row = upload_file(service, row.id, archive, uploader)
    except Exception as error:
        raise ResourceError(f"Error occured when uploading dataset {data.name}: {error}") from error
    records.add_dataset(row.id, checksum)
    return row


def _reusable(service: TaskService, records: LocalRecords, checksum: str) -> ResourceRow | None:
    """Return the data set of a checksum, if the service still has it; else forget it.

    Raises:
        StorageError: That cannot be found out: nothing is forgotten.
    """
    dataset_id = records.find_dataset(checksum)
    if dataset_id is None:
        return _unrecorded(service, records, checksum)
    try:
        row = service.resources.get(dataset_id, "dataset")
        if row.state == ResourceState.READY and service.resources.has_data(row):
            return row
    except AccessError:  # of another user of this home folder
        return _unrecorded(service, records, checksum)
    except NotFoundError:
        pass
    _log.warning(
        "Local dataset (%s) has been deleted remotely, forced to re-registering dataset.",
        dataset_id,
    )
    records.delete_dataset(dataset_id)
    return None


def _unrecorded(service: TaskService, records: LocalRecords, checksum: str) -> ResourceRow | None:
    """Return a data set of this checksum whose uploader was killed before it recorded that."""
    ready = {"state": int(ResourceState.READY), "creator_id": service.settings.user}
    for row in service.resources.find("dataset", checksum=checksum, **ready):
        if service.resources.has_data(row):
            records.add_dataset(row.id, checksum)
            return row
    return None


def _checksum(
    service: TaskService, data: LocalData, files: Sequence[ScannedFile], tree: Tree
) -> str:
    """Return the checksum of a data set: that of anylearn for an archive."""
    if data.archive is None:
        return tree.checksum()
    (file,) = files
    if file.known is not None and file.known[1] is not None:
        return file.known[1]
    started_ns = service.resources.cache.now_ns()
    checksum = archive_checksum(file.path)
    if stat_key(file.path.stat()) != stat_key(file.stat):
        raise IntegrityError(f"{file.path} changed while it was uploaded: run this again")
    entry = (str(file.path), file.stat, (tree.files[0].pieces, checksum))
    service.resources.cache.save([entry], read_since_ns=started_ns)
    return checksum


def _upload(
    service: TaskService,
    data: LocalData,
    files: Sequence[ScannedFile],
    on_progress: OnProgress | None,
) -> Uploaded:
    earlier = service.resources.find("dataset", name=data.name, state=int(ResourceState.READY))
    like = earlier[-1].id if earlier else None
    try:
        return service.resources.upload(files, kind=data.kind, like=like, on_progress=on_progress)
    except (AisioError, OSError) as error:
        raise ResourceError(f"Error occured when uploading dataset {data.name}: {error}") from error
