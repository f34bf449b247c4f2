"""Where a repository is, and as whom it is reached."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.tasks.code.remote import GitRemote


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h/a.git", ("https://h/a.git", None, None)),
        ("https://ada:p%40ss%2F@h:8443/a.git", ("https://h:8443/a.git", "ada", "p@ss/")),
        ("http://ada:secret@[::1]:80/a.git", ("http://[::1]:80/a.git", "ada", "secret")),
        ("ssh://git@h:22/a.git", ("ssh://git@h:22/a.git", None, None)),
        ("git@h:team/a.git", ("git@h:team/a.git", None, None)),
        ("file:///srv/a.git", ("file:///srv/a.git", None, None)),
        ("/srv/a.git", ("/srv/a.git", None, None)),
    ],
)
def test_credentials_are_taken_out_of_the_url(url, expected) -> None:
    """What ssh needs as a user name stays."""
    remote = GitRemote(url)
    assert (remote.url, remote.user, remote.password) == expected


def test_a_path_is_absolute_wherever_git_runs(tmp_path, monkeypatch) -> None:
    """A folder whose name has a colon is no host."""
    monkeypatch.chdir(tmp_path)
    Path("a:b").mkdir()
    assert GitRemote("a:b").url == str(tmp_path / "a:b")
    assert GitRemote("repository").url == str(tmp_path / "repository")


@pytest.mark.parametrize(
    "url",
    ["", "-x", "ext::sh -c date", "ftp://h/a", "https://", "https://h:port/a", "https://h/a b",
     "https://h/\na", "host::path", "ssh:///a", "--upload-pack=date:a"],
)  # fmt: skip
def test_what_is_no_repository_is_refused(url) -> None:
    """So is what git would run as a program."""
    with pytest.raises(ConfigError, match="git repository"):
        GitRemote(url)


@pytest.mark.parametrize(
    ("url", "user", "password", "why"),
    [
        ("https://h/a", "ada", None, "both"),
        ("https://h/a", None, "secret", "both"),
        ("https://ada@h/a", None, None, "both"),
        ("https://h/a", "ada", "sec\nret", "line break"),
        ("https://h/a", "a\0da", "secret", "NUL"),
        ("https://h/a", "ada", "secret" * 1000, "longer"),
        ("ssh://h/a", "ada", "secret", "only http"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused(url, user, password, why) -> None:
    """The password is not in the error."""
    with pytest.raises(ConfigError, match=why) as caught:
        GitRemote(url, user, password)
    assert "sec" not in str(caught.value).replace("second", "")


def test_a_remote_pickles_and_hides_its_password() -> None:
    """Also from its repr, and in what programs print."""
    remote = GitRemote("https://h/a", "ada", "p/ss")
    assert pickle.loads(pickle.dumps(remote)) == remote
    assert "p/ss" not in repr(remote)
    printed = "fatal: https://ada:p%2Fss@h/a and p/ss"
    assert remote.without_password(printed) == "fatal: https://***@h/a and ***"


def test_a_command_gets_the_credentials_from_a_pipe() -> None:
    """For the remote's host alone, and no descriptor is left."""
    before = open_descriptors()
    remote = GitRemote("https://h:8443/a", "ada", "p=ss wörd")
    with remote.credentials() as (settings, descriptors):
        reset, helper = settings
        key, _, value = helper.partition("=")
        command = ["sh", "-c", f"{value.removeprefix('!')} get"]
        done = subprocess.run(command, pass_fds=descriptors, capture_output=True, check=True)
    assert (reset, key) == ("credential.helper=", "credential.https://h:8443.helper")
    assert done.stdout.decode() == "username=ada\npassword=p=ss wörd\n"
    assert "ss" not in value
    assert open_descriptors() == before


def test_without_credentials_git_asks_the_users_helpers() -> None:
    """Nothing is set."""
    with GitRemote("https://h/a").credentials() as (settings, descriptors):
        assert (settings, descriptors) == ((), ())
