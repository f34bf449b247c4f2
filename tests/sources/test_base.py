"""What every source does: URLs for an ETL, and the check that a response is about the object."""

from __future__ import annotations

import pickle
from functools import partial

import pytest

from aisio.catalog.entries import NamedSource
from aisio.client.client import Client
from aisio.errors import ConfigError, IntegrityError, NotFoundError
from aisio.records import Checksum, ObjectInfo
from aisio.sources.catalog_source import CatalogSource
from aisio.sources.kinds import PrefixSource, TemplateSource, UrlListSource
from aisio.sources.manifest import ManifestSource
from aisio.sources.resolve import source
from aisio.sources.tar import TarSource
from aisio.stores import AisStore, LocalStore
from aisio.stores.tar import TarStore
from aisio.urls import ObjectUrl


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two files, as the URL of a prefix."""
    (tmp_path / "train").mkdir()
    for name in ("train/0", "trial"):
        (tmp_path / name).write_bytes(name.encode())
    return f"file://{tmp_path}/"


@pytest.fixture
def client():
    """Return a client of a cluster that cannot be reached."""
    return Client("http://127.0.0.1:9")


def test_urls_with_an_etl_are_http_urls(client):
    """Only a cluster's own URL can carry the name of an ETL."""
    one = source(client.bucket("b", "s3").objects(["a b"]))
    assert list(one.list_urls(etl_name="md5")) == [
        "http://127.0.0.1:9/v1/objects/b/a%20b?provider=aws&etl_name=md5"
    ]


def test_local_files_have_no_etl(folder):
    """An ETL is never silently dropped."""
    with pytest.raises(ConfigError, match="ETL 'md5'"):
        list(source(folder).list_urls(etl_name="md5"))


def test_an_answer_of_another_size_is_refused_unless_the_object_was_replaced(folder, tmp_path):
    """Only the size shows that a response belongs to another object."""
    one = source(folder + "trial")
    listed = next(one.list())
    (tmp_path / "trial").write_bytes(b"replaced since")
    assert one.read(listed) == b"replaced since"
    assert one.get(listed).readall() == b"replaced since"

    class Confused(LocalStore):
        def head(self, url):
            return ObjectInfo(url.root, url.name, 3)

    confused = PrefixSource(Confused(), ObjectUrl.parse(folder + "trial"))
    for read in (confused.read, confused.get):
        with pytest.raises(
            IntegrityError, match="3 bytes are stored .5 were listed., the answer has 14"
        ):
            read(listed)


def test_an_answer_of_another_checksum_is_refused(folder):
    """If the listing has checksums, objects of one size are distinguished too."""

    class Listed(LocalStore):
        def head(self, url):
            return ObjectInfo(url.root, url.name, 7, Checksum("md5", "aa"))

        def get(self, url, byte_range=None, *, etl_name=None):
            body = super().get(url)
            body.info = ObjectInfo(url.root, url.name, 7, Checksum("md5", "bb"))
            return body

    one = PrefixSource(Listed(), ObjectUrl.parse(folder + "train/0"))
    listed = ObjectInfo(
        "file://", folder.removeprefix("file:///") + "train/0", 7, Checksum("md5", "aa")
    )
    with pytest.raises(IntegrityError, match="of another object"):
        one.get(listed)


def test_objects_are_completed_by_a_head(folder):
    """Those of a list have no size; what a listing says stays as it is."""
    [listed, *_] = source(folder).list()
    named = source([listed.url])
    [info] = named.list()
    assert info.size_bytes is None
    assert named.completed(info) == listed
    assert named.completed(listed) is listed
    with pytest.raises(NotFoundError):
        named.completed(ObjectInfo(info.root, f"{info.name}-absent"))


@pytest.mark.parametrize(
    ("what", "text", "cell"),
    [
        ("https://h/a.tar?sig=s3cret", "UrlSource('https://h/a.tar?sig=***')", "sig=***"),
        ("ais://b/<x>/", "PrefixSource('ais://b/<x>/')", "ais://b/&lt;x&gt;/"),
        (["ais://b/1", "ais://b/2"], "UrlListSource(2 objects)", "ais://b/1, ais://b/2"),
    ],
)
def test_a_source_shows_what_it_is(what, text, cell, client):
    """Without a request, credentials or markup."""
    one = source(what, client=client)
    assert repr(one) == text
    assert cell in one._repr_html_()
    assert "s3cret" not in one._repr_html_()


def test_all_kinds_of_sources_have_a_table(client):
    """Each with what it knows."""
    bucket, find = client.bucket("b"), partial(AisStore, client)
    one = source(bucket.objects(["x", "y"]))
    url = ObjectUrl.parse("ais://b/s-{0..9}.tar")
    assert "<th>objects</th><td>2</td>" in one._repr_html_()
    for other, cell in (
        (TemplateSource(find(), url), "<th>objects</th><td>10</td>"),
        (TarSource(find(), url.with_name("a.tar")), "<th>tar</th><td>ais://b/a.tar</td>"),
        (
            ManifestSource(url.with_name("m/list"), lambda _: find()),
            "<th>objects in</th><td>ais://b/m/</td>",
        ),
        (
            CatalogSource.of(
                NamedSource(tag="t/x", prefix="ais://b/", owner="A <a@b>"), client=client
            ),
            "<th>owner</th><td>A &lt;a@b&gt;</td>",
        ),
    ):
        assert cell in other._repr_html_()


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("ais://b/x/", "ais://b/y/"),
        ("ais://b/x-*.tar", "ais://b/y-*.tar"),
        (["ais://b/1"], ["ais://b/2"]),
        ("file:///d/", "file:///e/"),
    ],
)
def test_sources_of_the_same_objects_are_equal(first, other, client):
    """They may be keys of a prefix_map, also after a pickle."""
    one = source(first, client=client)
    assert {one: 1}[pickle.loads(pickle.dumps(source(first, client=client)))] == 1
    assert one != source(other, client=client)
    if not str(first).startswith("file"):
        assert one != source(first, client=Client("http://127.0.0.1:10"))


def test_other_sources_are_equal_by_what_they_are_made_of(client):
    """But not by a manifest, which may have a parser of its own."""
    store, url = AisStore(client), ObjectUrl.parse("ais://b/s-{0..9}.tar")
    assert TemplateSource(store, url) == TemplateSource(AisStore(client), url)
    tar = url.with_name("a.tar")
    assert TarStore(store, tar) != TarStore(store, tar, strict=False)
    assert TarSource(store, tar) == TarSource(store, tar) != TarSource(store, url.with_name("b"))
    bucket = client.bucket("b")
    assert source(bucket.objects(["x"])) == source(bucket.objects(["x"]))
    entry = NamedSource(tag="t/x", prefix="ais://b/")
    assert CatalogSource.of(entry, client=client) == CatalogSource.of(entry, client=client)
    assert ManifestSource(tar, lambda _: store) != ManifestSource(tar, lambda _: store)


def test_what_a_source_is_asked_for_does_not_change_its_hash(client):
    """Else a dict would not find it again."""
    urls = UrlListSource(["ais://b/1"], lambda url: AisStore(client))
    found = {urls: 1}
    urls.store_of(ObjectInfo("s3://c", "x"))
    assert found[UrlListSource(["ais://b/1"], lambda url: AisStore(client))] == 1
    assert {UrlListSource(["ais://b/1"], lambda url: AisStore(client)): 1}[urls] == 1
