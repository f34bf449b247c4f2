"""DirectSettings: where endpoint, region and credentials come from."""

from __future__ import annotations

import pickle

import pytest

from aisio.errors import AccessError, ConfigError
from aisio.records import TlsFiles
from aisio.stores import DirectSettings, DirectStore
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server
from tests.resources.certificates import make_authority
from tests.stores.direct.scripted_s3 import CA_NAMES, OBJECT, ONCE, write_aws_files
from tests.stores.direct.tls_server import TlsServer

pytest.importorskip("obstore")

pytestmark = pytest.mark.usefixtures("own_aws_files")

FOUND = Reply(
    200,
    b"",
    {"Last-Modified": "Fri, 20 Nov 2026 22:00:00 GMT", "Content-Length": "0", "ETag": '"v"'},
)


def scope_of(request) -> str:
    """Return KEY/REGION of a signed request."""
    key, _, region, *_ = request.headers["Authorization"].partition("Credential=")[2].split("/")
    return f"{key}/{region}"


def test_arguments_come_first(monkeypatch):
    """Over the environment."""
    with Server(FOUND) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_REGION", "from-environ")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-environ")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        keys = {"access_key_id": "given", "secret_access_key": "s"}
        DirectStore(DirectSettings(server.url, "given-region", keys, retry=ONCE)).head(OBJECT)
    assert scope_of(server.requests[0]) == "given/given-region"


@pytest.mark.parametrize("prefix", ["", "aws_", "AWS_"])
def test_any_name_of_an_option_beats_the_usual_files(tmp_path, prefix):
    """With some of these names, requests were signed by the key in the file instead."""
    names = ("access_key_id", "secret_access_key", "region")
    spelt = {prefix + (n.upper() if prefix.isupper() else n): f"its-{n}" for n in names}
    with Server(FOUND) as server:
        write_aws_files(tmp_path, "http://127.0.0.1:9")
        DirectStore(DirectSettings(server.url, options=spelt, retry=ONCE)).head(OBJECT)
    assert scope_of(server.requests[0]) == "its-access_key_id/its-region"


def test_the_environment_comes_second(monkeypatch, tmp_path):
    """Over the files."""
    write_aws_files(tmp_path, "http://127.0.0.1:9")
    with Server(FOUND) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_REGION", "from-environ")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "environ-key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        DirectStore(DirectSettings(retry=ONCE)).head(OBJECT)
    assert scope_of(server.requests[0]) == "environ-key/from-environ"


def test_the_usual_files_come_last(tmp_path):
    """~/.aws/config and ~/.aws/credentials, by botocore."""
    pytest.importorskip("botocore")
    with Server(FOUND) as server:
        write_aws_files(tmp_path, server.url)
        DirectStore(DirectSettings(retry=ONCE)).head(OBJECT)
    assert scope_of(server.requests[0]) == "file-key/from-file"


def test_the_services_section_beats_the_profiles_endpoint(tmp_path):
    """As for AWS's own tools."""
    pytest.importorskip("botocore")
    with Server(FOUND) as server:
        write_aws_files(tmp_path, "http://127.0.0.1:9\nservices = local")
        with (tmp_path / "config").open("a") as config:
            config.write(f"[services local]\ns3 =\n  endpoint_url = {server.url}\n")
        DirectStore(DirectSettings(retry=ONCE)).head(OBJECT)
    assert scope_of(server.requests[0]) == "file-key/from-file"


@pytest.mark.parametrize("given", ["argument", "option", "variable"])
def test_the_endpoint_of_s3_alone_beats_the_one_of_all_services(monkeypatch, given):
    """Among variables; the settings beat both."""
    with Server(FOUND) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        of_s3 = server.url if given == "variable" else "http://127.0.0.1:9"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", of_s3)
        options = {"access_key_id": "k", "secret_access_key": "s"}
        if given == "option":
            options["endpoint_url"] = server.url
        endpoint = server.url if given == "argument" else None
        DirectStore(DirectSettings(endpoint, "r", options, retry=ONCE)).head(OBJECT)
        assert len(server.requests) == 1


