"""Settings of tasks: argument, environment, file, default."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.tasks.settings import load_task_settings

VARIABLES = ("HOME", "STORE_URL", "USER", "PASSWORD", "ENGINE", "GIT_URL")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Have the home folder in the environment, and nothing else."""
    for name in VARIABLES:
        monkeypatch.delenv(f"AISIO_TASKS_{name}", raising=False)
    monkeypatch.setenv("AISIO_TASKS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_defaults(home):
    """Nothing has to be configured."""
    settings = load_task_settings()
    assert settings.home == home
    assert settings.store_url == f"file://{home}/store/"
    assert settings.user
    assert (settings.password, settings.engine, settings.git_url) == (None, "local", None)
    assert settings.disable_git is False
    assert not home.exists()


def test_argument_beats_environment_beats_file(home, monkeypatch):
    """For each setting."""
    home.mkdir()
    (home / "settings.yaml").write_text("user: file\nengine: slurm\nstore_url: /data\n")
    monkeypatch.setenv("AISIO_TASKS_USER", "environment")
    monkeypatch.setenv("AISIO_TASKS_ENGINE", "ray")
    settings = load_task_settings(user="argument")
    assert (settings.user, settings.engine, settings.store_url) == (
        "argument",
        "ray",
        "file:///data/",
    )


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("usr: me\n", "usr"),
        ("user: [1\n", "it is not YAML"),
        ("user: 1\n", "str"),
        ("password: hunter2\n", "chmod 600"),
    ],
)
def test_a_file_that_is_wrong_is_named_and_shows_no_password(home, text, trouble):
    """Other users may read it: that is refused, too."""
    home.mkdir()
    (home / "settings.yaml").write_text(text)
    (home / "settings.yaml").chmod(0o644)
    with pytest.raises(ConfigError, match="settings.yaml") as raised:
        load_task_settings()
    assert trouble in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_password_is_read_and_never_shown(home):
    """From a file that only its owner can read."""
    home.mkdir()
    (home / "settings.yaml").write_text("password: hunter2\n")
    (home / "settings.yaml").chmod(0o600)
    settings = load_task_settings()
    assert settings.password == "hunter2"
    assert "hunter2" not in repr(settings)


def test_a_git_url_with_a_password_is_refused(home):
    """It is part of records."""
    with pytest.raises(ConfigError, match=r"the argument git_url: https://\*\*\*@h/") as raised:
        load_task_settings(git_url="https://ada:hunter2@h/")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("store", "trouble"),
    [
        ("", "the argument store_url is empty"),
        ("https://host/x", "cannot hold"),
        ("memory://x", "cannot hold"),
        ("s4://bucket/", "unknown scheme"),
    ],
)
def test_a_store_that_cannot_be_meant_is_refused(store, trouble):
    """With where it was set."""
    with pytest.raises(ConfigError, match=trouble):
        load_task_settings(store)


def test_a_file_in_place_of_the_home_folder_stays(home):
    """Anylearn deletes it."""
    home.write_text("precious")
    with pytest.raises(ConfigError, match="is a file"):
        load_task_settings()
    assert home.read_text() == "precious"
