"""Settings for the registry: the environment, then the file; no key is ever shown."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.resources.origins.ngc.settings import NgcSettings, load_ngc_settings

FILE = """;WARNING - This is a machine generated file.  Do not edit manually.

[CURRENT]
apikey = nvapi-from%file
format_type = ascii
org = filed
team = filers

[nvapi-another]
apikey = nvapi-another
org = another
"""


def settings(home: Path, text: str | None = None, **environ: str) -> NgcSettings:
    """Load settings with this file and these variables alone."""
    (home / ".ngc").mkdir(exist_ok=True)
    if text is not None:
        (home / ".ngc" / "config").write_text(text, "utf-8")
    return load_ngc_settings({"NGC_CLI_HOME": str(home), **environ})


def test_without_anything_it_is_a_guest_of_nvidias_registry(tmp_path: Path) -> None:
    """With a token that no one else has."""
    found, other = settings(tmp_path), settings(tmp_path)
    assert (found.base_url, found.auth_url) == (
        "https://api.ngc.nvidia.com",
        "https://authn.nvidia.com",
    )
    assert (found.key, found.org, found.team) == (None, None, None)
    assert uuid.UUID(found.guest_token) != uuid.UUID(other.guest_token)


@pytest.mark.parametrize(
    ("environ", "key", "found_in"),
    [
        ({"NGC_APP_KEY": "3", "NGC_API_KEY": "2", "NGC_CLI_API_KEY": "1"}, "1", "NGC_CLI_API_KEY"),
        ({"NGC_APP_KEY": "3", "NGC_API_KEY": "2", "NGC_CLI_API_KEY": ""}, "2", "NGC_API_KEY"),
        ({"NGC_APP_KEY": " 3\n"}, "3", "NGC_APP_KEY"),
        ({}, "nvapi-from%file", "config"),
        ({"NGC_CLI_API_KEY": "no-apikey"}, None, "NGC_CLI_API_KEY"),
    ],
)
def test_the_key_comes_from_the_first_that_has_one(
    tmp_path: Path, environ: dict[str, str], key: str | None, found_in: str
) -> None:
    """Variables in the order of the official client, then the file; the settings say which."""
    found = settings(tmp_path, FILE, **environ)
    assert found.key == key
    assert found.key_from.endswith(found_in)


@pytest.mark.parametrize(
    ("environ", "org", "team"),
    [
        ({}, "filed", "filers"),
        ({"NGC_CLI_ORG": "told"}, "told", "filers"),
        ({"NGC_CLI_TEAM": "tellers"}, "filed", "tellers"),
        ({"NGC_CLI_TEAM": "no-team"}, "filed", None),
        ({"NGC_CLI_ORG": "no-org"}, None, "filers"),
    ],
)
def test_organisation_and_team_come_from_environment_then_file(
    tmp_path: Path, environ: dict[str, str], org: str | None, team: str | None
) -> None:
    """And may be said to be none."""
    found = settings(tmp_path, FILE, **environ)
    assert (found.org, found.team) == (org, team)


def test_a_key_under_default_counts_where_nothing_is_current(tmp_path: Path) -> None:
    """Files of old have it there."""
    assert settings(tmp_path, "[DEFAULT]\napikey = old\n").key == "old"


@pytest.mark.parametrize("text", ["apikey = secret\n", "[CURRENT]\nsecret\n", "[CURRENT\n"])
def test_a_broken_file_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    """It may hold a key."""
    with pytest.raises(ConfigError, match=r"\.ngc/config is no configuration file") as caught:
        settings(tmp_path, text)
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And does without."""
    (tmp_path / ".ngc" / "config").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert settings(tmp_path).key is None
    assert "is not read" in caplog.text


@pytest.mark.parametrize("key", ["two words", "schl\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel"])
def test_a_key_that_cannot_be_sent_is_refused(tmp_path: Path, key: str) -> None:
    """The variable is named, the key is not shown."""
    with pytest.raises(ConfigError, match="NGC_API_KEY holds no key") as caught:
        settings(tmp_path, NGC_API_KEY=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["host:8443", "http://host:8443/", "https://host:8443"])
def test_addresses_are_https_in_any_case(tmp_path: Path, url: str) -> None:
    """As the official client has it."""
    found = settings(tmp_path, NGC_CLI_API_URL=url, NGC_CLI_AUTH_URL=url)
    assert (found.base_url, found.auth_url, found.host) == (*["https://host:8443"] * 2, "host:8443")


@pytest.mark.parametrize("url", ["https://me:secret@host", "ftp://host", "host?x=1", "a b", "h:x"])
def test_an_invalid_address_is_refused(tmp_path: Path, url: str) -> None:
    """Without showing it: there may be a password in it."""
    with pytest.raises(ConfigError, match="NGC_CLI_API_URL") as caught:
        settings(tmp_path, NGC_CLI_API_URL=url)
    assert "secret" not in str(caught.value)


def test_the_key_is_not_in_the_repr() -> None:
    """A log of settings gives nothing away."""
    assert "secret" not in repr(NgcSettings(key="secret"))