def test_a_panic_of_obstore_is_an_error_of_settings(tmp_path):
    """It comes from what is not checked, such as a line break in AWS's files."""
    pytest.importorskip("botocore")
    write_aws_files(tmp_path, "http://127.0.0.1:9")
    with (tmp_path / "credentials").open("a") as file:
        file.write("aws_session_token = one\n  two\n")
    with pytest.raises(ConfigError, match="obstore failed inside"):
        DirectStore(DirectSettings(retry=ONCE)).head(OBJECT)


@pytest.mark.parametrize("name", [*CA_NAMES, "ca_bundle", "ca_file"])
def test_an_authority_of_ones_own_is_trusted(monkeypatch, tmp_path, name):
    """By whichever setting names it."""
    pytest.importorskip("botocore")
    authority = make_authority(tmp_path)
    for other in CA_NAMES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    tls = TlsFiles(ca_file=str(authority.ca)) if name == "ca_file" else TlsFiles()
    if name == "ca_bundle":
        (tmp_path / "config").write_text(f"[default]\nca_bundle = {authority.ca}\n")
    elif name != "ca_file":
        monkeypatch.setenv(name, str(authority.ca))
    with TlsServer(authority, FOUND) as server:
        DirectStore(DirectSettings(server.url, "r", retry=ONCE, tls=tls)).head(OBJECT)
        assert len(server.requests) == 1


def test_a_profile_that_is_not_there_is_named(monkeypatch):
    """By an error of aisio, not of botocore; it says what to change."""
    pytest.importorskip("botocore")
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(AccessError, match=r"s3://bkt/a: .*unset AWS_PROFILE, which is 'absent'"):
        DirectStore().head(OBJECT)


def test_aws_files_that_cannot_be_read_are_an_error(tmp_path):
    """It does not advise to unset a profile where none is set."""
    pytest.importorskip("botocore")
    (tmp_path / "config").write_text("[profile x\nfoo")
    with pytest.raises(AccessError, match=r"Unable to parse .* look at ~/\.aws/config") as caught:
        DirectStore().head(OBJECT)
    assert "AWS_PROFILE" not in str(caught.value)


def test_public_buckets_need_no_credentials():
    """`skip_signature` sends none."""
    with Server(FOUND) as server:
        anonymous = DirectSettings(server.url, "r", {"skip_signature": True}, retry=ONCE)
        DirectStore(anonymous).head(OBJECT)
    assert server.requests[0].headers["Authorization"] is None


def test_google_and_azure_take_an_endpoint():
    """That of an emulator, or of a store with the same protocol."""
    with Server(*[FOUND] * 2) as server:
        google = DirectSettings(server.url, options={"skip_signature": True}, retry=ONCE)
        DirectStore(google).head(ObjectUrl.parse("gs://bkt/a b"))
        account = {"account_name": "me", "skip_signature": True}
        azure = DirectSettings(server.url, options=account, retry=ONCE)
        DirectStore(azure).head(ObjectUrl.parse("az://bkt/a b"))
    assert ["a%20b" in request.target for request in server.requests] == [True, True]


def test_an_own_certificate_is_refused():
    """The setting is not silently ignored: obstore cannot use one."""
    tls = TlsFiles(client_cert_file="mine.pem")
    with pytest.raises(ConfigError, match="client certificate"):
        DirectStore(DirectSettings(tls=tls, options={"skip_signature": True})).head(OBJECT)


def test_a_namespace_is_of_a_cluster():
    """Clouds and web servers have none."""
    with pytest.raises(ConfigError, match="in a cluster"):
        DirectStore().head(ObjectUrl.parse("s3://#ns/bkt/a"))


def test_settings_pickle_and_are_equal_by_content():
    """They go to workers, credentials included."""
    one = DirectSettings("http://127.0.0.1:9", "r", {"access_key_id": "k"})
    assert pickle.loads(pickle.dumps(one)) == one
    assert hash(one) == hash(DirectSettings("http://127.0.0.1:9", "r", {"access_key_id": "k"}))
