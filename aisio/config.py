"""Settings: an explicit argument beats the environment, which beats the default.

Only this module reads os.environ, when a function is called and never at import. An empty variable
counts as unset. The names are those of the official AIStore clients (release 5.0).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from aisio.errors import ConfigError
from aisio.records import RetryPolicy, Settings, Timeouts, TlsFiles, is_sendable_token
from aisio.urls import is_base_url

VARIABLES: Mapping[str, str] = {
    "AIS_ENDPOINT": "base URL of the cluster's proxy or of a gateway",
    "AIS_AUTHN_TOKEN": "bearer token",
    "AIS_AUTHN_TOKEN_FILE": 'JSON file {"token": "..."} as the `ais` command writes it, where '
    "AIS_AUTHN_TOKEN is not set; read again when it changes",
    "AIS_AUTHN_URL": "base URL of the AuthN server (http://localhost:52001)",
    "AIS_CONNECT_TIMEOUT": "seconds to connect (3); 0 waits for ever",
    "AIS_READ_TIMEOUT": "seconds to wait for the next bytes (20); 0 waits for ever",
    "AIS_MAX_CONN_POOL": "connections kept to one host (10)",
    "AIS_CLIENT_CA": "PEM file of the authorities to trust",
    "AIS_CRT": "PEM file of the client's certificate",
    "AIS_CRT_KEY": "PEM file of its private key",
    "AIS_SKIP_VERIFY_CRT": "true: do not check the server's certificate",
    "AIS_SKIP_VERIFY": "older name of AIS_SKIP_VERIFY_CRT",
    "AISIO_CATALOG": "folders of catalog files, separated as in PATH (catalog/ in the user's "
    "configuration folder for aisio, and bionemo-core's own where that is installed)",
    "AISIO_CACHE_DIR": "folder of downloaded resources and of shard indexes (the user's cache "
    "folder for aisio)",
    "BIONEMO_CACHE_DIR": "the same, where AISIO_CACHE_DIR is not set",
    "AISIO_SERVE_S3_ACCESS_KEY": "access key that `aisio serve` demands of S3 requests",
    "AISIO_SERVE_S3_SECRET_KEY": "its secret key",
    "AISIO_TASKS_HOME": "folder of the records of training tasks (tasks/ in the user's data folder "
    "for aisio)",
    "AISIO_TASKS_STORE_URL": "where data and code of training tasks are kept (store/ in that "
    "folder)",
    "AISIO_TASKS_USER": "who starts training tasks (the name of the user)",
    "AISIO_TASKS_PASSWORD": "password for AISIO_TASKS_GIT_URL",
    "AISIO_TASKS_ENGINE": "what runs training tasks: local, ray or slurm (local)",
    "AISIO_TASKS_GIT_URL": "base URL of the git server that code of tasks is pushed to "
    "(repositories in AISIO_TASKS_HOME)",
    "AISIO_TOP": "1: processes that read publish their numbers for `aisio top`, in shared memory; "
    "or a folder to publish them in (nothing is published)",
    "BIONEMO_DATA_SOURCE": "where resources come from: ngc or pbss (ngc)",
    "AISIO_PBSS_ENDPOINT": "base URL of the S3 store that pbss means (https://pbss.s8k.io)",
    "NGC_CLI_API_KEY": "key of NVIDIA's registry, else NGC_API_KEY, NGC_APP_KEY or what "
    "~/.ngc/config says; without one public resources are read as a guest",
    "NGC_API_KEY": "see NGC_CLI_API_KEY",
    "NGC_APP_KEY": "see NGC_CLI_API_KEY",
    "NGC_CLI_ORG": "organisation in NVIDIA's registry, where a resource names none",
    "NGC_CLI_TEAM": "team in that organisation (no-team)",
    "NGC_CLI_API_URL": "base URL of NVIDIA's registry (https://api.ngc.nvidia.com)",
    "NGC_CLI_AUTH_URL": "base URL that gives tokens for keys of the old kind "
    "(https://authn.nvidia.com)",
    "NGC_CLI_HOME": "folder that holds .ngc/config (the home folder)",
    "NGC_CLI_GUEST_TOKEN": "UUID by which a guest is known (a new one each time)",
    "ENABLE_CONNECTOR": "1: `python -m aisio.models` reads the next two",
    "OSS_PATH": "URL of a model's folder",
    "MODEL_DIR": "local folder in which a program finds that model",
    "AISIO_TASK_METRICS": "where a training task reports metrics: a folder, or the URL of a "
    "server; engines set it",
    "BACKEND_NAMESPACE": "namespace of Anylearn's server, where AISIO_TASK_METRICS is not set",
    "task_id": "ID of the training task that a process belongs to",
    "secret_key": "secret of that task, by which it reports metrics",
    "RANK": "rank of this process, where torch.distributed is not initialised (0)",
    "WORLD_SIZE": "number of ranks, likewise (1)",
    "OMPI_COMM_WORLD_RANK": "rank, where RANK is not set: Open MPI's mpirun sets it",
    "OMPI_COMM_WORLD_SIZE": "number of ranks, likewise",
    "PMI_RANK": "rank, where those are not set: MPICH's and Intel's mpirun set it",
    "PMI_SIZE": "number of ranks, likewise",
    "SLURM_PROCID": "rank, where those are not set: Slurm's srun sets it",
    "SLURM_NTASKS": "number of ranks, likewise",
    "SLURM_STEP_ID": "set in processes that srun started, and not in a batch script, which is one",
    "LOCAL_RANK": "rank on this machine: an error where no other variable has the rank",
}
"""Every environment variable that aisio reads, except those of clouds, which their own tools read
as well: see `aisio.stores.direct.settings`."""

_TASKS_PASSWORD = "AISIO_TASKS_PASSWORD"  # noqa: S105 - the name of a variable
TRUE_WORDS = frozenset({"1", "t", "true", "y", "yes", "on"})
FALSE_WORDS = frozenset({"0", "f", "false", "n", "no", "off"})


def load_settings(
    endpoint: str | None = None,
    *,
    token: str | None = None,
    timeouts: Timeouts | None = None,
    retry: RetryPolicy | None = None,
    tls: TlsFiles | None = None,
    pool_size: int | None = None,
    direct: bool = True,
    endpoint_from: str = "",
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return settings from arguments, else from the environment, else the defaults.

    Args:
        endpoint: Base URL; without it AIS_ENDPOINT.
        token: Bearer token, "" for none; without it AIS_AUTHN_TOKEN, then AIS_AUTHN_TOKEN_FILE.
        timeouts: Without it AIS_CONNECT_TIMEOUT and AIS_READ_TIMEOUT.
        retry: Without it the default policy.
        tls: Without it AIS_CLIENT_CA, AIS_CRT, AIS_CRT_KEY and AIS_SKIP_VERIFY_CRT.
        pool_size: Without it AIS_MAX_CONN_POOL.
        direct: Read from the node that holds an object, not by way of the proxy.
        endpoint_from: Where the endpoint was set, for errors; "" for the argument or AIS_ENDPOINT.
        environ: Read instead of os.environ.

    Raises:
        ConfigError: There is no endpoint, or a value is not valid; the text names the variable.
    """
    env = os.environ if environ is None else environ
    bearer, token_file = _token(token, env)
    return Settings(
        endpoint=_endpoint(endpoint, env),
        endpoint_from=endpoint_from
        or ("AIS_ENDPOINT" if endpoint is None else "the argument endpoint"),
        token=bearer,
        token_file=token_file,
        authn_url=base_url(env.get("AIS_AUTHN_URL") or Settings.authn_url, "AIS_AUTHN_URL"),
        timeouts=timeouts or _timeouts(env),
        retry=retry or RetryPolicy(),
        tls=tls or _tls(env),
        pool_size=_pool_size(pool_size, env),
        direct=direct,
    )


