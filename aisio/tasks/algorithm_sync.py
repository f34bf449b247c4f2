"""sync_algorithm: the code of a directory becomes a version of an algorithm."""

from __future__ import annotations

import logging
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from aisio.errors import AisioError, ConfigError
from aisio.tasks.code import git_available, sync_code
from aisio.tasks.errors import (
    AnyLearnException,
    AnyLearnMissingParamException,
    ResourceError,
)
from aisio.tasks.objects.chunks import ResourceUploader
from aisio.tasks.objects.resources import Algorithm, upload_file
from aisio.tasks.records.ids import name_by_path
from aisio.tasks.records.locks import locked
from aisio.tasks.resources.archive import write_archive
from aisio.tasks.resources.scan import ScannedFile, scan_folder
from aisio.tasks.service.algorithms import check_algorithm_name
from aisio.tasks.service.rows import ResourceRow
from aisio.tasks.service.service import TaskService, current_service

__all__ = ["check_algorithm_dir", "sync_algorithm"]

_log = logging.getLogger("aisio.tasks")

REQUIREMENTS = "requirements.txt"


def sync_algorithm(
    id: str | None = None,
    name: str | None = None,
    dir_path: str | Path | None = None,
    mirror_name: str | None = "QUICKSTART",
    uploader: ResourceUploader | None = None,
    polling: float = 5,
    force: bool = False,
    commit_msg: str | None = None,
    *,
    git_ref: str | None = None,
    service: TaskService | None = None,
) -> tuple[Algorithm, str | None]:
    """Register an algorithm, and send the code of a directory as its newest version.

    The code goes by git, or as an archive where git is not installed or is disabled.

    Args:
        id: An algorithm that is registered already; no code is sent then.
        name: Its name; by default the directory's, and eight digits of its path's SHA-1.
        dir_path: The directory; it holds requirements.txt.
        mirror_name: The environment that it runs in.
        uploader: Uploads the archive in chunks, where the code goes as an archive.
        polling: Kept for programs that were written for anylearn.
        force: Commit what is not committed, and overwrite the repository's branch.
        commit_msg: Message of that commit.
        git_ref: Run this branch, tag or commit and not what is checked out.
        service: By default that of `init_sdk`.

    Returns:
        The algorithm, and the commit that is to run; None for one without git.

    Raises:
        AnyLearnMissingParamException: Neither `id` nor `dir_path` is given.
        ConfigError: The directory is none, has no requirements.txt, or the name is not valid.
        AnyLearnNotSupportedException: There is no such environment.
        RequiredLocalCommitError: Something is not committed, and `force` is false.
    """
    service = service or current_service()
    mirror = service.projects.mirror_by_name(mirror_name or "QUICKSTART")
    if id is not None:
        return _registered(service, id, mirror.id), None
    folder = check_algorithm_dir(dir_path)
    name = name or name_by_path(str(dir_path))
    check_algorithm_name(name)
    with locked(service.settings.home, f"algorithm {name}"):
        row = service.algorithms.by_name(name)
        if row is None:
            row = service.algorithms.create(name, mirror.id, description="SDK_QUICKSTART")
        elif row.mirror_id != mirror.id:
            row = service.resources.update(row.id, mirror_id=mirror.id)
        remote = service.algorithms.remote(row)
        if remote is not None and git_available() and not service.settings.disable_git:
            message = commit_msg or f"Anylearn auto-commit {datetime.now():%Y-%m-%d %H:%M:%S}"
            commit = sync_code(folder, remote, force=force, message=message, ref=git_ref)
            service.algorithms.add_commit(row.id, commit)
        else:
            commit = None
            _send_archive(service, row, folder, uploader)
    return Algorithm.of_row(service.resources.get_ready(row.id), service), commit


def check_algorithm_dir(dir_path: str | Path | None) -> Path:
    """Return the directory of an algorithm.

    Raises:
        AnyLearnMissingParamException: None is given.
        ConfigError: It does not exist, or has no requirements.txt.
    """
    if dir_path is None or not str(dir_path):
        raise AnyLearnMissingParamException(
            "give `algorithm_id`, or the directory of the code as `algorithm_dir`"
        )
    folder = Path(dir_path)
    if not folder.is_dir():
        raise ConfigError(f"Parameter `dir_path` must be an existing directory: {folder} is none")
    if not (folder / REQUIREMENTS).is_file():
        raise ConfigError(f"Missing 'requirements.txt' in algorithm directory {folder}")
    return folder


def _registered(service: TaskService, algorithm_id: str, mirror_id: str) -> Algorithm:
    row = service.resources.get(algorithm_id, "algorithm")
    if row.mirror_id != mirror_id:
        try:
            row = service.resources.update(algorithm_id, mirror_id=mirror_id)
        except AisioError as error:
            _log.warning("the environment of algorithm %s stays: %s", algorithm_id, error)
    return Algorithm.of_row(row, service)


def _send_archive(
    service: TaskService, row: ResourceRow, folder: Path, uploader: ResourceUploader | None
) -> None:
    """Send the files of a directory, without those of git.

    Raises:
        ResourceError: That failed; the cause is chained.
    """
    try:
        files = [file for file in scan_folder(folder, service.resources.cache) if not _is_git(file)]
        if uploader is None:
            service.resources.finish(row, service.resources.upload(files))
        else:
            _send_chunks(service, row, files, uploader)
    except (AnyLearnException, OSError, AisioError) as error:
        service.resources.fail(row, str(error))
        raise ResourceError(f"An error occured when uploading algorithm: {error}") from error


def _send_chunks(
    service: TaskService, row: ResourceRow, files: list[ScannedFile], uploader: ResourceUploader
) -> None:
    """Send an archive of files, which is deleted afterwards."""
    archives = service.settings.home / "archives"
    archives.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(dir=archives)
    try:
        archive = Path(scratch, f"{row.name}.zip")
        write_archive(files, archive)
        service.resources.update(row.id, filename=archive.name)
        upload_file(service, row.id, archive, uploader)
    finally:
        shutil.rmtree(scratch)


def _is_git(file: ScannedFile) -> bool:
    return ".git" in file.name.split("/")
