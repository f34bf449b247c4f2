"""Settings of tasks: an argument beats the environment, which beats the file in the home folder.

The home folder holds the records, and what is worked with on this machine:

    anylearn.db      what this user has started: the vendor's tables
    service.db       the registry: algorithms, datasets, projects, tasks ...
    files.db         which contents the files of this machine had when they were last read
    settings.yaml    settings; optional
    store/           objects, where no other store is configured
    code/            repositories of algorithms
    mounts/          resources as tasks see them
    tasks/           one folder a task: code, logs, state
"""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from aisio.config import absolute_folder, default_tasks_home, first_item
from aisio.errors import ConfigError, UrlError
from aisio.redaction import redacted
from aisio.urls import MEMORY, WEB_SCHEMES, ObjectUrl

SETTINGS_FILE = "settings.yaml"
_READABLE_BY_OTHERS = 0o077


@dataclass(frozen=True)
class TaskSettings:
    """Where tasks and what they need are kept, and as whom they are started.

    Attributes:
        home: Folder of the records.
        store_url: Where resources are kept: the URL of a bucket, prefix or folder.
        user: Name of the user: algorithms, projects and tasks belong to one.
        password: For `git_url`; never shown by `repr`, and never written.
        engine: What runs tasks: "local", "ray" or "slurm".
        git_url: Base URL of a git server: algorithm X is pushed to `<git_url>/X.git`. None: to
            repositories in the home folder.
        disable_git: Send the code of algorithms as archives.
    """

    home: Path
    store_url: str
    user: str
    password: str | None = field(default=None, repr=False)
    engine: str = "local"
    git_url: str | None = None
    disable_git: bool = False


class _File(msgspec.Struct, forbid_unknown_fields=True):
    store_url: str | None = None
    user: str | None = None
    password: str | None = None
    engine: str | None = None
    git_url: str | None = None
    disable_git: bool | None = None


def load_task_settings(
    store_url: str | None = None,
    *,
    home: str | Path | None = None,
    user: str | None = None,
    password: str | None = None,
    engine: str | None = None,
    git_url: str | None = None,
    disable_git: bool | None = None,
) -> TaskSettings:
    """Return settings from arguments, else the environment, else the file, else the defaults.

    Args:
        store_url: Without it AISIO_TASKS_STORE_URL, else the folder store/ in the home folder.
        home: Without it AISIO_TASKS_HOME, else tasks/ in the user's data folder for aisio.
        user: Without it AISIO_TASKS_USER, else the name of the user who runs this process.
        password: Without it AISIO_TASKS_PASSWORD.
        engine: Without it AISIO_TASKS_ENGINE, else "local".
        git_url: Without it AISIO_TASKS_GIT_URL.
        disable_git: Without it the file's, else False.

    Raises:
        ConfigError: A setting is not valid; the text says where it was set.
    """
    folder = home_folder(home)
    file = _read_file(folder / SETTINGS_FILE)

    def setting(name: str, argument: str | None) -> tuple[str | None, str]:
        """Return a setting, and where it was set."""
        variable = f"AISIO_TASKS_{name.upper()}"
        if argument is not None:
            return argument, f"the argument {name}"
        if item := first_item(variable):
            return item[1], variable
        return getattr(file, name), f"{name} in {folder / SETTINGS_FILE}"

    return TaskSettings(
        home=folder,
        store_url=_checked_store(*setting("store_url", store_url), folder),
        user=setting("user", user)[0] or _login_name(),
        password=setting("password", password)[0],
        engine=setting("engine", engine)[0] or "local",
        git_url=_checked_git_url(*setting("git_url", git_url)),
        disable_git=bool(file.disable_git if disable_git is None else disable_git),
    )


def home_folder(argument: str | Path | None = None) -> Path:
    """Return the home folder, whole; it need not exist.

    Raises:
        ConfigError: A file has its name, or it depends on the user's home folder and there is none.
    """
    if argument is not None and not str(argument):
        raise ConfigError("home is empty: give the path of a folder")
    folder = default_tasks_home() if argument is None else absolute_folder(argument)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"{folder} is a file, and the records of tasks need a folder: move the file away, or "
            f"name another folder by home= or AISIO_TASKS_HOME"
        )
    return folder


def _read_file(path: Path) -> _File:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return _File()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    try:
        settings = msgspec.yaml.decode(text, type=_File) if text.strip() else _File()
    except msgspec.DecodeError as error:
        # No cause is chained: the errors of YAML quote the file, which may hold a password.
        reason = str(error) if isinstance(error, msgspec.ValidationError) else "it is not YAML"
        raise ConfigError(f"{path}: {reason}") from None
    if settings.password is not None and path.stat().st_mode & _READABLE_BY_OTHERS:
        raise ConfigError(
            f"{path} holds a password and other users may read it: run chmod 600 {path}, or set "
            f"AISIO_TASKS_PASSWORD instead"
        )
    return settings


def _checked_store(text: str | None, origin: str, home: Path) -> str:
    """Return the URL of the store, with a final "/"; a path is that of a folder."""
    if text is None:
        text = str(home / "store")
    if not text:
        raise ConfigError(f"{origin} is empty: give the URL of a bucket or prefix, or a folder")
    if "://" not in text:
        text = f"file://{absolute_folder(text)}"
    try:
        url = ObjectUrl.parse(text)
    except UrlError as error:
        raise ConfigError(f"{origin}: {error}") from error
    if url.provider in (*WEB_SCHEMES, MEMORY):
        raise ConfigError(
            f"{origin}: {url.root} cannot hold the data of tasks: give a bucket of a cluster or "
            f"cloud, as in ais://tasks/, or a folder"
        )
    return f"{str(url).rstrip('/')}/"


def _checked_git_url(text: str | None, origin: str) -> str | None:
    """Return the base URL of a git server. It is recorded, so it may hold no password."""
    if text and redacted(text) != text:
        raise ConfigError(
            f"{origin}: {redacted(text)} holds credentials, and this URL is written to records: "
            f"set user and password by AISIO_TASKS_USER and AISIO_TASKS_PASSWORD"
        )
    return text


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in containers
        return str(os.getuid())
