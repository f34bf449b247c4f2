"""What the arguments that all of the connector's classes share say: how to reach OSS."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aisio.config import is_set
from aisio.errors import ConfigError
from aisio.integrations.oss.config_file import OssConfig, read_config
from aisio.integrations.oss.log_files import LogFiles
from aisio.integrations.oss.uris import required
from aisio.records import MAX_CONCURRENT_READS, Concurrency, Timeouts
from aisio.stores import DirectSettings

__all__ = ["OssConnected", "OssConnection"]

_CREDENTIALS_FILE = "~/.alibabacloud/credentials"

_log = logging.getLogger("aisio.oss")


@dataclass(frozen=True)
class OssConnection:
    """How to reach OSS, or local files.

    Attributes:
        direct: The endpoint, region and credentials, as aisio's own classes take them; False for
            local files.
        config: What the configuration file says.
        log_files: Keeps the files open that it names.
    """

    direct: bool | DirectSettings
    config: OssConfig
    log_files: LogFiles

    @classmethod
    def of(
        cls,
        owner: str,
        endpoint: str,
        *,
        cred_path: str = "",
        cred_provider: Any = None,
        config_path: str = "",
        region: str = "",
    ) -> OssConnection:
        """Return the connection that arguments of the connector say; no request is sent.

        Args:
            owner: Name of the class that was given them, for errors.
            endpoint: The endpoint; "" for local files.
            cred_path: JSON file with the keys; without it, and without a provider, the keys are
                those of the environment, else of ~/.alibabacloud/credentials.
            cred_provider: An object whose `get_credentials()` returns the keys.
            config_path: The configuration file.
            region: The region, where the endpoint does not tell it.

        Raises:
            ConfigError: The configuration file is not valid, or there are two kinds of keys.
        """
        if cred_path and cred_provider:
            raise ConfigError(f"<{owner}> cred_path and cred_provider: pass one of the two")
        config = read_config(config_path)
        log_files = LogFiles(config)
        if not endpoint:
            _log.warning("<%s> endpoint is empty: URIs name local files", owner)
            return cls(False, config, log_files)
        direct = DirectSettings(
            endpoint,
            region or None,
            credentials=cred_provider or cred_path or _default_credentials(),
        )
        return cls(direct, config, log_files)

    @property
    def is_local(self) -> bool:
        """Whether URIs name local files."""
        return not self.direct

    def dataset_options(self) -> dict[str, Any]:
        """Return the options of a dataset."""
        said = self.config.dataset_config
        most = min(said.prefetch_concurrency, MAX_CONCURRENT_READS)
        return {
            "direct": self.settings(said.timeout_ms),
            "concurrency": Concurrency(start=min(Concurrency().start, most), most=most),
        }

    def read_options(self) -> dict[str, Any]:
        """Return the options of what reads checkpoints."""
        said = self.config.checkpoint_config
        return {
            "direct": self.settings(said.timeout_ms),
            "part_bytes": said.range_bytes,
            "concurrency": said.prefetch_concurrency,
        }

    def write_options(self) -> dict[str, Any]:
        """Return the options of what writes checkpoints."""
        said = self.config.checkpoint_config
        return {
            "direct": self.settings(said.timeout_ms),
            "part_bytes": said.part_bytes,
            "concurrency": said.parts_at_once,
        }

    def settings(self, timeout_ms: int | None) -> bool | DirectSettings:
        """Return `direct` with a timeout for the next bytes; None for the default."""
        if timeout_ms is None or not isinstance(self.direct, DirectSettings):
            return self.direct
        return replace(self.direct, timeouts=Timeouts(read_s=timeout_ms / 1000))


class OssConnected:
    """The base of the connector's classes that are made for an endpoint; no request is sent.

    The configuration file says how many requests are sent at once, and of what size.

    Args:
        endpoint: The bucket's endpoint, a URL or a host.
        cred_path: JSON file with the keys; see `OssConnection`.
        config_path: The configuration file.
        cred_provider: An object whose `get_credentials()` returns the keys.
        region: The bucket's region, where the endpoint does not tell it.

    Raises:
        ConfigError: There is no endpoint, or another argument is not valid.
    """

    def __init__(
        self,
        endpoint: str,
        cred_path: str = "",
        config_path: str = "",
        cred_provider: Any = None,
        region: str = "",
    ) -> None:
        owner = type(self).__name__
        required(owner, "endpoint", endpoint)
        self._connection = OssConnection.of(
            owner,
            endpoint,
            cred_path=cred_path,
            cred_provider=cred_provider,
            config_path=config_path,
            region=region,
        )
        self._connected()

    def _connected(self) -> None:
        """Make what the class needs of its connection."""


def _default_credentials() -> str | None:
    if is_set("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET"):
        return None
    return _CREDENTIALS_FILE if Path(_CREDENTIALS_FILE).expanduser().is_file() else None