def serve_s3_keys(
    access_key: str | None = None,
    secret_key: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> tuple[str | None, str | None]:
    """Return the keys that S3 requests to `aisio serve` must be signed with; None for none.

    Args:
        access_key: Without it AISIO_SERVE_S3_ACCESS_KEY.
        secret_key: Without it AISIO_SERVE_S3_SECRET_KEY.
        environ: Read instead of os.environ.
    """
    env = os.environ if environ is None else environ
    return (
        access_key if access_key is not None else env.get("AISIO_SERVE_S3_ACCESS_KEY") or None,
        secret_key if secret_key is not None else env.get("AISIO_SERVE_S3_SECRET_KEY") or None,
    )


def is_set(*names: str, environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether any of these variables has a value."""
    env = os.environ if environ is None else environ
    return any(env.get(name) for name in names)


def first_set(*names: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the value of the first of these variables that has one."""
    item = first_item(*names, environ=environ)
    return item[1] if item else None


def first_item(*names: str, environ: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """Return the name and value of the first of these variables that has one."""
    env = os.environ if environ is None else environ
    return next(((name, env[name]) for name in names if env.get(name)), None)


def environment_with(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with changes, for the program of a task.

    The password with which tasks are started is left out.
    """
    return inherited_environment(without=(_TASKS_PASSWORD,)) | dict(changes)


def variables_with(
    prefixes: tuple[str, ...], environ: Mapping[str, str] | None = None
) -> frozenset[tuple[str, str]]:
    """Return all variables, with their values, whose names begin with one of these."""
    env = os.environ if environ is None else environ
    return frozenset(item for item in env.items() if item[0].startswith(prefixes))


def inherited_environment(
    *,
    without: tuple[str, ...] = (),
    keep: frozenset[str] = frozenset(),
    environ: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return a copy of the environment for a program that is about to be started.

    Args:
        without: Variables whose names begin with one of these are left out,
        keep: except these.
        environ: Read instead of os.environ.
    """
    env = os.environ if environ is None else environ
    return {
        name: value for name, value in env.items() if name in keep or not name.startswith(without)
    }


def _endpoint(argument: str | None, env: Mapping[str, str]) -> str:
    where = "endpoint" if argument is not None else "AIS_ENDPOINT"
    endpoint = argument if argument is not None else env.get("AIS_ENDPOINT", "")
    if not endpoint:
        raise ConfigError(
            "no endpoint: set AIS_ENDPOINT, as in http://127.0.0.1:8080, or pass endpoint= (of a "
            "command: --endpoint); without a cluster, `aisio serve DIR` starts a server"
        )
    return base_url(endpoint, where)


def base_url(text: str, where: str) -> str:
    """Return the base URL of a server, without a "/" at its end.

    Args:
        text: The value of a setting.
        where: The argument or variable that it comes from, for errors.

    Raises:
        ConfigError: It is not a base URL, or has a user name or password.
    """
    if "@" in text:
        raise ConfigError(
            f"{where} holds a user name or password: for a cluster pass token=, or AIS_AUTHN_TOKEN"
        )
    if not is_base_url(text):
        shown = text.partition("?")[0]  # the query may hold a signature
        meant = f"http://{shown}"
        hint = f"; was {meant} meant?" if "://" not in shown and is_base_url(meant) else ""
        raise ConfigError(f"{where}={shown!r} is no base URL, as in http://127.0.0.1:8080{hint}")
    return text.rstrip("/")


def _token(argument: str | None, env: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the token, and the file that it is from, if any."""
    if argument is not None:
        return _checked_token(argument, "token"), None
    if env.get("AIS_AUTHN_TOKEN"):
        return _checked_token(env["AIS_AUTHN_TOKEN"], "AIS_AUTHN_TOKEN"), None
    name = env.get("AIS_AUTHN_TOKEN_FILE")
    return (read_token_file(name), str(Path(name).absolute())) if name else (None, None)


def read_token_file(name: str) -> str:
    """Return the token in a file of the form of AIS_AUTHN_TOKEN_FILE.

    Raises:
        ConfigError: There is no such file, or no token in it.
    """
    try:
        token = json.loads(Path(name).read_text("utf-8"))["token"]
        if not isinstance(token, str) or not token.strip():
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        # No cause is chained: the errors of json and UnicodeDecodeError hold the file's content.
        raise ConfigError(
            f"AIS_AUTHN_TOKEN_FILE={name!r} holds no token ({type(error).__name__}): "
            'expected JSON, {"token": "..."}'
        ) from None
    return _checked_token(token, "AIS_AUTHN_TOKEN_FILE")


def _checked_token(token: str, where: str) -> str:
    """Return a token if a header can carry it; an HTTP library's error would show the token."""
    token = token.strip()
    if token and not is_sendable_token(token):
        raise ConfigError(f"{where} is not a bearer token: it holds blanks or non-ASCII characters")
    return token


def _timeouts(env: Mapping[str, str]) -> Timeouts:
    default = Timeouts()
    return Timeouts(
        _seconds("AIS_CONNECT_TIMEOUT", env, default.connect_s),
        _seconds("AIS_READ_TIMEOUT", env, default.read_s),
    )


def _seconds(name: str, env: Mapping[str, str], default: float | None) -> float | None:
    text = env.get(name)
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{name}={text!r} is not a number of seconds (0 waits for ever)")
    return seconds or None


def _tls(env: Mapping[str, str]) -> TlsFiles:
    skip_name = "AIS_SKIP_VERIFY_CRT" if env.get("AIS_SKIP_VERIFY_CRT") else "AIS_SKIP_VERIFY"
    return TlsFiles(
        verify=not _flag(skip_name, env),
        ca_file=env.get("AIS_CLIENT_CA") or None,
        client_cert_file=env.get("AIS_CRT") or None,
        client_key_file=env.get("AIS_CRT_KEY") or None,
    )


def _flag(name: str, env: Mapping[str, str]) -> bool:
    text = env.get(name, "").lower()
    if text in TRUE_WORDS:
        return True
    if not text or text in FALSE_WORDS:
        return False
    raise ConfigError(f"{name}={env[name]!r} is neither true nor false")


def _pool_size(argument: int | None, env: Mapping[str, str]) -> int:
    size = (
        argument
        if argument is not None
        else _whole_number("AIS_MAX_CONN_POOL", env, Settings.pool_size)
    )
    if size < 1:
        raise ConfigError(
            f"pool size {size} must be at least 1 (argument pool_size or AIS_MAX_CONN_POOL)"
        )
    return size


def _whole_number(name: str, env: Mapping[str, str], default: int) -> int:
    text = env.get(name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a whole number") from None


def default_cache_folder() -> Path:
    """Return the folder of downloads; it need not exist.

    It is AISIO_CACHE_DIR, else BIONEMO_CACHE_DIR, else the user's cache folder for aisio. The
    variables are read at each call; "~" in them is the user's home folder.

    Raises:
        ConfigError: It depends on the user's home folder, and there is none.
    """
    import platformdirs

    configured = first_set("AISIO_CACHE_DIR", "BIONEMO_CACHE_DIR")
    if configured:
        return absolute_folder(configured)
    try:
        folder = platformdirs.user_cache_path("aisio")
    except RuntimeError:  # of platformdirs; older versions return "~/.cache/aisio"
        folder = Path()
    if not folder.is_absolute():
        raise ConfigError("there is no home folder to cache in: set AISIO_CACHE_DIR to a folder")
    return folder


def default_tasks_home() -> Path:
    """Return the folder of the records of training tasks; it need not exist.

    It is AISIO_TASKS_HOME, else tasks/ in the user's data folder for aisio.

    Raises:
        ConfigError: It depends on the user's home folder, and there is none.
    """
    import platformdirs

    if configured := first_set("AISIO_TASKS_HOME"):
        return absolute_folder(configured)
    try:
        folder = platformdirs.user_data_path("aisio") / "tasks"
    except RuntimeError:
        folder = Path()
    if not folder.is_absolute():
        raise ConfigError("there is no home folder: set AISIO_TASKS_HOME to a folder")
    return folder


def absolute_folder(folder: Path | str) -> Path:
    """Return the whole path of a folder; "~" is the user's home folder.

    Raises:
        ConfigError: It is empty, or begins with "~" and the name of no user.
    """
    if not os.fspath(folder):
        raise ConfigError("the name of a folder is empty: leave it out, or give its path")
    try:
        return Path(folder).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(f"folder {folder}: {error}; give its whole path") from error
