"""The shards of a source as URLs for webdataset."""

from __future__ import annotations

from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import webdataset as wds

from aisio.errors import ConfigError, DigestError, NotFoundError, UrlError
from aisio.integrations.webdataset import shard_urls
from tests.integrations.webdataset.conftest import SHARDS, shard

URLS = [f"ais://data/train/{number}.tar" for number in range(SHARDS)]


def keys(urls: object) -> list[str]:
    """Return the keys of the samples that webdataset reads."""
    return [one["__key__"] for one in wds.WebDataset(urls, shardshuffle=False)]


def test_a_prefix_is_listed_without_what_is_no_shard(bucket):
    """As AISShardReader lists it."""
    assert shard_urls("ais://data/train/") == URLS
    assert shard_urls("ais://data/train/*.tar") == URLS
    assert shard_urls("ais://data/train/", shard_names="[01].tar") == URLS[:2]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_folder_gives_urls_that_webdataset_opens_itself(tmp_path: Path):
    """Its own opener reads local files."""
    (tmp_path / "a.tar").write_bytes(shard(0))
    assert shard_urls(tmp_path) == [f"file://{tmp_path}/a.tar"]
    assert len(keys(shard_urls(tmp_path))) == 6


def test_a_name_gives_urls_with_the_name(catalog):
    """So that the entry's endpoint, ETL and digest count where they are opened."""
    named = [f"catalog://{catalog}/{number}.tar" for number in range(SHARDS)]
    assert shard_urls(catalog) == named
    assert shard_urls(f"catalog://{catalog}") == named
    assert len(keys(shard_urls(catalog))) == 6 * SHARDS


def test_braces_of_webdataset_work_behind_a_name(catalog):
    """They are webdataset's, as in any URL; so is the double colon."""
    text = f"catalog://{catalog}/{{0..1}}.tar::catalog://{catalog}/3.tar"
    assert [key[:2] for key in keys(text)[::6]] == ["s0", "s1", "s3"]


def test_objects_outside_of_a_folder_have_whole_urls(bucket, tmp_path, monkeypatch):
    """A list in a catalog may name any."""
    (tmp_path / "team.yaml").write_text(f"- tag: two\n  urls: [{URLS[0]}, {URLS[2]}]\n")
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path))
    urls = shard_urls("team/two")
    assert urls == [f"catalog://team/two/{URLS[0]}", f"catalog://team/two/{URLS[2]}"]
    assert [key[:2] for key in keys(urls)[::6]] == ["s0", "s2"]


def test_a_pinned_name_refuses_other_data(bucket, tmp_path, monkeypatch):
    """Its digest is compared where the shards are opened."""
    digest = "sha256:" + "0" * 64
    text = f"- tag: train\n  prefix: ais://data/train/\n  digest: {digest}\n"
    (tmp_path / "team.yaml").write_text(text)
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path))
    with pytest.raises(DigestError, match="not the objects that the catalog names"):
        wds.gopen("catalog://team/train/0.tar")


def test_a_name_alone_is_opened_if_it_is_one_shard(bucket, tmp_path, monkeypatch):
    """Webdataset opens one stream for one URL."""
    (tmp_path / "team.yaml").write_text(f"- tag: one\n  urls: [{URLS[3]}]\n")
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path))
    assert keys("catalog://team/one")[0] == "s3/00"


def test_a_shard_that_is_new_is_found(bucket, tmp_path, monkeypatch):
    """The listing of a name is kept, and taken again where a shard is not in it."""
    bucket.object("growing/0.tar").put(shard(0))
    (tmp_path / "team.yaml").write_text("- tag: growing\n  prefix: ais://data/growing/\n")
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path))
    assert keys("catalog://team/growing/0.tar")[0] == "s0/00"
    bucket.object("growing/1.tar").put(shard(1))
    assert keys("catalog://team/growing/1.tar")[0] == "s1/00"


@pytest.mark.parametrize(
    ("rest", "error", "told"),
    [
        ("", ConfigError, r"4 shards.*shard_urls\('catalog://team/train'\).*team/train/0.tar"),
        ("/9.tar", NotFoundError, "team/train has no object '9.tar'"),
    ],
)
def test_a_url_that_names_no_shard_is_an_error(catalog, rest, error, told):
    """With what to write instead."""
    with pytest.raises(error, match=told):
        wds.gopen(f"catalog://{catalog}{rest}")


def test_what_is_no_source_is_an_error(bucket):
    """A bucket's client would be lost, as webdataset sends URLs to its workers."""
    with pytest.raises(ConfigError, match="the client of a bucket would be lost"):
        shard_urls(bucket)
    with pytest.raises(NotFoundError, match="no such object"):
        shard_urls("ais://data/misspelt/")
    with pytest.raises(UrlError, match="catalog://TEAM/NAME/SHARD"):
        wds.gopen("catalog://team")


def test_patterns_choose_among_the_shards(tmp_path: Path):
    """As for the readers."""
    for name in ("a.tar", "b.tar", "c.tar"):
        (tmp_path / name).write_bytes(b"")
    assert shard_urls(tmp_path, include="[ab].tar", exclude="a*") == [f"file://{tmp_path}/b.tar"]
