"""Settings: argument beats environment beats default, and no secret is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aisio.config import (
    VARIABLES,
    absolute_folder,
    first_set,
    inherited_environment,
    load_settings,
    serve_s3_keys,
)
from aisio.errors import ConfigError
from aisio.records import RetryPolicy, Settings, Timeouts, TlsFiles

ENDPOINT = "http://127.0.0.1:8080"


def settings(argument: Any = None, **environ: str) -> Settings:
    """Load settings for an endpoint from these variables only."""
    return load_settings(argument or ENDPOINT, environ=environ)


def test_the_defaults_are_those_of_the_official_client() -> None:
    """Without arguments and variables: 3 s, 20 s, 10 connections, certificates checked."""
    assert settings() == Settings(ENDPOINT)
    assert Settings(ENDPOINT).timeouts == Timeouts(3.0, 20.0)
    assert Settings(ENDPOINT).pool_size == 10
    assert Settings(ENDPOINT).tls.verify is True
    assert Settings(ENDPOINT).authn_url == "http://localhost:52001"


FROM_ENVIRON = [
    ("AIS_AUTHN_TOKEN", "abc", lambda s: s.token, "abc"),
    ("AIS_AUTHN_URL", "http://authn:1", lambda s: s.authn_url, "http://authn:1"),
    ("AIS_CONNECT_TIMEOUT", "1.5", lambda s: s.timeouts.connect_s, 1.5),
    ("AIS_CONNECT_TIMEOUT", "0", lambda s: s.timeouts.connect_s, None),
    ("AIS_READ_TIMEOUT", "7", lambda s: s.timeouts.read_s, 7.0),
    ("AIS_READ_TIMEOUT", "0", lambda s: s.timeouts.read_s, None),
    ("AIS_MAX_CONN_POOL", "32", lambda s: s.pool_size, 32),
    ("AIS_CLIENT_CA", "/ca.pem", lambda s: s.tls.ca_file, "/ca.pem"),
    ("AIS_CRT", "/c.pem", lambda s: s.tls.client_cert_file, "/c.pem"),
    ("AIS_CRT_KEY", "/k.pem", lambda s: s.tls.client_key_file, "/k.pem"),
    ("AIS_SKIP_VERIFY_CRT", "true", lambda s: s.tls.verify, False),
    ("AIS_SKIP_VERIFY", "true", lambda s: s.tls.verify, False),
]


@pytest.mark.parametrize(("variable", "text", "read", "value"), FROM_ENVIRON)
def test_each_variable_is_read(variable: str, text: str, read: Any, value: object) -> None:
    """Every variable of AIStore's clients has the same meaning here."""
    assert read(settings(**{variable: text})) == value


@pytest.mark.parametrize("variable", [name for name in VARIABLES if name.startswith("AIS_")])
def test_an_empty_variable_counts_as_unset(variable: str) -> None:
    """`AIS_X= command` unsets a variable in a shell."""
    assert load_settings(ENDPOINT, environ={variable: ""}) == Settings(ENDPOINT)


def test_every_variable_that_is_read_is_listed() -> None:
    """The documentation is generated from VARIABLES."""
    tested = {variable for variable, *_ in FROM_ENVIRON}
    ours = {variable for variable in VARIABLES if variable.startswith("AIS_")}
    assert tested | {"AIS_ENDPOINT", "AIS_AUTHN_TOKEN_FILE"} == ours


def test_the_first_variable_that_has_a_value_counts() -> None:
    """Older names, and those of other programs, are used if ours is not set."""
    environ = {"AISIO_CACHE_DIR": "", "BIONEMO_CACHE_DIR": "/data"}
    assert first_set("AISIO_CACHE_DIR", "BIONEMO_CACHE_DIR", environ=environ) == "/data"
    assert first_set("AISIO_CACHE_DIR", environ=environ) is None


def test_the_endpoint_comes_from_the_argument_then_the_environment() -> None:
    """A trailing slash is dropped either way."""
    assert load_settings(environ={"AIS_ENDPOINT": "https://h:1/"}).endpoint == "https://h:1"
    both = load_settings("http://a/", environ={"AIS_ENDPOINT": "http://b"})
    assert both.endpoint == "http://a"


def test_arguments_beat_the_environment() -> None:
    """Each argument takes precedence over its variables."""
    environ = {
        "AIS_AUTHN_TOKEN": "env",
        "AIS_CONNECT_TIMEOUT": "1",
        "AIS_MAX_CONN_POOL": "2",
        "AIS_SKIP_VERIFY_CRT": "yes",
    }
    loaded = load_settings(
        ENDPOINT,
        token="argument",
        timeouts=Timeouts(5.0, None),
        retry=RetryPolicy(attempts=1),
        tls=TlsFiles(),
        pool_size=3,
        environ=environ,
    )
    assert loaded == Settings(
        ENDPOINT,
        token="argument",
        timeouts=Timeouts(5.0, None),
        retry=RetryPolicy(attempts=1),
        pool_size=3,
    )


