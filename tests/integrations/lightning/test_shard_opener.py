"""ShardOpener: opens shards through aisio for webdataset's pipelines."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - webdataset's openers need it
import webdataset  # noqa: F401 - and it

from aisio.errors import IntegrityError, NotFoundError
from aisio.integrations.lightning.shard_folder import ShardFolder
from aisio.integrations.lightning.shard_opener import ShardOpener
from aisio.integrations.webdataset.tar_files import read_files
from tests.tars import hard_link, pack


@pytest.fixture
def folder(tmp_path: Path) -> ShardFolder:
    """Return a folder of three shards."""
    for number in range(3):
        (tmp_path / f"x-{number}.tar").write_bytes(b"%d" % number)
    return ShardFolder(tmp_path)


def opener(folder: ShardFolder, handler: Any) -> ShardOpener:
    """Return an opener of all shards, after pickling."""
    return pickle.loads(pickle.dumps(ShardOpener(folder.source, folder.shards("x"), handler)))


def go_on(error: Exception) -> bool:
    """Skip a shard."""
    return True


def stop(error: Exception) -> bool:
    """End without an error."""
    return False


def fail(error: Exception) -> bool:
    """Raise the error."""
    raise error


def test_each_shard_is_closed_before_the_next(folder: ShardFolder) -> None:
    """Also the last, and the one at which the pipeline ends early."""
    urls = list(folder.shards("x"))
    streams: list[Any] = []
    for opened in opener(folder, fail)({"url": url} for url in urls):
        assert all(stream.closed for stream in streams)
        assert opened["url"] == opened["local_path"]
        assert opened["stream"].read() == Path(opened["url"]).name[2:3].encode()
        streams.append(opened["stream"])
    assert all(stream.closed for stream in streams)
    early = opener(folder, fail)({"url": url} for url in urls)
    first = next(early)["stream"]
    early.close()  # type: ignore[attr-defined]
    assert first.closed


def test_the_handler_decides_on_a_shard_that_is_gone(folder: ShardFolder, tmp_path: Path) -> None:
    """It skips the shard, ends the epoch, or raises."""
    urls = list(folder.shards("x"))
    openers = {handler: opener(folder, handler) for handler in (go_on, stop, fail)}
    (tmp_path / "x-1.tar").unlink()
    found = {
        handler: [opened["url"] for opened in openers[handler]({"url": url} for url in urls)]
        for handler in (go_on, stop)
    }
    assert found == {go_on: [urls[0], urls[2]], stop: [urls[0]]}
    with pytest.raises(NotFoundError, match=r"x-1\.tar"):
        list(openers[fail]({"url": url} for url in urls))


def test_a_shard_that_was_replaced_is_an_error(folder: ShardFolder, tmp_path: Path) -> None:
    """Though it has as many bytes: a set that is half old and half new has samples twice."""
    (url, *_) = folder.shards("x")
    before = opener(folder, fail)
    (tmp_path / "new").write_bytes(b"9")
    (tmp_path / "new").replace(url)
    with pytest.raises(IntegrityError, match=r"x-0\.tar: this shard was replaced since setup"):
        next(iter(before([{"url": url}])))
    assert [opened["stream"].read() for opened in opener(folder, fail)([{"url": url}])] == [b"9"]


def test_a_url_has_no_local_path(tmp_path: Path, folder: ShardFolder) -> None:
    """Even if it is one of this machine."""
    by_url = ShardFolder(f"file://{tmp_path}")
    opened = next(iter(opener(by_url, fail)({"url": url} for url in by_url.shards("x"))))
    assert opened.keys() == {"url", "stream"}
    opened["stream"].close()


def test_a_hard_link_is_read_as_its_file(tmp_path: Path, folder: ShardFolder) -> None:
    """As webdataset reads it by aisio elsewhere."""
    data = pack(("0.cls", b"7"))[:1024] + hard_link("1.cls", "0.cls") + pack()
    (tmp_path / "y-0.tar").write_bytes(data)
    shards = folder.shards("y")
    for opened in ShardOpener(folder.source, shards, fail)({"url": url} for url in shards):
        assert [file["data"] for file in read_files(opened["stream"])] == [b"7"] * 2
