"""Models by the OSS connector's names."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.integrations.oss import OssModelConnector
from aisio.models import MemoryOptions
from tests.integrations.oss.conftest import Place

FILES = {"llama/config.json": b'{"a": 1}\n', "llama/large.bin": b"0123456789" * 10}


@pytest.fixture
def connector(place: Place) -> Any:
    """Return a connector to a bucket with the files of a model."""
    for name, data in FILES.items():
        place.put(name, data)
    with OssModelConnector(place.endpoint, **place.options) as made:
        yield made


def test_oss_35_a_listing_has_keys_and_sizes(place: Place, connector: OssModelConnector) -> None:
    """In order, with the connector's flag too."""
    expected = [(name, len(data)) for name, data in FILES.items()]
    assert [(one.key, one.size) for one in connector.list(place.name, "llama/")] == expected
    assert connector.list(place.name, "llama/", True) == expected
    for bucket in (place.name, f"oss://{place.name}", f"oss://{place.name}/", f"/{place.name}/"):
        assert connector.list(bucket, "") == expected


def test_oss_36_files_are_opened_binary_or_as_text(
    place: Place, connector: OssModelConnector
) -> None:
    """Under either spelling."""
    with connector.open(f"/{place.name}/llama/large.bin") as file:
        assert (file.seek(5), file.read(3)) == (5, b"567")
    with connector.open(f"oss://{place.name}/llama/config.json", False) as file:
        assert file.read() == '{"a": 1}\n'
    with pytest.raises(NotFoundError, match="none"):
        connector.open(f"oss://{place.name}/none")


def test_oss_37_a_folder_is_prepared(
    place: Place, connector: OssModelConnector, tmp_path: Path
) -> None:
    """Closing the connector empties it; so does dropping one."""
    memory = MemoryOptions(from_bytes=50)
    folder = tmp_path / "llama"
    connector.prepare_directory(f"oss://{place.name}/llama/", f"{folder}", memory=memory)
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    read = {f"llama/{path.name}": path.read_bytes() for path in shown}
    assert read == FILES
    connector.close()
    connector.close()
    assert not (folder / "config.json").exists()
    other = OssModelConnector(place.endpoint, **place.options)
    other.prepare_directory(f"/{place.name}/llama", folder, libc_hook=True)
    assert (folder / "large.bin").read_bytes() == FILES["llama/large.bin"]
    del other
    gc.collect()
    assert not (folder / "large.bin").exists()


def test_oss_01_arguments_are_refused_in_words() -> None:
    """A ValueError, before any request."""
    endpoint = "https://oss-cn-test.aliyuncs.com"
    with pytest.raises(ValueError, match="<OssModelConnector> endpoint must be non-empty"):
        OssModelConnector("")
    with pytest.raises(ConfigError, match="Either cred_path or cred_provider must be provided"):
        OssModelConnector(endpoint)
    with OssModelConnector(endpoint, "keys.json") as connector:
        with pytest.raises(UrlError, match="only oss:// uri are supported"):
            connector.open("model.bin")
        with pytest.raises(ConfigError, match="bucket must be non-empty"):
            connector.list("", "llama/")