def test_the_process_environment_is_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read when a function is called, not at import."""
    monkeypatch.setenv("AIS_ENDPOINT", "http://from-environ:1")
    assert load_settings().endpoint == "http://from-environ:1"


@pytest.mark.parametrize("argument", [None, ""])
def test_no_endpoint_is_an_error_that_names_both_ways(argument: str | None) -> None:
    """There is no default endpoint."""
    with pytest.raises(ConfigError, match=r"set AIS_ENDPOINT, as in http://.*aisio serve"):
        load_settings(argument, environ={})


def test_an_endpoint_without_its_scheme_is_told_with_it() -> None:
    """What others call an endpoint is often HOST:PORT."""
    with pytest.raises(ConfigError, match="was http://localhost:8080 meant\\?"):
        load_settings("localhost:8080", environ={})
    with pytest.raises(ConfigError, match="as in http://127.0.0.1:8080$"):
        load_settings("ftp://localhost:8080", environ={})


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:8080",
        "ftp://host",
        "http://",
        "http://:8080",
        "http://host:port",
        "http://host:99999",
        "http://host?x=1",
        "http://host#x",
        "http://ho st",
        " http://host",
        "http://host ",
        "http://host:8080\n",
        "http://ho\nst",
        "http://host\t",
        "http://host:",
        "http://host:-1",
        "http://host:0",
        "http://[::1",
        "http://host\\path",
        "host",
        "://host",
        "http://host\r\nX: y",
        "http://[/",
    ],
)
def test_an_endpoint_that_is_no_base_url_is_refused(endpoint: str) -> None:
    """The error quotes it and names its source."""
    with pytest.raises(ConfigError, match="AIS_ENDPOINT=.*no base URL"):
        load_settings(environ={"AIS_ENDPOINT": endpoint})
    with pytest.raises(ConfigError, match="endpoint=.*no base URL"):
        load_settings(endpoint, environ={})


def test_a_password_in_the_endpoint_is_refused_and_not_shown() -> None:
    """It would not be sent, but printed in errors."""
    with pytest.raises(ConfigError, match="pass token=") as caught:
        load_settings("http://me:s3cret@host", environ={})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "verify"),
    [(text, False) for text in ("1", "t", "true", "True", "y", "YES", "on")]
    + [(text, True) for text in ("0", "f", "false", "n", "no", "OFF")],
)
def test_flags_are_read_as_the_official_client_reads_them(text: str, verify: bool) -> None:
    """AIS_SKIP_VERIFY_CRT takes the usual spellings of true and false."""
    assert settings(AIS_SKIP_VERIFY_CRT=text).tls.verify is verify


def test_the_newer_name_of_a_flag_wins() -> None:
    """AIS_SKIP_VERIFY is the legacy one."""
    loaded = settings(AIS_SKIP_VERIFY_CRT="false", AIS_SKIP_VERIFY="true")
    assert loaded.tls.verify is True


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("AIS_CONNECT_TIMEOUT", "soon"),
        ("AIS_READ_TIMEOUT", "-1"),
        ("AIS_READ_TIMEOUT", "inf"),
        ("AIS_READ_TIMEOUT", "nan"),
        ("AIS_MAX_CONN_POOL", "many"),
        ("AIS_SKIP_VERIFY_CRT", "maybe"),
        ("AIS_SKIP_VERIFY", "2"),
    ],
)
def test_the_error_for_an_invalid_value_names_its_variable(variable: str, text: str) -> None:
    """The error for a typo in the environment names the variable."""
    with pytest.raises(ConfigError, match=f"{variable}='{text}'"):
        settings(**{variable: text})


def test_a_pool_of_nothing_is_refused() -> None:
    """Neither as argument nor as variable."""
    with pytest.raises(ConfigError, match="AIS_MAX_CONN_POOL"):
        settings(AIS_MAX_CONN_POOL="0")
    with pytest.raises(ConfigError, match="pool_size"):
        load_settings(ENDPOINT, pool_size=0, environ={})


def test_a_token_may_come_from_a_file(tmp_path: Path) -> None:
    """The `ais` command writes it as JSON; AIS_AUTHN_TOKEN wins."""
    file = tmp_path / "auth.token"
    file.write_text(json.dumps({"token": "from-file\n"}))
    assert settings(AIS_AUTHN_TOKEN_FILE=str(file)).token == "from-file"
    assert settings(AIS_AUTHN_TOKEN_FILE=str(file)).token_file == str(file)
    both = settings(AIS_AUTHN_TOKEN_FILE=str(file), AIS_AUTHN_TOKEN="direct")
    assert (both.token, both.token_file) == ("direct", None)


def test_a_token_file_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may change its folder before the file is read again."""
    (tmp_path / "auth.token").write_text('{"token": "from-file"}')
    monkeypatch.chdir(tmp_path)
    assert settings(AIS_AUTHN_TOKEN_FILE="auth.token").token_file == str(tmp_path / "auth.token")


