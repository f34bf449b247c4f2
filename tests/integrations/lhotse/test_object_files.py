"""Objects as Lhotse opens them: text and bytes, gzipped or not."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch  # noqa: F401 - the folder's conftest needs it

from aisio import Bucket, Client, ConfigError, IntegrityError, NotFoundError
from aisio.integrations.lhotse import open_object
from aisio.integrations.lhotse.object_files import read_archived, split_archived
from aisio.stores import LocalStore
from aisio.testing import FaultProxy
from aisio.testing.fault_proxy import Corrupt, Cut
from aisio.urls import ObjectUrl
from tests.tars import pack

TEXT = "".join(
    json.dumps({"id": f"söme-{number}"}, ensure_ascii=False) + "\n" for number in range(99)
)


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[FaultProxy]:
    """Return a proxy before the cluster."""
    with FaultProxy(bucket.client.endpoint) as proxy:
        yield proxy


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz"])
@pytest.mark.parametrize(("mode", "content"), [("", TEXT), ("b", TEXT.encode())])
def test_what_is_written_is_read(bucket: Bucket, name: str, mode: str, content: Any) -> None:
    """A name in .gz is compressed."""
    url = f"ais://speech/{name}"
    with open_object(url, f"w{mode}") as file:
        file.write(content)
    stored = bucket.object(name).get()
    assert (gzip.decompress(stored) if name.endswith(".gz") else stored) == TEXT.encode()
    with open_object(url, f"r{mode}") as file:
        assert file.read() == content
    with open_object(url, f"r{mode or 't'}") as file:
        assert list(file) == content.splitlines(keepends=True)


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz"])
@pytest.mark.parametrize("mode", ["w", "wb"])
def test_what_is_broken_off_is_not_stored(bucket: Bucket, name: str, mode: str) -> None:
    """Nor what nobody closed; the old object stays."""
    url, content = f"ais://speech/{name}", "new" if mode == "w" else b"new"
    bucket.object(name).put(b"old")
    with suppress(KeyError), open_object(url, mode) as file:
        file.write(content)
        raise KeyError
    assert bucket.object(name).get() == b"old"
    file = open_object(url, mode)
    file.write(content)
    with pytest.warns(ResourceWarning, match="dropped without being closed"):
        del file
    assert bucket.object(name).get() == b"old"


def test_an_empty_file_is_stored(bucket: Bucket) -> None:
    """As a file is."""
    open_object("ais://speech/empty", "wb").close()
    assert bucket.object("empty").get() == b""
    assert open_object("ais://speech/empty", "rb").read() == b""


def test_it_is_read_by_one_request(bucket: Bucket, proxy: FaultProxy) -> None:
    """From start to end, verified, resumed; seeks ask for more."""
    data = bytes(range(256)) * 4000
    bucket.object("a.npy").put(data)
    proxy.add(Cut(after_bytes=300_000), path="*/a.npy", times=1)
    client = Client(proxy.endpoint)
    with open_object("ais://speech/a.npy", "rb", client=client) as file:
        assert file.read() == data
    sent = [(one.method, one.headers.get("range")) for one in proxy.requests if "a.npy" in one.path]
    assert [method for method, _ in sent] == ["GET", "GET"]
    assert sent[0][1] is None
    with open_object("ais://speech/a.npy", "rb", client=client) as file:
        file.seek(700_000)
        assert file.read(10) == data[700_000:700_010]
        file.seek(-5, io.SEEK_END)
        assert file.read() == data[-5:]


def test_damage_is_an_error(bucket: Bucket, proxy: FaultProxy) -> None:
    """At the end of the text."""
    bucket.object("cuts.jsonl").put(TEXT.encode())
    proxy.add(Corrupt(at_byte=20), path="*/cuts.jsonl", times=1)
    with pytest.raises(IntegrityError, match="ais://speech/cuts.jsonl"):
        open_object("ais://speech/cuts.jsonl", "rb", client=Client(proxy.endpoint)).read()


def test_a_file_in_an_archive_is_read(bucket: Bucket) -> None:
    """The cluster takes it out."""
    packed = gzip.compress(b"line\n")
    bucket.object("d/a.tar").put(pack(("x/1.wav", b"one"), ("2.jsonl.gz", packed)))
    assert open_object("ais://speech/d/a.tar/x/1.wav", "rb").read() == b"one"
    assert open_object("ais://speech/d/a.tar/2.jsonl.gz").read() == "line\n"
    with pytest.raises(NotFoundError):
        open_object("ais://speech/d/a.tar/3.wav", "rb")


def test_what_is_wrong_is_said(bucket: Bucket) -> None:
    """By name."""
    with pytest.raises(NotFoundError, match="ais://speech/none"):
        open_object("ais://speech/none")
    with pytest.raises(ConfigError, match="mode='a'"):
        open_object("ais://speech/none", "a")
    with pytest.raises(ConfigError, match="in an archive cannot be written"):
        open_object("ais://speech/a.tar/b", "w")
    archive, path = split_archived(ObjectUrl.parse("file:///data/a.tar/b/c"))
    assert (str(archive), path) == ("file:///data/a.tar", "b/c")
    with pytest.raises(ConfigError, match="only a cluster"):
        read_archived(LocalStore(), archive, path)
