"""Algorithm, Dataset, Model and File."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from aisio.tasks.errors import ResourceError
from aisio.tasks.objects.base import TaskObject
from aisio.tasks.objects.chunks import (
    CHUNK_BYTES,
    FileChunks,
    ResourceDownloader,
    ResourceUploader,
    SyncResourceDownloader,
    SyncResourceUploader,
)
from aisio.tasks.service.rows import ResourceRow
from aisio.tasks.service.service import TaskService, current_service

__all__ = ["Algorithm", "Dataset", "File", "Model", "Resource"]

R = TypeVar("R", bound="Resource")


class Resource(TaskObject):
    """What tasks use.

    The constructors have the arguments of anylearn 0.15.5, which are more than eight: programs pass
    them by name.

    Args:
        id: Its id; None for one that `save` makes.
        name: Its name.
        description: In words.
        public: Whether others may read it.
        filename: Of the file that is uploaded.
        load_detail: Load the rest from the registry.
    """

    kind: ClassVar[str]
    _saved: ClassVar[tuple[str, ...]] = ("name", "description", "public", "filename")

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
        description: str | None = None,
        public: bool = False,
        filename: str | None = None,
        *,
        load_detail: bool = False,
    ) -> None:
        self.id = id
        self.name = name
        self.description = description
        self.public = public
        self.filename = filename
        self.state: int | None = None
        self.message = ""
        self.size: int | None = None
        self.checksum: str | None = None
        self.upload_time: str | None = None
        self.creator_id: str | None = None
        if load_detail:
            self.get_detail()

    @classmethod
    def of_row(cls: type[R], row: ResourceRow, service: TaskService) -> R:
        """Return the object of a row."""
        return cls._of(service, asdict(row))

    @classmethod
    def get_list(cls: type[R]) -> list[R]:
        """Return all that the user may read, oldest first."""
        service = current_service()
        return [cls.of_row(row, service) for row in service.resources.find(cls.kind)]

    def get_detail(self) -> None:
        """Load all attributes from the registry.

        Raises:
            NotFoundError: It has no such object.
        """
        self._require("id")
        self._load(asdict(self.service.resources.get(str(self.id), self.kind)))

    def save(self) -> bool:
        """Make the object in the registry if it has no id, else update it there."""
        self._require("name")
        values = {name: getattr(self, name) for name in self._saved}
        values["description"] = values["description"] or ""
        if self.id is None:
            row = self._create(values)
        else:
            row = self.service.resources.update(self.id, **values)
        self._load(asdict(row))
        return True

    def _create(self, values: Mapping[str, Any]) -> ResourceRow:
        return self.service.resources.create(self.kind, **values)

    def delete(self, force: bool = False) -> bool:
        """Delete the object, and what the store has of it.

        Args:
            force: Also if tasks that have not finished use it.

        Raises:
            InvalidArguments: They do, and `force` is false.
        """
        self._require("id")
        if not force:
            self.service.check_unused(str(self.id))
        self._delete()
        return True

    def _delete(self) -> None:
        self.service.resources.delete(str(self.id))

    def upload(
        self,
        local_file_path: str | Path,
        uploader: ResourceUploader | None = None,
        chunk_size: int = CHUNK_BYTES,
    ) -> bool:
        """Upload the file of this resource; see `upload_file`."""
        self._require("id")
        upload_file(self.service, str(self.id), local_file_path, uploader, chunk_size)
        self.get_detail()
        return True

    @staticmethod
    def upload_file(
        resource_id: str,
        file_path: str | Path,
        uploader: ResourceUploader | None = None,
        chunk_size: int = CHUNK_BYTES,
    ) -> bool:
        """Upload the file of a resource in chunks; it is READY then.

        Raises:
            ConfigError: There is no such file, or it is empty.
            ResourceError: The uploader has failed, or left out a chunk.
        """
        upload_file(current_service(), resource_id, file_path, uploader, chunk_size)
        return True

    @staticmethod
    def list_dir(resource_id: str) -> list[str]:
        """Return the names of the files of a resource, sorted."""
        return [file.name for file in current_service().resources.tree(resource_id).files]

    @staticmethod
    def download_file(
        resource_id: str,
        save_path: str | Path,
        polling: float = 5,
        downloader: ResourceDownloader | None = None,
    ) -> str:
        """Write a resource into an existing folder, as one file; return that file's path."""
        return (downloader or SyncResourceDownloader()).run(resource_id, save_path, polling)


def upload_file(
    service: TaskService,
    resource_id: str,
    path: str | Path,
    uploader: ResourceUploader | None = None,
    chunk_size: int = CHUNK_BYTES,
) -> ResourceRow:
    """Upload the file of a resource in chunks; see `Resource.upload_file`."""
    uploader = uploader or SyncResourceUploader()
    uploader.service = uploader.service or service
    row = service.resources.get(resource_id)
    service.resources.begin_chunks(resource_id)
    try:
        chunks = FileChunks(path, chunk_size)
        if uploader.run(resource_id, chunks) is False:
            raise ResourceError(f"the uploader of {row.kind} {resource_id} reported a failure")
    except BaseException as error:
        service.resources.fail(row, f"{type(error).__name__}: {error}")
        raise
    return service.resources.finish_chunks(resource_id, len(chunks))


class Dataset(Resource):
    """A data set; see `Resource` for its arguments."""

    kind = "dataset"


class File(Resource):
    """A file, such as the results of a task; see `Resource` for its arguments."""

    kind = "file"


class Model(Resource):
    """A model.

    Args:
        algorithm_id: The algorithm that it is for.
        options: Arguments of `Resource`.
    """

    kind = "model"
    _saved = (*Resource._saved, "algorithm_id")

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
        *,
        algorithm_id: str | None = None,
        **options: Any,
    ) -> None:
        self.algorithm_id = algorithm_id
        super().__init__(id, name, **options)


class Algorithm(Resource):
    """Code in versions.

    Args:
        mirror_id: The environment that it runs in.
        tags: Joined by ",".
        train_params: JSON that describes its parameters.
        options: Arguments of `Resource`.
    """

    kind = "algorithm"
    _saved = (*Resource._saved, "mirror_id", "tags", "train_params")

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
        *,
        mirror_id: str | None = None,
        tags: str = "",
        train_params: str | None = None,
        **options: Any,
    ) -> None:
        self.mirror_id = mirror_id
        self.tags = tags
        self.train_params = train_params
        self.git_address: str | None = None
        super().__init__(id, name, **options)

    @staticmethod
    def get_user_custom_algorithm_by_name(name: str) -> Algorithm | None:
        """Return the user's own algorithm of a name."""
        service = current_service()
        row = service.algorithms.by_name(name)
        return None if row is None else Algorithm.of_row(row, service)

    def versions(self) -> list[str]:
        """Return the versions of the code, oldest first: commits, or ids of archives."""
        self._require("id")
        rows = self.service.algorithms.versions(str(self.id))
        return [row.commit_id or row.id for row in rows]

    def sync_finish(self, checkout_sha: str | None = None) -> None:
        """Record a commit that was pushed to the repository as the newest version.

        Raises:
            NotFoundError: The repository does not have it.
        """
        self._require("id")
        if checkout_sha:
            self.service.algorithms.add_commit(str(self.id), checkout_sha)
        self.get_detail()

    def _create(self, values: Mapping[str, Any]) -> ResourceRow:
        self._require("mirror_id")
        return self.service.algorithms.create(**values)

    def _delete(self) -> None:
        self.service.algorithms.delete(str(self.id))