def test_a_token_argument_is_not_replaced_from_a_file(tmp_path: Path) -> None:
    """It overrides the environment for as long as the client lives."""
    environ = {"AIS_AUTHN_TOKEN_FILE": str(tmp_path / "none")}
    loaded = load_settings(ENDPOINT, token="mine", environ=environ)
    assert (loaded.token, loaded.token_file) == ("mine", None)


def test_an_empty_token_argument_sends_none() -> None:
    """It overrides the environment's token."""
    assert load_settings(ENDPOINT, token="", environ={"AIS_AUTHN_TOKEN": "env"}).token == ""


@pytest.mark.parametrize(
    "content", ["s3cret", '{"token": null}', '{"token": ""}', '{"tok": "s3cret"}', '["s3cret"]']
)
def test_a_token_file_without_a_token_is_refused_unshown(tmp_path: Path, content: str) -> None:
    """The error names the file and the form it should have, and nothing of what is in it."""
    file = tmp_path / "auth.token"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r'auth\.token.*\{"token": "\.\.\."\}') as caught:
        settings(AIS_AUTHN_TOKEN_FILE=str(file))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_token_file_is_an_error(tmp_path: Path) -> None:
    """Without the token, requests would fail later."""
    with pytest.raises(ConfigError, match="AIS_AUTHN_TOKEN_FILE"):
        settings(AIS_AUTHN_TOKEN_FILE=str(tmp_path / "none"))


@pytest.mark.parametrize("token", ["s3 cret", "s3cret\r\nX-Evil: 1", "s3crét", "s3\x00cret"])
def test_a_token_that_no_header_can_hold_is_refused_unshown(token: str) -> None:
    """The errors of HTTP libraries would print it."""
    for load in (
        lambda: load_settings(ENDPOINT, token=token, environ={}),
        lambda: settings(AIS_AUTHN_TOKEN=token),
    ):
        with pytest.raises(ConfigError, match="not a bearer token") as caught:
            load()
        assert token not in str(caught.value)


def test_an_authn_url_with_a_password_is_refused_without_showing_it() -> None:
    """The errors of every login would show it."""
    with pytest.raises(ConfigError, match="AIS_AUTHN_URL holds a user name") as caught:
        load_settings("http://h:1", environ={"AIS_AUTHN_URL": "http://admin:pw@h:2"})
    assert "pw" not in str(caught.value)


def test_a_signature_in_an_endpoint_is_not_shown() -> None:
    """Also of a presigned URL that the user took for an endpoint."""
    for endpoint in ("http://host/?X-Signature=s3cret", "host/?X-Signature=s3cret"):
        with pytest.raises(ConfigError, match="no base URL") as caught:
            load_settings(endpoint, environ={})
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("token", ["a b", "a\nb", "a\x1b", "ä", "a\r\nX-Evil: 1"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    """Also in settings that the program makes, before a request is sent, and without showing it."""
    with pytest.raises(ConfigError, match="the token holds") as caught:
        Settings("http://h", token=token)
    assert token not in str(caught.value)


def test_what_named_the_endpoint_is_no_setting_of_its_own() -> None:
    """Two clients of one cluster are equal, wherever the endpoint was set."""
    by_variable = load_settings(environ={"AIS_ENDPOINT": "http://h"})
    by_argument = load_settings("http://h", environ={})
    assert by_variable == by_argument
    assert (by_variable.endpoint_from, by_argument.endpoint_from) == (
        "AIS_ENDPOINT",
        "the argument endpoint",
    )


def test_programs_inherit_the_environment_but_for_some_variables() -> None:
    """Those of other repositories, for instance."""
    environ = {"PATH": "/bin", "GIT_DIR": "/x", "GIT_SSH": "ssh"}
    kept = inherited_environment(without=("GIT_",), keep=frozenset({"GIT_SSH"}), environ=environ)
    assert kept == {"PATH": "/bin", "GIT_SSH": "ssh"}
    assert inherited_environment(environ=environ) == environ


def test_the_keys_of_the_gateway_come_from_arguments_then_the_environment() -> None:
    """The variables are its own: AWS's are for other services."""
    names = ("AISIO_SERVE_S3_ACCESS_KEY", "AISIO_SERVE_S3_SECRET_KEY")
    environ = dict(zip(names, ("access", "secret"), strict=True))
    assert serve_s3_keys(environ=environ) == ("access", "secret")
    assert serve_s3_keys("other", environ=environ) == ("other", "secret")
    assert serve_s3_keys(environ={"AWS_ACCESS_KEY_ID": "a", names[0]: ""}) == (None, None)


def test_a_folder_has_a_name() -> None:
    """An empty text, as of a variable that is not set, is not the folder that a program is in."""
    assert absolute_folder("~/data") == Path.home() / "data"
    assert absolute_folder(".") == Path.cwd()
    with pytest.raises(ConfigError, match="the name of a folder is empty"):
        absolute_folder("")
