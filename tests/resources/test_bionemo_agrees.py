"""bionemo-core 2.4.5 and aisio: the same tag gives the same bytes at the same path.

Each loads into a cache of its own, and then from the other's. Where upstream has a defect that
aisio does not copy, the test of that line of the table stands elsewhere.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import bionemo  # noqa: F401 - its modules are imported where their cache folder is known
import ngcbase.environ
import ngcsdk  # noqa: F401 - bionemo needs it
import pytest
from ngcbase.errors import NgcException

from aisio.errors import DigestError
from aisio.resources.cache.cache import Cache
from aisio.resources.loading import load
from tests.http_server import Reply, Server
from tests.moto_server import KEYS, boto_client, s3_server
from tests.resources.certificates import Authority
from tests.resources.ngc_server import NgcServer, registry_for_a_guest

pytest.importorskip("obstore")
pytest.importorskip("boto3")
pytest.importorskip("moto")
pooch = pytest.importorskip("pooch")

DATA = bytes(range(256)) * 300
MEMBERS = {"top.txt": b"top", "folder/inner.bin": DATA, "folder/empty": b""}
SOURCES = ["pbss", "ngc"]


def tarred(mode: str) -> bytes:
    """Return MEMBERS as a tar."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


def zipped() -> bytes:
    """Return MEMBERS as a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in MEMBERS.items():
            archive.writestr(name, data)
    return file.getvalue()


PLAIN: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "plain": ("esm.nemo", DATA, {}),
    "no ending": ("esm", DATA, {}),
    "empty": ("empty.bin", b"", {}),
    "odd name": ("a+b=(1)~.bin", DATA, {}),
    "md5": ("b.bin", DATA, {"sha256": f"md5:{hashlib.md5(DATA).hexdigest()}"}),
    "capitals": ("b.bin", DATA, {"sha256": hashlib.sha256(DATA).hexdigest().upper()}),
}
PACKED: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "gz": ("a.gz", gzip.compress(DATA), {}),
    "bz2": ("a.bz2", bz2.compress(DATA), {}),
    "xz": ("a.xz", lzma.compress(DATA), {}),
    "tar": ("a.tar", tarred("w"), {}),
    "tar.gz": ("a.tar.gz", tarred("w:gz"), {}),
    "zip": ("a.zip", zipped(), {}),
}
AS_IT_IS: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    name: (*PACKED[name][:2], {"decompress" if name in ("gz", "bz2", "xz") else "unpack": False})
    for name in PACKED
}
QUOTED: tuple[str, bytes, dict[str, Any]] = ("a b\N{LATIN SMALL LETTER E WITH ACUTE}.bin", DATA, {})
CASES = (
    {"quoted name": QUOTED}
    | PLAIN
    | PACKED
    | {f"{name} as it is": case for name, case in AS_IT_IS.items()}
)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Import bionemo.core.data.load, with a cache folder that is removed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIONEMO_CACHE_DIR", str(tmp_path_factory.mktemp("unused")))
        with warnings.catch_warnings():
            # Of pydantic's and others' old ways; none of it is about what is tested here.
            warnings.simplefilter("ignore")
            module = import_module("bionemo.core.data.load")
        # It would change asyncio for all tests that follow; the client does not need it.
        patch.setattr(module.nest_asyncio, "apply", lambda: None)
        yield module


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Return the endpoint of an S3 server with a bucket."""
    with s3_server() as endpoint:
        boto_client(endpoint).create_bucket(Bucket="bionemo-ci")
        yield endpoint


