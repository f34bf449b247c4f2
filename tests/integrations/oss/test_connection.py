"""What the arguments of the OSS connector's classes say."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.integrations.oss.connection import OssConnection
from aisio.records import Concurrency, Timeouts
from aisio.stores import DirectSettings

ENDPOINT = "https://oss-cn-test.aliyuncs.com"
VARIABLES = ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET")


class Provider:
    """A provider that pickles."""

    def get_credentials(self) -> None:
        """See the name."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder; no variable has keys."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def settings_of(connection: OssConnection) -> DirectSettings:
    """Return the settings of a connection that has an endpoint."""
    assert isinstance(connection.direct, DirectSettings)
    return connection.direct


def test_arguments_become_settings(home: Path) -> None:
    """Endpoint, region, and either kind of keys."""
    provider = Provider()
    for arguments, credentials in (
        ({"cred_path": "keys.json"}, "keys.json"),
        ({"cred_provider": provider}, provider),
        ({}, None),
    ):
        connection = OssConnection.of("X", ENDPOINT, region="cn-test", **arguments)
        expected = DirectSettings(ENDPOINT, "cn-test", credentials=credentials)
        assert (connection.direct, connection.is_local) == (expected, False)


def test_oss_31_keys_are_of_argument_environment_or_default_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order."""
    file = home / ".alibabacloud" / "credentials"
    file.parent.mkdir()
    file.touch()
    of_file = settings_of(OssConnection.of("X", ENDPOINT)).credentials
    assert of_file == "~/.alibabacloud/credentials"
    given = OssConnection.of("X", ENDPOINT, cred_path="keys.json")
    assert settings_of(given).credentials == "keys.json"
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", "key")
    assert settings_of(OssConnection.of("X", ENDPOINT)).credentials is None


def test_two_kinds_of_keys_are_refused() -> None:
    """Which of them counts could only be guessed."""
    with pytest.raises(ConfigError, match="<X> cred_path and cred_provider: pass one"):
        OssConnection.of("X", ENDPOINT, cred_path="keys.json", cred_provider=Provider())


def test_without_an_endpoint_files_are_local(caplog) -> None:
    """And the log says so."""
    assert OssConnection.of("X", "").is_local
    assert caplog.messages == ["<X> endpoint is empty: URIs name local files"]


@pytest.mark.parametrize(
    ("said", "concurrency"),
    [
        ("{}", Concurrency(start=8, most=24)),
        ('{"datasetConfig": {"prefetchConcurrency": 3}}', Concurrency(start=3, most=3)),
        ('{"datasetConfig": {"prefetchConcurrency": 640}}', Concurrency(start=8, most=64)),
    ],
)
def test_oss_33_the_file_bounds_how_many_reads_there_are(
    tmp_path: Path, said: str, concurrency: Concurrency
) -> None:
    """As many as aisio has at most."""
    (tmp_path / "config.json").write_text(said, "utf-8")
    connection = OssConnection.of("X", ENDPOINT, config_path=f"{tmp_path}/config.json")
    assert connection.dataset_options()["concurrency"] == concurrency


def test_oss_33_the_file_has_the_timeout(tmp_path: Path) -> None:
    """For the next bytes of a response."""
    (tmp_path / "config.json").write_text('{"datasetConfig": {"timeoutMs": 1500}}', "utf-8")
    connection = OssConnection.of("X", ENDPOINT, config_path=f"{tmp_path}/config.json")
    direct = connection.dataset_options()["direct"]
    assert (direct.endpoint, direct.timeouts) == (ENDPOINT, Timeouts(read_s=1.5))


def test_it_pickles() -> None:
    """As a dataset does that is sent to a worker; without an endpoint too."""
    for endpoint in (ENDPOINT, ""):
        connection = OssConnection.of("X", endpoint, cred_path="keys.json")
        again = pickle.loads(pickle.dumps(connection))
        assert (again.direct, again.config) == (connection.direct, connection.config)
