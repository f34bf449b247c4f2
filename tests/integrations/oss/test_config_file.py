"""The configuration file of the OSS connector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aisio.errors import ConfigError
from aisio.integrations.oss.config_file import CheckpointConfig, OssConfig, read_config

DOCUMENTED = {
    "logLevel": 1,
    "logPath": "/var/log/oss-connector/connector.log",
    "auditPath": "/var/log/oss-connector/audit.log",
    "datasetConfig": {
        "prefetchConcurrency": 24,
        "prefetchWorker": 2,
        "enableFastList": False,
        "listConcurrency": 16,
        "listWorker": 1,
    },
    "checkpointConfig": {
        "prefetchConcurrency": 24,
        "prefetchWorker": 4,
        "uploadConcurrency": 64,
    },
}


def written(folder: Path, said: Any) -> Path:
    """Return a file with a value as JSON, or with a text."""
    file = folder / "config.json"
    file.write_text(said if isinstance(said, str) else json.dumps(said), "utf-8")
    return file


def test_oss_33_documented_keys_have_their_defaults(tmp_path: Path, caplog) -> None:
    """What the vendor's page shows is what holds without a file, but for the log's paths."""
    config = read_config(written(tmp_path, DOCUMENTED))
    assert config == OssConfig(
        log_path="/var/log/oss-connector/connector.log",
        audit_path="/var/log/oss-connector/audit.log",
    )
    assert caplog.messages == []


def test_oss_33_keys_are_honoured(tmp_path: Path) -> None:
    """Those that the vendor documents, and those that only its program knows."""
    config = read_config(
        written(
            tmp_path,
            {
                "logLevel": 3,
                "datasetConfig": {"prefetchConcurrency": 5, "timeoutMs": 1500},
                "checkpointConfig": {"uploadIoSizeMB": 8, "prefetchIoSizeMB": 2},
                "prefetch": {"vcpus": 4, "workers": 4},
            },
        )
    )
    assert (config.log_level, config.dataset_config.prefetch_concurrency) == (3, 5)
    assert config.dataset_config.timeout_ms == 1500
    assert config.checkpoint_config.part_bytes == 8 << 20
    assert config.checkpoint_config.range_bytes == 2 << 20


@pytest.mark.parametrize(
    ("said", "expected"),
    [({}, 13), ({"upload_concurrency": 4}, 4), ({"upload_buffer_size_mb": 1}, 1)],
)
def test_a_writer_stays_within_its_buffer(said: dict[str, int], expected: int) -> None:
    """The buffer holds what is sent and three parts more."""
    assert CheckpointConfig(**said).parts_at_once == expected


def test_the_default_file_need_not_exist(tmp_path: Path) -> None:
    """It is read where it exists."""
    file = tmp_path / "config.json"
    assert read_config(default=file) == OssConfig()
    assert read_config(default=written(tmp_path, {"logLevel": 2})).log_level == 2


def test_oss_33_unknown_keys_are_warned_of(tmp_path: Path, caplog) -> None:
    """Each by its name and section; the others count."""
    said = {"loglevel": 0, "logLevel": 2, "datasetConfig": {"prefetchWorkers": 2}}
    assert read_config(written(tmp_path, said)).log_level == 2
    assert [text.rpartition(": ")[2] for text in caplog.messages] == [
        "the key loglevel is not known, and ignored",
        "the key datasetConfig.prefetchWorkers is not known, and ignored",
    ]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ('{"logLevel": 1,, }', "is no JSON: Expecting property name"),
        ("[1]", "an object of JSON is needed"),
        ("", "is no JSON"),
        ({"logLevel": "1"}, r"Expected `int`, got `str` - at `\$.logLevel`"),
        ({"logLevel": 9}, r"Expected `int` <= 3 - at `\$.logLevel`"),
        ({"logLevel": True}, r"Expected `int`, got `bool` - at `\$.logLevel`"),
        ({"logPath": 1}, r"Expected `str`, got `int` - at `\$.logPath`"),
        ({"datasetConfig": []}, r"Expected `object`, got `array` - at `\$.datasetConfig`"),
        (
            {"datasetConfig": {"prefetchConcurrency": 0}},
            r"Expected `int` >= 1 - at `\$.datasetConfig.prefetchConcurrency`",
        ),
        (
            {"checkpointConfig": {"uploadConcurrency": -1}},
            r"Expected `int` >= 1 - at `\$.checkpointConfig.uploadConcurrency`",
        ),
        (
            {"datasetConfig": {"enableFastList": "no"}},
            r"Expected `bool`, got `str` - at `\$.datasetConfig.enableFastList`",
        ),
    ],
)
def test_oss_33_what_cannot_be_meant_is_refused(tmp_path: Path, said: Any, text: str) -> None:
    """The error names the file and the key."""
    with pytest.raises(ConfigError, match=f"config.json.*{text}"):
        read_config(written(tmp_path, said))


def test_oss_33_a_file_that_is_named_must_be_readable(tmp_path: Path) -> None:
    """Missing, a folder, or not UTF-8."""
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    for name, text in (("none.json", "no such file"), (".", "directory"), ("bytes.json", "JSON")):
        with pytest.raises(ConfigError, match=text):
            read_config(tmp_path / name)
