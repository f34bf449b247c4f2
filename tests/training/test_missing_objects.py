"""MissingObjects: an object may be gone, but never all that it was in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch  # noqa: F401 - the package needs it

from aisio import Client, ConfigError, source
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.training.missing_objects import (
    GoneObjects,
    MissingObjects,
    OnMissing,
    require_no_equalize,
)
from tests.tars import pack

pytest.importorskip("aiohttp")

from aisio.gateway import Gateway


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Return a client of a gateway with an empty bucket, b."""
    (tmp_path / "buckets" / "b").mkdir(parents=True)
    with Gateway(tmp_path / "buckets") as gateway:
        yield Client(gateway.endpoint)


def allows(own: Source, info: ObjectInfo, etl_name: str | None = None) -> bool:
    """Tell whether an object may be missing, the first time that one is."""
    return MissingObjects("skip", "Data").allows(own, info, etl_name)


def test_an_object_may_be_gone_only_where_that_is_allowed(tmp_path: Path) -> None:
    """Not by default."""
    own = source(tmp_path)
    gone = ObjectInfo("file://", f"{tmp_path}/gone"[1:])
    rules: tuple[OnMissing, ...] = ("raise", "none", "skip")
    allowed = [MissingObjects(rule, "Data").allows(own, gone, None) for rule in rules]
    assert allowed == [False, True, True]
    with pytest.raises(ConfigError, match='^<Data> on_missing=.ignore.: "raise", "none" or "skip"'):
        MissingObjects("ignore", "Data")  # type: ignore[arg-type]


def test_a_folder_may_not_be_gone(tmp_path: Path) -> None:
    """A disk that is not mounted would give an empty epoch."""
    own = source(f"file://{tmp_path}/data/")
    gone = ObjectInfo("file://", f"{tmp_path}/data/a"[1:])
    assert not allows(own, gone)
    (tmp_path / "data").mkdir()
    assert allows(own, gone)
    assert allows(source([gone.url]), gone)


def test_a_bucket_of_a_cluster_may_not_be_gone(client: Client) -> None:
    """It is looked up seldom."""
    for bucket, expected in (("b", True), ("absent", False)):
        own = source(f"ais://{bucket}/", client=client)
        assert allows(own, ObjectInfo(f"ais://{bucket}", "gone")) is expected
    missing = MissingObjects("none", "Data")
    own = source("ais://b/", client=client)
    gone = ObjectInfo("ais://b", "gone")
    assert [missing.allows(own, gone, None) for _ in range(2)] == [True, True]
    client.bucket("b").delete()
    assert [missing.allows(own, gone, None) for _ in range(2)] == [True, False]


def test_an_etl_may_not_be_gone(client: Client) -> None:
    """An object that is still there was not what the cluster has not found."""
    client.bucket("b").object("there").put(b"x")
    own = source("ais://b/", client=client)
    assert not allows(own, ObjectInfo("ais://b", "there"), "upper")
    assert allows(own, ObjectInfo("ais://b", "gone"), "upper")


def test_a_tar_may_not_be_gone(tmp_path: Path) -> None:
    """Its files go with it."""
    from aisio.catalog.entries import NamedSource

    (tmp_path / "all.tar").write_bytes(pack(("a", b"x")))
    own = source(NamedSource(tag="t/tar", tar=f"file://{tmp_path}/all.tar"))
    (info,) = own.list()
    assert not allows(own, info)


def test_what_is_gone_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """How many, and the first few."""
    gone = GoneObjects("Data")
    gone.log()
    for number in range(5):
        gone.add(f"a{number}")
    gone.log()
    assert gone.count == 5
    told = "<Data> skipped 5 (gone since they were listed): 'a0', 'a1', 'a2', ..."
    assert caplog.messages == [told]


def test_ranks_cannot_be_equal_and_skip() -> None:
    """The other rules leave as many items as are listed."""
    require_no_equalize("none", "pad")
    require_no_equalize("skip", "none")
    with pytest.raises(ConfigError, match="equalize='drop' with on_missing='skip'"):
        require_no_equalize("skip", "drop")