@pytest.fixture
def places(
    upstream: Any,
    s3: str,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[NgcServer]:
    """Tell both loaders of both registries: a moto server, and NVIDIA's on loopback."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    for name in ("NGC_CLI_API_KEY", "NGC_CLI_ORG", "NGC_CLI_TEAM", "NGC_CLI_HOME"):
        monkeypatch.setattr(ngcbase.environ, name, None)
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", s3)
    monkeypatch.setattr(upstream, "default_pbss_client", lambda: boto_client(s3))
    with registry_for_a_guest(authority, tmp_path, monkeypatch) as server:
        monkeypatch.setenv("NGC_CLI_GUEST_TOKEN", "5c3b6b4e-3a0a-4b0e-9b0c-2f7f8f0f6a11")
        monkeypatch.setattr(ngcbase.environ, "NGC_CLI_API_URL", server.url)
        yield server


@pytest.fixture
def put(places: NgcServer, upstream: Any, s3: str) -> Callable[[str], dict[str, Any]]:
    """Return a function that stores a case in both registries and returns the resources."""

    def store(case: str) -> dict[str, Any]:
        filename, data, fields = CASES[case]
        entry = {
            "tag": "esm2/tag",
            "ngc": "nvidia/clara/esm:2.0",
            "ngc_registry": "model",
            "pbss": f"s3://bionemo-ci/models/{filename}",
            "sha256": hashlib.sha256(data).hexdigest(),
            "owner": "Me <me@example.com>",
        }
        resource = upstream.Resource(**entry | fields)
        # Upstream quotes odd characters, and asks for the name with the quotes in it.
        key = str(resource.pbss).removeprefix("s3://bionemo-ci/")
        boto_client(s3).put_object(Bucket="bionemo-ci", Key=key, Body=data)
        places.add("nvidia/clara/esm:2.0", {key.removeprefix("models/"): data})
        return {resource.tag: resource}

    return store


def files_in(path: Path) -> dict[str, bytes]:
    """Return the bytes of a file, or of all files of a folder by their paths in it."""
    found = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return {str(one.relative_to(path)): one.read_bytes() for one in found}


def names_in(folder: Path) -> set[str]:
    """Return the files of a cache, without those that aisio keeps there for itself."""
    return {
        path.name
        for path in folder.iterdir()
        if "aisio" not in path.name and path.suffix != ".lock"
    }


@pytest.fixture
def agree(put: Any, upstream: Any, places: NgcServer, tmp_path: Path) -> Callable[[str, str], None]:
    """Return a function that loads a case with both and compares the results."""

    def compare(case: str, source: str) -> None:
        resources, caches = put(case), (tmp_path / "theirs", tmp_path / "ours")
        theirs = upstream.load("esm2/tag", source, resources, caches[0])
        asked = len(places.requests)
        ours = load("esm2/tag", source, resources, caches[1])
        assert ours.relative_to(caches[1]) == theirs.relative_to(caches[0])
        assert files_in(ours) == files_in(theirs)
        assert names_in(caches[1]) == names_in(caches[0])
        assert (len(places.requests) > asked > 0) == (source == "ngc")

    return compare


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("case", PLAIN)
def test_ngc_13_the_same_tag_gives_the_same_bytes_at_the_same_path(
    agree: Any, case: str, source: str
) -> None:
    """And the caches hold the same files; upstream's own entries are understood."""
    agree(case, source)


def test_ngc_13_a_name_that_upstream_quotes_stays_quoted(agree: Any) -> None:
    """From PBSS; its way to the registry stumbles over a percent sign."""
    agree("quoted name", "pbss")


@pytest.mark.parametrize(
    ("case", "source"), [("tar.gz", "ngc"), *((case, "pbss") for case in PACKED)]
)
def test_ngc_18_both_unpack_to_the_same_files(agree: Any, case: str, source: str) -> None:
    """With the same names beside the archive."""
    agree(case, source)


@pytest.mark.parametrize(
    ("case", "source"), [("gz", "ngc"), *((case, "pbss") for case in AS_IT_IS)]
)
def test_ngc_19_both_leave_packed_what_is_to_stay(agree: Any, case: str, source: str) -> None:
    """The archive itself is the result."""
    agree(f"{case} as it is", source)


@pytest.mark.parametrize("ours_first", [False, True])
@pytest.mark.parametrize("case", ["plain", "gz", "tar.gz", "zip", "tar as it is"])
def test_each_loads_from_the_cache_of_the_other(
    put: Any, upstream: Any, places: NgcServer, tmp_path: Path, case: str, ours_first: bool
) -> None:
    """Without asking the registry again."""
    resources = put(case)
    loaders = [upstream.load, load] if not ours_first else [load, upstream.load]
    first = loaders[0]("esm2/tag", "ngc", resources, tmp_path / "cache")
    before, names = files_in(first), names_in(tmp_path / "cache")
    places.requests.clear()
    assert loaders[1]("esm2/tag", "ngc", resources, tmp_path / "cache") == first
    assert not places.requests
    assert files_in(first) == before
    assert names_in(tmp_path / "cache") == names


@pytest.mark.parametrize("source", SOURCES)
def test_ngc_16_both_replace_a_file_of_another_hash(
    put: Any, upstream: Any, tmp_path: Path, source: str
) -> None:
    """It has the right name and wrong bytes; its result is made again too."""
    resources = put("tar.gz")
    for loader in (upstream.load, load):
        result = loader("esm2/tag", source, resources, tmp_path)
        archive = result.with_name(result.name.removesuffix(".untar"))
        archive.write_bytes(b"wrong")
        assert loader("esm2/tag", source, resources, tmp_path) == result
        assert archive.read_bytes() == CASES["tar.gz"][1]
        assert files_in(result) == MEMBERS


def test_ngc_21_both_put_back_a_member_that_is_missing(
    put: Any, upstream: Any, places: NgcServer, tmp_path: Path
) -> None:
    """From the archive, without a download."""
    resources = put("tar.gz")
    for loader in (upstream.load, load):
        result = loader("esm2/tag", "ngc", resources, tmp_path)
        (result / "folder" / "inner.bin").unlink()
        places.requests.clear()
        assert loader("esm2/tag", "ngc", resources, tmp_path) == result
        assert files_in(result) == MEMBERS
        assert not places.requests


@pytest.mark.parametrize("source", SOURCES)
def test_ngc_15_neither_keeps_bytes_of_another_hash(
    put: Any, upstream: Any, tmp_path: Path, source: str
) -> None:
    """Both raise a ValueError with the expected and the actual digest; the caches stay empty."""
    resources = put("plain")
    entry = resources["esm2/tag"].model_copy(update={"sha256": "0" * 64})
    got = hashlib.sha256(DATA).hexdigest()
    with pytest.raises(ValueError, match=rf"{'0' * 64}.* {got}"):
        upstream.load("esm2/tag", source, {"esm2/tag": entry}, tmp_path / "theirs")
    with pytest.raises(DigestError, match=got) as caught:
        load("esm2/tag", source, {"esm2/tag": entry}, tmp_path / "ours")
    assert "0" * 64 in str(caught.value)
    assert names_in(tmp_path / "theirs") == names_in(tmp_path / "ours") == set()


@pytest.mark.parametrize("tag", ["esm2/none", "esm2/tag"])
@pytest.mark.parametrize("source", ["ngc", "nowhere"])
def test_ngc_08_both_refuse_the_same_things(
    put: Any, upstream: Any, tmp_path: Path, tag: str, source: str
) -> None:
    """In the same order; our text begins with upstream's and adds what to do."""
    entry = put("plain")["esm2/tag"].model_copy(update={"ngc": None, "ngc_registry": None})
    with pytest.raises(ValueError, match="^(Resource|Source)") as theirs:
        upstream.load(tag, source, {"esm2/tag": entry}, tmp_path)
    with pytest.raises(ValueError, match="^(Resource|Source)") as ours:
        load(tag, source, {"esm2/tag": entry}, tmp_path)
    assert str(ours.value).startswith(str(theirs.value).rstrip("."))


def test_ngc_24_a_resource_is_no_model(
    put: Any, upstream: Any, places: NgcServer, tmp_path: Path
) -> None:
    """Both look where the entry says."""
    entry = put("plain")["esm2/tag"].model_copy(update={"ngc_registry": "resource"})
    places.add("nvidia/clara/esm:2.0", {"esm.nemo": DATA}, "resource")
    places.items["model", "nvidia", "clara", "esm"].versions.clear()
    for number, loader in enumerate((upstream.load, load)):
        assert loader("esm2/tag", "ngc", {"esm2/tag": entry}, tmp_path / f"{number}").is_file()


@pytest.mark.parametrize(
    ("ngc", "error"),
    [("nvidia/clara/esm", FileNotFoundError), ("nvidia/clara/deep:1.0", NgcException)],
)
def test_ngc_25_ours_finds_what_upstream_does_not(
    put: Any, upstream: Any, places: NgcServer, tmp_path: Path, ngc: str, error: type[Exception]
) -> None:
    """The latest version, which upstream looks for in the wrong folder; and a nested file."""
    places.add("nvidia/clara/deep:1.0", {"sub/esm.nemo": DATA})
    resources = {"esm2/tag": put("plain")["esm2/tag"].model_copy(update={"ngc": ngc})}
    with pytest.raises(error):
        upstream.load("esm2/tag", "ngc", resources, tmp_path)
    assert load("esm2/tag", "ngc", resources, tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("processor", [None, pooch.Decompress, pooch.Untar, pooch.Unzip])
def test_ngc_13_ngc_18_pooch_gives_the_same_names(put: Any, tmp_path: Path, processor: Any) -> None:
    """With pooch itself from a web server: the names of the file and of its result."""
    case = {None: "plain", pooch.Decompress: "gz", pooch.Untar: "tar.gz", pooch.Unzip: "zip"}
    resources = put(case[processor])
    filename, data, _ = CASES[case[processor]]
    digest = hashlib.sha256(data).hexdigest()
    made: Any = processor() if processor else None
    with Server(Reply(body=data)) as web:
        theirs = pooch.retrieve(
            f"{web.url}/{filename}",
            digest,
            fname=f"{digest}-{filename}",
            path=tmp_path / "pooch",
            processor=made,
        )
    path = Path(made.extract_dir if isinstance(theirs, list) else theirs)
    ours = load("esm2/tag", "pbss", resources, tmp_path / "ours")
    assert ours.relative_to(tmp_path / "ours") == path.relative_to(tmp_path / "pooch")
    assert files_in(ours) == files_in(path)
    cache = Cache(tmp_path / "ours")
    assert cache.find_verified(cache.folder / f"{digest}-{filename}") == ours
