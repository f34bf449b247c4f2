"""A tar and its index, by the OSS connector's names."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401

from aisio import AISMapDataset
from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.integrations.oss import OssMapDataset, generate_tar_archive
from tests.integrations.oss.conftest import Place
from tests.oss_server import REGION

NAMES = ["a/1.txt", "a/2.txt", "b.txt"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with three files."""
    made = tmp_path / "source"
    (made / "a").mkdir(parents=True)
    for name in NAMES:
        (made / name).write_bytes(name.encode())
    return made


def names_in(data: bytes) -> list[str]:
    """Return the names of the members of a tar."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def pack(place: Place, *paths: Any, **options: Any) -> int:
    """Call the function for a bucket."""
    options["region"] = REGION
    return generate_tar_archive(place.endpoint, place.keys, "", *paths, **options)


def test_oss_18_a_folder_or_a_prefix_is_packed_to_any_place(
    place: Place, folder: Path, tmp_path: Path
) -> None:
    """The names are relative, and sorted; what exists is replaced."""
    tar, index = f"oss://{place.name}/out/x.tar", f"oss://{place.name}/out/x.idx"
    place.put("out/x.tar", b"old")
    assert pack(place, tar, index, f"{folder}") == 0
    assert names_in(place.get("out/x.tar")) == NAMES
    dataset: Any = OssMapDataset.from_tar(tar, index, place.endpoint, **place.options)
    assert [(one.key, one.read()) for one in dataset] == [(name, name.encode()) for name in NAMES]
    for name in NAMES:
        place.put(f"train/{name}", name.encode())
    local = (f"{tmp_path}/x.tar", f"{tmp_path}/x.idx")
    assert pack(place, *local, f"oss://{place.name}/train/") == 0
    assert names_in((tmp_path / "x.tar").read_bytes()) == NAMES
    here: Any = AISMapDataset.from_tar(*map(Path, local))
    assert [name for name, _ in here] == NAMES


def test_oss_17_an_index_alone_is_written(place: Place, folder: Path) -> None:
    """Of a tar that exists; the source has no meaning then."""
    tar, index = f"oss://{place.name}/x.tar", f"oss://{place.name}/x.idx"
    pack(place, tar, index, f"{folder}")
    expected = place.get("x.idx")
    place.put("x.idx", b"old")
    assert pack(place, tar, index, "", index_only=True) == 0
    assert place.get("x.idx") == expected


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"endpoint": ""}, ConfigError, "endpoint must be non-empty"),
        ({"cred_path": ""}, ConfigError, "neither cred_path nor cred_provider is specified"),
        ({"tar_path": ""}, ConfigError, "tar_path must be non-empty"),
        ({"index_path": ""}, ConfigError, "index_path must be non-empty"),
        ({"source_path": ""}, ConfigError, "source_path must be non-empty"),
        ({"tar_path": "s3://b/k"}, UrlError, "only oss:// uri are supported for tar_path"),
        ({"source_path": "/no/such/folder"}, NotFoundError, "/no/such/folder"),
    ],
)
def test_oss_18_arguments_are_refused_in_words(
    tmp_path: Path, folder: Path, change: dict[str, str], kind: type, text: str
) -> None:
    """The connector's own; nothing is written."""
    arguments: dict[str, Any] = {
        "endpoint": "https://oss-cn-test.aliyuncs.com",
        "cred_path": "keys.json",
        "config_path": "",
        "tar_path": f"{tmp_path}/x.tar",
        "index_path": f"{tmp_path}/x.idx",
        "source_path": f"{folder}",
    }
    with pytest.raises(kind, match=text):
        generate_tar_archive(**arguments | change)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_oss_18_the_command_has_the_connectors_options(
    place: Place, folder: Path, tmp_path: Path
) -> None:
    """It returns 0, or 1 with one line."""
    command = [sys.executable, "-m", "aisio.integrations.oss.tar_archive", "-ep", place.endpoint]
    command += ["--cred-path", place.keys, "--region", REGION, "--source-path", f"{folder}"]
    command += ["--tar-path", f"{tmp_path}/x.tar", "--index-path"]
    done = subprocess.run([*command, f"oss://{place.name}/x.idx"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert place.get("x.idx").startswith(b"TarIdx\0\0")
    done = subprocess.run([*command, "s3://b/x.idx"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: <generate_tar_archive> only oss:// uri are supported")
    assert done.stderr.count("\n") == 1
