"""The configuration file of Alibaba's OSS connector: its keys, their defaults, and what is refused.

    {"logLevel": 1, "logPath": "/var/log/oss-connector/connector.log",
     "auditPath": "/var/log/oss-connector/audit.log",
     "datasetConfig": {"prefetchConcurrency": 24, "prefetchWorker": 2},
     "checkpointConfig": {"prefetchConcurrency": 24, "prefetchWorker": 4, "uploadConcurrency": 64}}

Keys that say how the vendor's own threads and buffers work are checked, and have no effect.

Source:
    "Configuring OSS Connector for AI/ML", Alibaba Cloud, and osstorchconnector 1.2.3.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, field
from msgspec.structs import fields

from aisio.errors import ConfigError
from aisio.escapes import one_line

__all__ = ["DEFAULT_CONFIG_FILE", "CheckpointConfig", "DatasetConfig", "OssConfig", "read_config"]

DEFAULT_CONFIG_FILE = Path("/etc/oss-connector/config.json")

_log = logging.getLogger("aisio.oss")
_MIB = 1 << 20

_Count = Annotated[int, Meta(ge=1)]
_Level = Annotated[int, Meta(ge=0, le=3)]


class DatasetConfig(Struct, frozen=True, rename="camel"):
    """How datasets read.

    Attributes:
        prefetch_concurrency: Maximum number of objects that are read at once.
        timeout_ms: How long to wait for the next bytes of a response; None for the default.
    """

    prefetch_concurrency: _Count = 24
    timeout_ms: _Count | None = None
    prefetch_worker: _Count = 2
    enable_fast_list: bool = False
    list_concurrency: _Count = 16
    list_worker: _Count = 1
    prefetch_io_size_mb: _Count | None = field(default=None, name="prefetchIoSizeMB")
    prefetch_unit_mb: _Count | None = field(default=None, name="prefetchUnitMB")
    prefetch_mb: _Count | None = field(default=None, name="prefetchMB")
    enable_batch_get: bool = False
    batch_get_size: _Count | None = None
    io_engine_type: Annotated[int, Meta(ge=0)] = 0


class CheckpointConfig(Struct, frozen=True, rename="camel"):
    """How checkpoints are read and written.

    Attributes:
        prefetch_concurrency: How many ranges of a checkpoint are read at once.
        prefetch_io_size_mb: Size of such a range, in MiB.
        upload_concurrency: Maximum number of parts that are sent at once.
        upload_io_size_mb: Size of a part, in MiB.
        upload_buffer_size_mb: Memory for the parts of one checkpoint, in MiB.
        timeout_ms: How long to wait for the next bytes of a response; None for the default.
    """

    prefetch_concurrency: _Count = 24
    prefetch_io_size_mb: _Count = field(default=8, name="prefetchIoSizeMB")
    upload_concurrency: _Count = 64
    upload_io_size_mb: _Count = field(default=16, name="uploadIoSizeMB")
    upload_buffer_size_mb: _Count = field(default=256, name="uploadBufferSizeMB")
    timeout_ms: _Count | None = None
    prefetch_worker: _Count = 4
    prefetch_unit_mb: _Count | None = field(default=None, name="prefetchUnitMB")
    prefetch_mb: _Count | None = field(default=None, name="prefetchMB")
    write_io_size_mb: _Count | None = field(default=None, name="writeIoSizeMB")
    io_engine_type: Annotated[int, Meta(ge=0)] = 0

    @property
    def range_bytes(self) -> int:
        """How many bytes one request of a reader carries."""
        return self.prefetch_io_size_mb * _MIB

    @property
    def part_bytes(self) -> int:
        """How many bytes one request of a writer carries."""
        return self.upload_io_size_mb * _MIB

    @property
    def parts_at_once(self) -> int:
        """How many parts a writer sends at once: it holds three more in memory."""
        in_memory = self.upload_buffer_size_mb // self.upload_io_size_mb
        return max(1, min(self.upload_concurrency, in_memory - 3))


class _Threads(Struct, frozen=True):
    vcpus: _Count = 16
    workers: _Count = 16


class OssConfig(Struct, frozen=True, rename="camel"):
    """What a configuration file says.

    Attributes:
        log_level: 0 logs all, 1 information, 2 warnings, 3 errors alone.
        log_path: The log file, whose name gets `_<worker id>` at its end; "" for none.
        audit_path: The file with a line for each request, likewise.
        dataset_config: How datasets read.
        checkpoint_config: How checkpoints are read and written.
    """

    log_level: _Level = 1
    log_path: str = ""
    audit_path: str = ""
    dataset_config: DatasetConfig = DatasetConfig()
    checkpoint_config: CheckpointConfig = CheckpointConfig()
    prefetch: _Threads = _Threads()
    fast_list: _Threads = _Threads()


def read_config(
    path: str | os.PathLike[str] = "", *, default: Path = DEFAULT_CONFIG_FILE
) -> OssConfig:
    """Return what a configuration file says; a warning in the log names keys that are not known.

    Args:
        path: The file; "" for the default one, which need not exist.
        default: The default one.

    Raises:
        ConfigError: There is no such file, it is no JSON object, or a value is not valid; the text
            names the key.
    """
    file = Path(path) if os.fspath(path or "") else default
    where = f"OSS configuration file {one_line(str(file))}"
    try:
        said = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        if not path:
            return OssConfig()
        raise ConfigError(f"{where}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is no JSON: {error}") from None
    if not isinstance(said, dict):
        raise ConfigError(f'{where}: an object of JSON is needed, as in {{"logLevel": 1}}')
    try:
        config = convert(said, OssConfig)
    except ValidationError as error:
        raise ConfigError(f"{where}: {error}") from None
    _warn_of_unknown(said, config, where)
    return config


def _warn_of_unknown(said: dict[str, Any], config: Struct, where: str, section: str = "") -> None:
    known = {one.encode_name: getattr(config, one.name) for one in fields(config)}
    for key, value in said.items():
        if key not in known:
            shown = one_line(f"{section}{key}")
            _log.warning("%s: the key %s is not known, and ignored", where, shown)
        elif isinstance(inner := known[key], Struct):
            _warn_of_unknown(value, inner, where, f"{key}.")
