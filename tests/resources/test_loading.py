"""load: a name becomes a verified file, downloaded once for all processes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Client, RetryPolicy
from aisio.catalog import NamedSource, Resource, read_catalog
from aisio.errors import CatalogError, ConfigError, DigestError, NotFoundError, StorageError
from aisio.gateway import Gateway
from aisio.resources.cache.cache import Cache
from aisio.resources.download.partial import PartialFile
from aisio.resources.loading import load
from aisio.resources.unpack.unpack import unpack
from aisio.resources.upkeep import verify
from aisio.testing.fault_proxy import Corrupt, Cut, FaultProxy, Trickle
from tests.call_counts import count_calls
from tests.http_server import Reply, Server
from tests.moto_server import KEYS, boto_client, s3_server

pytest.importorskip("obstore")
pytest.importorskip("boto3")
pytest.importorskip("moto")

DATA = os.urandom(300_000)
LARGE = os.urandom(6_000_000)
URL = "ais://data/file.bin"
OWNER = "A. Person <person@example.com>"


def sha256(data):
    """Return a digest as a catalog writes it."""
    return hashlib.sha256(data).hexdigest()


def tar_of(files):
    """Return a tar of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def entry(tag="team/file", sha256=sha256(DATA), **fields):  # noqa: B008 - a constant
    """Return the resources of a catalog with one entry."""
    return {tag: Resource(tag=tag, sha256=sha256, owner=OWNER, **fields)}


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Leave nothing of the caller's settings, and have a cache of its own."""
    for name in ("AIS_ENDPOINT", "BIONEMO_DATA_SOURCE", "BIONEMO_CACHE_DIR", "AISIO_PBSS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def cache(tmp_path):
    """Return the folder of the cache."""
    return tmp_path / "cache"


@pytest.fixture
def at(tmp_path):
    """Return a function that writes a file and returns its URL."""

    def at(data, name="file.bin"):
        path = tmp_path / "origin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return f"file://{path}"

    return at


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """Return the endpoint of a gateway with two objects."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        bucket = Client(gateway.endpoint).bucket("data").create()
        bucket.object("file.bin").put(DATA)
        bucket.object("large.bin").put(LARGE)
        yield gateway.endpoint


@pytest.fixture(scope="module")
def pbss():
    """Return the endpoint of an S3 server with one object."""
    with s3_server() as endpoint:
        client = boto_client(endpoint)
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="some/file.bin", Body=DATA)
        yield endpoint


def get_requests(proxy):
    """Return the GETs of objects that came to a proxy."""
    return [
        request
        for request in proxy.requests
        if request.method == "GET" and request.path.startswith(("/v1/objects/", "/bucket/"))
    ]


NGC_ONLY = entry(ngc="org/file:1.0", ngc_registry="model", pbss="s3://bucket/some/file.bin")
PBSS_ONLY = entry(pbss="s3://bucket/some/file.bin")


@pytest.mark.parametrize(
    ("tag", "source", "resources", "text"),
    [
        ("no/tag", "nowhere", PBSS_ONLY, "Resource 'no/tag' not found."),
        ("no/tag", "ngc", PBSS_ONLY, "Resource 'no/tag' not found."),
        ("team/file", "ngc", PBSS_ONLY, "Resource 'team/file' does not have an NGC URL."),
        ("team/file", None, PBSS_ONLY, "Resource 'team/file' does not have an NGC URL."),
        ("team/file", "nowhere", NGC_ONLY, "Source 'nowhere' not supported."),
        ("team/file", "pbss", entry(url="file:///x"), "Resource 'team/file' does not have a PBSS"),
        ("team/file", "ngc", entry(url="file:///x"), "Resource 'team/file' does not have an NGC"),
    ],
)
def test_ngc_08_errors_come_in_bionemos_order_and_words(tag, source, resources, text, cache):
    """Unknown tag, then no NGC entry, then unknown source: each a ValueError, before any work."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        load(tag, source, resources)
    assert not cache.exists()


def test_an_unknown_name_suggests_similar_ones():
    """With similar names; for the name of a source it says what to call."""
    with pytest.raises(CatalogError, match="Did you mean 'team/file'"):
        load("team/fiel", resources=PBSS_ONLY)
    source = {"team/train": NamedSource(tag="team/train", prefix="ais://data/")}
    with pytest.raises(CatalogError, match=r"aisio\.source\('team/train'\)"):
        load("team/train", resources=source)


def test_ngc_09_the_source_is_the_argument_else_the_variable_else_ngc(pbss, monkeypatch):
    """The variable is read when load is called."""
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", pbss)
    with pytest.raises(CatalogError, match="NGC URL"):
        load("team/file", resources=PBSS_ONLY)
    monkeypatch.setenv("BIONEMO_DATA_SOURCE", "pbss")
    assert load("team/file", resources=PBSS_ONLY).read_bytes() == DATA
    with pytest.raises(CatalogError, match="NGC URL"):
        load("team/file", "ngc", PBSS_ONLY)
    monkeypatch.setenv("BIONEMO_DATA_SOURCE", "nowhere")
    with pytest.raises(ConfigError, match="^Source 'nowhere' not supported"):
        load("team/file", resources=PBSS_ONLY)


def test_ngc_12_the_endpoint_of_pbss_is_argument_then_entry_then_variable(pbss, monkeypatch, cache):
    """Each goes before the next."""
    dead = "http://127.0.0.1:9"
    own = entry(pbss="s3://bucket/some/file.bin", endpoint=pbss)
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", dead)
    assert load("team/file", "pbss", own).read_bytes() == DATA
    shutil.rmtree(cache)
    other = entry(pbss="s3://bucket/some/file.bin", endpoint=dead)
    assert load("team/file", "pbss", other, pbss_endpoint=pbss).read_bytes() == DATA
    shutil.rmtree(cache)
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", pbss)
    assert load("team/file", "pbss", PBSS_ONLY).read_bytes() == DATA


def test_ngc_13_the_file_is_named_by_digest_and_last_part(pbss, monkeypatch, cache, tmp_path):
    """In the folder of the argument, else in that of the variable."""
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", pbss)
    name = f"{sha256(DATA)}-file.bin"
    assert load("team/file", "pbss", NGC_ONLY) == cache / name
    for folder in (tmp_path / "other", str(tmp_path / "text")):
        assert load("team/file", "pbss", NGC_ONLY, folder) == Path(folder, name)


@pytest.mark.parametrize("letter", ["x", "\N{CYRILLIC SMALL LETTER ZHE}"])
def test_the_longest_names_that_are_taken_work(tmp_path, cache, letter):
    """All that lies beside a download has a longer name; one byte more is refused beforehand."""
    name = letter * ((235 - 65) // len(letter.encode()))
    (tmp_path / name).write_bytes(DATA)
    fields = {"url": f"file://{tmp_path}/{name}"}
    path = load("team/file", resources=entry(**fields))
    assert Cache(cache).find_verified(path) == path
    with pytest.raises(CatalogError, match="too long"):
        load("team/file", resources=entry(**fields | {"url": f"file://{tmp_path}/{name}x"}))


def test_ngc_15_wrong_bytes_are_a_value_error_and_leave_no_file(pbss, monkeypatch, cache):
    """With the expected and the actual digest; the cache has no entry, and no partial one."""
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", pbss)
    wrong = entry(sha256="0" * 64, pbss="s3://bucket/some/file.bin")
    with pytest.raises(ValueError, match=f"expected {'0' * 64} but got {sha256(DATA)}"):
        load("team/file", "pbss", wrong)
    assert {path.suffix for path in cache.iterdir()} == {".aisio-lock", ".aisio-in-use"}


def test_ngc_16_a_file_with_a_wrong_hash_is_downloaded_again_and_a_right_one_is_not(
    pbss, monkeypatch, cache, caplog
):
    """A right file in the cache is used, whichever program put it there."""
    with FaultProxy(pbss) as proxy:
        monkeypatch.setenv("AISIO_PBSS_ENDPOINT", proxy.endpoint)
        path = cache / f"{sha256(DATA)}-file.bin"
        cache.mkdir()
        path.write_bytes(DATA)
        assert load("team/file", "pbss", PBSS_ONLY) == path
        assert get_requests(proxy) == []
        path.write_bytes(b"damaged")
        with caplog.at_level(logging.WARNING):
            assert load("team/file", "pbss", PBSS_ONLY) == path
        assert len(get_requests(proxy)) == 1
    assert path.read_bytes() == DATA
    assert "downloaded again" in caplog.text


def test_a_wrong_file_does_not_keep_the_right_name(at, cache):
    """Also where there is nothing to replace it by."""
    cache.mkdir()
    path = cache / f"{sha256(DATA)}-file.bin"
    path.write_bytes(b"damaged")
    with pytest.raises(NotFoundError):
        load("team/file", resources=entry(url="file:///not/there/file.bin"))
    assert not path.exists()


def test_ngc_17_without_a_digest_any_file_is_right_and_a_new_digest_is_logged(at, caplog):
    """The SHA256 of the download is logged, for the catalog."""
    url = at(DATA)
    with caplog.at_level(logging.INFO):
        path = load("team/file", resources=entry(sha256=None, url=url))
    assert sha256(DATA) in caplog.text
    Path(url.removeprefix("file://")).write_bytes(b"new")
    path.write_bytes(b"edited")
    caplog.clear()
    assert load("team/file", resources=entry(sha256=None, url=url), recheck=True) == path
    assert path.read_bytes() == b"edited"


def test_without_a_digest_a_check_knows_the_one_that_came(at, cache):
    """A flipped bit is found by the digest of the download."""
    path = load("team/file", resources=entry(sha256=None, url=at(DATA)))
    assert [finding.skipped for finding in verify(Cache(cache))] == [""]
    with path.open("r+b") as file:
        file.write(bytes([DATA[0] ^ 1]))
    (finding,) = verify(Cache(cache))
    assert f"expected {sha256(DATA)}" in finding.problem


def test_urls_of_an_entry_are_tried_in_order(at, caplog, cache):
    """Url first, then the mirrors; one that is missing or wrong is passed over, and logged."""
    places = [at(b"wrong", "b"), at(DATA, "c"), "file:///never/asked"]
    resources = entry(url="file:///not/there", mirrors=tuple(places))
    with caplog.at_level(logging.WARNING):
        assert load("team/file", resources=resources).read_bytes() == DATA
    assert "file:///not/there" in caplog.text
    assert f"got {sha256(b'wrong')}" in caplog.text
    assert "never" not in caplog.text


def test_an_entry_may_have_mirrors_alone(at):
    """The first one gives the file its name."""
    resources = entry(mirrors=("file:///not/there.bin", at(DATA)))
    assert load("team/file", resources=resources).name == f"{sha256(DATA)}-there.bin"


@pytest.mark.parametrize(("second", "kind"), [(None, StorageError), (b"wrong", DigestError)])
def test_when_no_place_gives_it_all_are_named(at, second, kind):
    """One error, with the cause of each."""
    urls = ["ais://data/file", at(second, "b") if second else "file:///nor/there"]
    with pytest.raises(kind) as failure:
        load("team/file", resources=entry(url=urls[0], mirrors=(urls[1],)))
    for url, cause in zip(urls, ("no endpoint", "hash" if second else "no such file"), strict=True):
        line = next(line for line in str(failure.value).splitlines() if f"  {url}: " in line)
        assert cause in line


def test_a_source_means_that_registry_only(pbss, at):
    """Whatever else the entry has."""
    both = entry(url=at(DATA), pbss="s3://bucket/not/there/file.bin", endpoint=pbss)
    assert load("team/file", resources=both).read_bytes() == DATA
    shutil.rmtree(load("team/file", resources=both).parent)
    with pytest.raises(NotFoundError, match="s3://bucket/not/there"):
        load("team/file", "pbss", both)


def test_a_mirror_elsewhere_is_not_requested_from_the_entrys_endpoint(gateway, pbss, monkeypatch):
    """The cluster is no S3 store; the endpoint of the mirror is that of AWS's own settings."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", pbss)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with FaultProxy(gateway) as proxy:
        mirrored = entry(
            url="ais://data/absent", mirrors=("s3://bucket/some/file.bin",), endpoint=proxy.endpoint
        )
        assert load("team/file", resources=mirrored).read_bytes() == DATA
        assert not [one for one in proxy.requests if one.path.startswith("/bucket/")]


def test_a_cluster_is_named_by_client_entry_or_variable(gateway, monkeypatch, cache):
    """In this order."""
    url = "ais://data/file.bin"
    assert load("team/file", resources=entry(url=url, endpoint=gateway)).read_bytes() == DATA
    shutil.rmtree(cache)
    dead = entry(url=url, endpoint="http://127.0.0.1:9")
    assert load("team/file", resources=dead, client=Client(gateway)).read_bytes() == DATA
    shutil.rmtree(cache)
    monkeypatch.setenv("AIS_ENDPOINT", gateway)
    assert load("team/file", resources=entry(url=url)).read_bytes() == DATA


@pytest.mark.parametrize(
    ("name", "data", "ending"),
    [
        ("a.tar", tar_of({"x/y": b"one", "z": b"two"}), ".untar"),
        ("a.v2.tar.gz", gzip.compress(tar_of({"x/y": b"one", "z": b"two"}), mtime=0), ".untar"),
        ("a.txt.gz", gzip.compress(b"one", mtime=0), ".decomp"),
        ("a.txt", b"one", ""),
    ],
)
def test_archives_are_returned_unpacked(at, cache, name, data, ending):
    """And the second time as they are."""
    resources = entry(sha256=sha256(data), url=at(data, name))
    path = load("team/file", resources=resources)
    assert path == cache / f"{sha256(data)}-{name}{ending}"
    assert (path / "x" / "y" if path.is_dir() else path).read_bytes() == b"one"
    assert load("team/file", resources=resources) == path
    kept = load("team/file", resources={"team/file": _packed(resources["team/file"])})
    assert kept.read_bytes() == data


def _packed(resource):
    return Resource(
        tag=resource.tag,
        sha256=resource.sha256,
        owner=OWNER,
        url=resource.url,
        unpack=False,
        decompress=False,
    )


def test_what_was_unpacked_from_other_bytes_goes_with_them(at, cache):
    """An entry without a digest whose file was deleted gets all new."""
    url = at(tar_of({"old": b"1"}), "a.tar")
    resources = entry(sha256=None, url=url)
    folder = load("team/file", resources=resources)
    at(tar_of({"new": b"2"}), "a.tar")
    folder.with_suffix("").unlink()
    assert load("team/file", resources=resources) == folder
    assert [path.name for path in folder.iterdir()] == ["new"]


class Meanwhile(Server):
    """A web server that does something before it answers."""

    def __init__(self, reply, do):
        super().__init__(reply)
        self.do = do

    def next_reply(self, target):
        self.do()
        return super().next_reply(target)


def test_a_file_that_another_program_downloaded_meanwhile_stays(cache):
    """BioNeMo takes no lock: the folder that it unpacks to may be in use already."""
    data = tar_of({"a": b"1"})
    path = cache / f"{sha256(data)}-x.tar"
    made = []

    def bring():
        path.write_bytes(data)
        made.append(unpack(path, "tar").stat().st_ino)

    with Meanwhile(Reply(200, data), bring) as server:
        fields = {"sha256": sha256(data), "url": f"{server.url}/x.tar"}
        result = load("team/file", resources=entry(**fields))
    assert [result.stat().st_ino] == made
    assert Cache(cache).find_verified(path, result) == result


def test_ngc_23_a_verified_entry_costs_few_calls(at, tmp_path):
    """Whatever its size, with the look into the catalog: its bytes are not read."""
    data = bytes(5_000_000)
    (tmp_path / "catalog").mkdir()
    fields = {"tag": "file", "url": at(data), "sha256": sha256(data), "owner": OWNER}
    (tmp_path / "catalog" / "team.yaml").write_text(json.dumps([fields]))
    catalog = read_catalog(tmp_path / "catalog")
    load("team/file", catalog=catalog)
    calls = count_calls(lambda: load("team/file", catalog=catalog))
    assert calls.total() < 2000
    assert calls["readinto"] == 0


def test_ngc_23_a_verified_entry_is_compared_again_only_by_a_recheck(at):
    """Only a recheck finds an edit inside an unpacked member."""
    packed = tar_of({"a": b"right"})
    resources = entry(sha256=sha256(packed), url=at(packed, "x.tar"))
    member = load("team/file", resources=resources) / "a"
    member.write_bytes(b"wrong")
    load("team/file", resources=resources)
    assert member.read_bytes() == b"wrong"
    load("team/file", resources=resources, recheck=True)
    assert member.read_bytes() == b"right"


def test_ngc_23_an_edit_that_keeps_size_and_time_is_noticed_without_a_recheck(at):
    """No program can set the change time back."""
    path = load("team/file", resources=entry(url=at(DATA)))
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"12345")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load("team/file", resources=entry(url=at(DATA))).read_bytes() == DATA


def test_ngc_23_a_changed_or_removed_file_is_noticed_without_a_recheck(at):
    """By its size or time."""
    path = load("team/file", resources=entry(url=at(DATA)))
    for spoil in (lambda: path.write_bytes(b"edited"), path.unlink):
        spoil()
        assert load("team/file", resources=entry(url=at(DATA))).read_bytes() == DATA


def test_a_link_whose_target_changed_or_was_removed_is_noticed(at, cache, tmp_path):
    """A link in the cache is verified only as long as its target has not changed."""
    resources, target = entry(url=at(DATA)), tmp_path / "target"
    path = Cache(cache).path_of(resources["team/file"])
    path.parent.mkdir()
    for spoil in (lambda: target.write_bytes(b"edited"), target.unlink):
        target.write_bytes(DATA)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        assert load("team/file", resources=resources).is_symlink()
        spoil()
        assert load("team/file", resources=resources).read_bytes() == DATA


def test_a_tilde_in_the_folder_is_the_home_folder(at, monkeypatch, tmp_path):
    """As pooch has it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = load("team/file", resources=entry(url=at(DATA)), cache_dir="~/models")
    assert path.parent == tmp_path / "models"


def test_entries_of_bionemo_core_are_taken_as_they_are(pbss, cache):
    """Their fields are objects of pydantic, converted to text."""

    class Url:
        def __str__(self):
            return "s3://bucket/some/file.bin"

    fields = ("ngc", "ngc_registry", "description", "unpack", "decompress")
    foreign = SimpleNamespace(
        tag="team/file", sha256=sha256(DATA), pbss=Url(), owner=Url(), **dict.fromkeys(fields)
    )
    got = load("team/file", "pbss", {"team/file": foreign}, pbss_endpoint=pbss)
    assert got.read_bytes() == DATA


LOADER = """
import sys
from aisio.catalog import Resource
from aisio.resources.loading import load

endpoint, sha256, url = sys.argv[1:]
resource = Resource(tag="a/b", sha256=sha256, owner="a@b.c", url=url, endpoint=endpoint)
print("ready", flush=True)
sys.stdin.readline()
path = load("a/b", resources={"a/b": resource})
print(path, flush=True)
"""


@pytest.fixture
def loader():
    """Return a function that starts a process which loads an object on command."""
    started = []
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def start(endpoint, url=URL, data=DATA):
        process = subprocess.Popen(
            [sys.executable, "-c", LOADER, endpoint, sha256(data), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        started.append(process)
        assert told(process) == "ready"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def told(process):
    """Return the next line that it writes."""
    return process.stdout.readline().strip()


def go(process):
    """Tell it."""
    process.stdin.write("go\n")
    process.stdin.flush()


def test_ngc_32_four_processes_download_once(gateway, loader):
    """All get the same path, and the object is requested once."""
    with FaultProxy(gateway) as proxy:
        proxy.add(Trickle(piece_bytes=10_000, pause_s=0.005), path="/v1/objects/*")
        processes = [loader(proxy.endpoint) for _ in range(4)]
        for process in processes:
            go(process)
        paths = {told(process) for process in processes}
        assert len(get_requests(proxy)) == 1
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == DATA


def test_ngc_32_when_one_is_killed_another_takes_over(gateway, loader, cache):
    """The lock ends with its process, and the bytes that it wrote are not requested again."""
    with FaultProxy(gateway) as proxy:
        proxy.add(Trickle(piece_bytes=65_536, pause_s=0.02), path="/v1/objects/*")
        first, second = (loader(proxy.endpoint, "ais://data/large.bin", LARGE) for _ in range(2))
        partial = PartialFile(cache / f"{sha256(LARGE)}-large.bin")
        go(first)
        while partial.read_state() is None and first.poll() is None:
            time.sleep(0.01)
        go(second)
        first.send_signal(signal.SIGKILL)
        path = Path(told(second))
        requests = get_requests(proxy)
    assert path.read_bytes() == LARGE
    assert [request.headers.get("range", "")[:6] for request in requests] == ["", "bytes="]
    assert not partial.path.exists()


@pytest.mark.parametrize("fault", [Cut(0), Corrupt(1000)])
def test_a_bad_line_leaves_no_wrong_file(gateway, cache, fault):
    """An error, and nothing under the name; when the line is good again, the right bytes."""
    with FaultProxy(gateway) as proxy:
        proxy.add(fault, method="GET", path="/v1/objects/*", times=None)
        client = Client(proxy.endpoint, retry=RetryPolicy(attempts=2, first_wait_s=0))
        with pytest.raises(StorageError):
            load("team/file", resources=entry(url=URL), client=client)
        assert not Cache(cache).path_of(entry(url=URL)["team/file"]).exists()
        proxy.clear()
        assert load("team/file", resources=entry(url=URL), client=client).read_bytes() == DATA
        client.close()


def test_an_unknown_tag_says_where_the_catalog_was_read_from(tmp_path):
    """A folder that is missing is named as such, as AISIO_CATALOG may be misspelt."""
    catalog = read_catalog(tmp_path / "nowhere")
    with pytest.raises(CatalogError, match=r"not found\. .* read from .*/nowhere \(missing\)"):
        load("team/file", catalog=catalog)
