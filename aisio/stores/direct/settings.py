"""DirectSettings: endpoint, credentials and limits of a DirectStore, and obstore set up by them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aisio.config import first_set, is_set, variables_with
from aisio.errors import AccessError, ConfigError
from aisio.records import RetryPolicy, Timeouts, TlsFiles
from aisio.stores.direct.obstore_forks import Obstore
from aisio.stores.direct.validation import (
    check_endpoint,
    check_environment,
    check_options,
    read_certificates,
)
from aisio.urls import MEMORY, WEB_SCHEMES, ObjectUrl

_CLASSES = {"aws": "S3Store", "gcp": "GCSStore", "azure": "AzureStore"}
DIRECT_PROVIDERS = frozenset(_CLASSES)
"""Providers that are reached through a cluster or directly."""

_ENDPOINT_OPTIONS = {
    "aws": ("endpoint", "endpoint_url"),
    "gcp": ("base_url", "google_base_url"),
    "azure": ("endpoint", "azure_storage_endpoint", "azure_endpoint"),
}
"""Names of obstore's setting for a base URL; the first is the one that we pass on."""

_ENDPOINT_VARIABLES = {
    "aws": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gcp": ("GOOGLE_BASE_URL",),
    "azure": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_CA_VARIABLES = ("AIS_CLIENT_CA", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CREDENTIAL_OPTIONS = frozenset(
    {"access_key_id", "secret_access_key", "session_token", "token", "skip_signature", "role_arn"}
)
_CREDENTIALS_LIFETIME = timedelta(minutes=5)
_MIN_WAIT_S = 0.001
_NO_TIMEOUT = timedelta(days=365)
_CREDENTIAL_VARIABLES = (
    *("AWS_", "GOOGLE_", "AZURE_", "IDENTITY_", "MSI_", "OSS_"),
    *("HTTP", "http", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"),
    *(*_CA_VARIABLES, "SSL_CERT_"),
)
"""Prefixes of the variables that hold credentials, proxies and authorities."""


@dataclass(frozen=True)
class DirectSettings:
    """How to reach clouds and web servers without a cluster.

    What these settings leave out comes from:

    - S3: AWS_* variables, then ~/.aws/config and ~/.aws/credentials with profiles, SSO and roles
      if boto3 is installed, then the machine's role. Without boto3 those files are not read.
    - Google: GOOGLE_APPLICATION_CREDENTIALS, gcloud's application default credentials, the machine.
    - Azure: AZURE_STORAGE_* variables (the account's name is needed), the machine's identity.
    - OSS: OSS_ENDPOINT, OSS_REGION, OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, OSS_SESSION_TOKEN.

    Attributes:
        endpoint: Base URL of an S3-compatible store or emulator; None for the cloud's own.
        region: Region of S3 or OSS.
        options: obstore's own settings of the store ("access_key_id", "skip_signature",
            "account_name", ...); they override all of the above. `repr` never shows them.
        timeouts: Per request.
        retry: As for a client. For an upload in parts obstore's own loop follows it, part by part.
        tls: Certificates; a client certificate cannot be used. The authorities are trusted besides
            those of the system. Without `ca_file` they are those of AWS_CA_BUNDLE or `ca_bundle`
            (S3 only), else of AIS_CLIENT_CA, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE.
        verify_etag: An S3 ETag of 32 digits is an MD5; false for buckets that KMS or a customer's
            key encrypts.
        credentials: OSS only: the path of a JSON file with keys, or an object whose
            `get_credentials()` returns them; see `aisio.stores.oss.credentials`. It travels to
            workers with the settings, so a provider must pickle where they are spawned.
    """

    endpoint: str | None = None
    region: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    tls: TlsFiles = field(default_factory=TlsFiles)
    verify_etag: bool = True
    credentials: Any = field(default=None, repr=False, hash=False)


def open_bucket(
    obstore: Obstore, settings: DirectSettings, url: ObjectUrl, *, retries: bool = False
) -> Any:
    """Return obstore's object for the bucket of a URL; no request is made.

    Args:
        obstore: The obstore of this process.
        settings: How to reach the bucket.
        url: The bucket, or anything in it.
        retries: obstore itself retries failed requests.

    Raises:
        ConfigError: The settings are not valid, or only a cluster can have the URL.
        AccessError: AWS's own files cannot be used.
    """
    provider = url.provider
    if provider == MEMORY:
        return obstore.memory.setdefault(url.bucket, obstore.api.store.MemoryStore())
    retry_config = _retry_config(settings.retry) if retries else {"max_retries": 0}
    if provider in WEB_SCHEMES:
        client = _client_options(settings, None)
        return obstore.api.store.HTTPStore(
            url.root, client_options=client, retry_config=retry_config
        )
    if provider not in _CLASSES or url.namespace:
        raise ConfigError(f"{url} is in a cluster; it cannot be reached directly")
    explicit = {**_explicit(settings, provider), **_by_short_names(settings.options, provider)}
    check_options(explicit, provider)
    check_environment(provider)
    files = _read_aws_files(explicit, url) if provider == "aws" else _AwsFiles()
    others = {
        name: value for name, value in explicit.items() if name not in _ENDPOINT_OPTIONS[provider]
    }
    config = {**files.config, **others, **_endpoint(explicit, files, provider)}
    if provider == "aws":
        # aisio deletes one object at a time, and some S3-compatible stores have no bulk delete.
        config = {"disable_bulk_delete": True, **config}
    cls = getattr(obstore.api.store, _CLASSES[provider])
    client = _client_options(settings, files.ca_file)
    return cls(url.bucket, **config, client_options=client, retry_config=retry_config)


def _explicit(settings: DirectSettings, provider: str) -> dict[str, Any]:
    """Return the fields of the settings as obstore's options."""
    explicit = {}
    if settings.endpoint is not None:
        check_endpoint(settings.endpoint, "DirectSettings.endpoint")
        explicit[_ENDPOINT_OPTIONS[provider][0]] = settings.endpoint
    if settings.region is not None and provider == "aws":
        explicit["region"] = settings.region
    return explicit


def _endpoint(explicit: Mapping[str, Any], files: _AwsFiles, provider: str) -> dict[str, str]:
    """Return the first base URL of options, environment and files, as obstore's setting."""
    names, variables = _ENDPOINT_OPTIONS[provider], _ENDPOINT_VARIABLES[provider]
    options = ((f"DirectSettings.options[{name!r}]", explicit.get(name)) for name in names)
    environment = ((name, first_set(name)) for name in variables)
    for where, text in (*options, *environment, ("endpoint_url of ~/.aws/config", files.endpoint)):
        if text:
            check_endpoint(text, where)
            config = {names[0]: text}
            if is_set("AWS_ENDPOINT_URL_S3") and provider == "aws":
                # obstore would prefer the variable to any endpoint that is passed to it.
                config["aws_endpoint_url_s3"] = text
            return config
    return {}


def _by_short_names(options: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """Return S3's options by one name each: obstore knows several for one, and the last counts."""
    if provider != "aws":
        return dict(options)
    return {name.lower().removeprefix("aws_"): value for name, value in options.items()}


def _client_options(settings: DirectSettings, aws_ca_file: str | None) -> dict[str, Any]:
    if settings.tls.client_cert_file:
        raise ConfigError("direct stores cannot show a client certificate (tls.client_cert_file)")
    # A timeout of the whole request would cut large objects.
    client: dict[str, Any] = {"allow_http": True, "timeout": _NO_TIMEOUT}
    client["connect_timeout"] = _timedelta(settings.timeouts.connect_s)
    client["read_timeout"] = _timedelta(settings.timeouts.read_s)
    if not settings.tls.verify:
        client["allow_invalid_certificates"] = True
    if settings.tls.ca_file:
        client["root_certificate"] = read_certificates(settings.tls.ca_file, "tls.ca_file")
    elif aws_ca_file:
        client["root_certificate"] = read_certificates(aws_ca_file, "AWS_CA_BUNDLE or ca_bundle")
    else:
        name = next((name for name in _CA_VARIABLES if is_set(name)), None)
        file = first_set(name) if name else None
        # Two of the variables belong to `requests`, which takes folders as well; obstore does not.
        if name and file and not Path(file).is_dir():
            client["root_certificate"] = read_certificates(file, name)
    return client


def _timedelta(seconds: float | None) -> timedelta:
    return _NO_TIMEOUT if seconds is None else timedelta(seconds=seconds)


def _retry_config(policy: RetryPolicy) -> dict[str, Any]:
    # object_store draws from [init, max), and panics if that is empty.
    first_s = max(policy.first_wait_s, _MIN_WAIT_S)
    longest_s = max(policy.longest_wait_s, first_s + _MIN_WAIT_S)
    return {
        "max_retries": policy.attempts - 1,
        "retry_timeout": timedelta(seconds=policy.total_s),
        "backoff": {
            "init_backoff": timedelta(seconds=first_s),
            "max_backoff": timedelta(seconds=longest_s),
            "base": 2,
        },
    }


@dataclass(frozen=True)
class _AwsFiles:
    """The settings in AWS's own files.

    Attributes:
        config: Settings of obstore.
        endpoint: Base URL of S3; None if they name none.
        ca_file: PEM file of the authorities to trust, also from AWS_CA_BUNDLE; None likewise.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str | None = None
    ca_file: str | None = None


def _read_aws_files(explicit: Mapping[str, Any], url: ObjectUrl) -> _AwsFiles:
    """Return what AWS's own files set, and neither the options nor the environment do.

    obstore itself reads the environment. That overrides these files, and what is passed to obstore
    overrides the environment.
    """
    has_credentials = _CREDENTIAL_OPTIONS & explicit.keys() or is_set("AWS_SKIP_SIGNATURE")
    if has_credentials or find_spec("botocore") is None:
        return _AwsFiles(ca_file=first_set("AWS_CA_BUNDLE"))
    config: dict[str, Any] = {}
    with boto_session(str(url)) as session:
        credentials = session.get_credentials()
        if credentials is not None:
            config["credential_provider"] = _credential_provider(credentials.get_frozen_credentials)
        region = session.get_config_variable("region")
        if region and not is_set("AWS_REGION", "AWS_DEFAULT_REGION"):
            config["region"] = region
        return _AwsFiles(config, _s3_endpoint(session), session.get_config_variable("ca_bundle"))


def _s3_endpoint(session: Any) -> str | None:
    """Return the endpoint of S3 in AWS's files: in the profile's services, else in the profile.

    Source:
        AWS SDKs and Tools Reference Guide, "Service-specific endpoints".
    """
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    s3 = services.get("s3", {})
    of_service = s3.get("endpoint_url") if isinstance(s3, dict) else None
    endpoint: str | None = of_service or profile.get("endpoint_url")
    return endpoint


@contextmanager
def boto_session(url: str) -> Iterator[Any]:
    """Yield a session of botocore, which must be installed; its errors become aisio's.

    Args:
        url: The object or bucket, for errors.

    Raises:
        AccessError: AWS's own files, or what they name, cannot be used.
    """
    try:
        # By name: botocore ships no types.
        yield import_module("botocore.session").Session()
    except Exception as error:
        if not type(error).__module__.startswith("botocore."):
            raise
        profile = first_set("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
        cure = "look at ~/.aws/config and ~/.aws/credentials"
        if profile:
            cure += f", or unset AWS_PROFILE, which is {profile!r}"
        raise AccessError(f"credentials for {url}: {error}; {cure}", url=url) from error


def credentials_fingerprint() -> Hashable:
    """Return a value that changes with the credentials: the variables, and the times of files."""
    files = (
        first_set("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        first_set("AWS_CONFIG_FILE") or "~/.aws/config",
        first_set("GOOGLE_APPLICATION_CREDENTIALS")
        or "~/.config/gcloud/application_default_credentials.json",
    )
    return variables_with(_CREDENTIAL_VARIABLES), tuple(_file_version(Path(file)) for file in files)


def _file_version(file: Path) -> tuple[int, int] | None:
    try:
        status = file.expanduser().stat()
    except (OSError, RuntimeError):  # no such file, or no home directory
        return None
    return status.st_mtime_ns, status.st_size


def _credential_provider(frozen: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    """Return a function that passes botocore's credentials, which it renews, to obstore."""

    def credentials() -> dict[str, Any]:
        now = frozen()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": datetime.now(timezone.utc) + _CREDENTIALS_LIFETIME,
        }

    return credentials
