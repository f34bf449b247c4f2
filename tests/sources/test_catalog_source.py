"""CatalogSource: the kinds, the digest, the ETL and the endpoint of an entry of a catalog."""

from __future__ import annotations

import pickle
from pathlib import Path

import msgspec
import pytest

from aisio.catalog import NamedSource
from aisio.client.client import Client
from aisio.errors import ConfigError, DigestError
from aisio.sources.catalog_source import CatalogSource
from aisio.sources.digest import listing_digest
from aisio.sources.kinds import PrefixSource, TemplateSource, UrlListSource
from aisio.sources.manifest import ManifestSource
from aisio.sources.resolve import source
from aisio.sources.tar import TarSource
from aisio.stores import AisStore
from tests.moto_server import KEYS, boto_client, s3_server
from tests.sources.files import NAMES, last_names

HERE = "http://127.0.0.1:9"


THERE = "http://127.0.0.1:10"


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ("urls: ['{data}/all/s-0', '{data}/all/s-1', '{data}/all/s-2', '{data}/all/x']", "urls"),
        ("prefix: '{data}/all/'", "prefix"),
        ("manifest: '{data}/list'", "manifest"),
        ("tar: '{data}/all.tar'", "tar"),
    ],
)
def test_every_kind_lists_and_reads(catalog, data, entry, kind):
    """Also after pickling."""
    kinds = {
        "urls": UrlListSource,
        "prefix": PrefixSource,
        "manifest": ManifestSource,
        "tar": TarSource,
    }
    catalog(f"- tag: x\n  {entry.format(data=data)}\n")
    for one in (source("team/x"), pickle.loads(pickle.dumps(source("team/x")))):
        infos = list(one.list())
        assert last_names(infos) == NAMES
        assert [one.read(info) for info in infos] == [name.encode() for name in NAMES]
        assert [one.get(info).readall() for info in infos] == [name.encode() for name in NAMES]
        assert list(one.list_urls()) == [info.url for info in infos]
        assert type(one.unpinned) is kinds[kind]
        assert one.base_url == one.unpinned.base_url


def test_a_template_by_name(catalog, data):
    """The template's names, in its order."""
    catalog(f"- tag: x\n  template: '{data}/all/s-{{0..2}}'\n")
    one = source("team/x")
    assert [one.read(info) for info in one.list()] == [b"s-0", b"s-1", b"s-2"]
    assert isinstance(one.unpinned, TemplateSource)
    assert repr(one).startswith("CatalogSource('team/x', TemplateSource('file://")


def pinned(catalog, entry, digest=None):
    """Return a source that is pinned to what it lists now, or to a digest."""
    catalog(f"- tag: x\n  {entry}\n")
    digest = digest or listing_digest(source("team/x"))
    catalog(f"- tag: x\n  {entry}\n  digest: {digest}\n")
    return source("team/x")


@pytest.mark.parametrize("entry", ["prefix: '{data}/all/'", "tar: '{data}/all.tar'"])
def test_a_pinned_source_lists_like_any_other(catalog, data, entry):
    """As a whole, and narrowed by a prefix."""
    one = pinned(catalog, entry.format(data=data))
    infos = list(one.list())
    assert last_names(infos) == NAMES
    start = infos[0].name.removesuffix("0")
    assert last_names(one.list(start)) == NAMES[:3]


@pytest.mark.parametrize("prefix", ["", "absent"])
def test_another_listing_than_the_pinned_one_is_an_error(catalog, data, tmp_path, prefix):
    """It is raised at the end, also for a prefix, and has the tag, both digests and the remedy."""
    one = pinned(catalog, f"prefix: '{data}/all/'")
    expected = one.entry.digest
    (tmp_path / "data" / "all" / "y").write_bytes(b"one more")
    got = []
    with pytest.raises(DigestError, match="aisio catalog pin --update team/x") as caught:
        got.extend(one.list(prefix))
    assert len(got) == (0 if prefix else 5)
    assert expected in str(caught.value)
    assert listing_digest(one) in str(caught.value)
    assert caught.value.url == "catalog://team/x"


@pytest.mark.parametrize("read", [CatalogSource.read, lambda one, info: one.get(info).readall()])
def test_an_object_that_is_replaced_after_the_listing_is_refused_where_pinned(catalog, data, read):
    """Without a digest another version of it is read."""
    one = pinned(catalog, f"prefix: '{data}/all/'")
    info = next(one.list())
    assert read(one, info) == b"s-0"
    Path(f"/{info.name}").write_bytes(b"other bytes")
    with pytest.raises(DigestError, match="not the object that team/x is pinned to") as caught:
        read(one, info)
    assert "3 bytes were expected, the answer has 11 bytes" in str(caught.value)
    free = CatalogSource.of(msgspec.structs.replace(one.entry, digest=None))
    assert read(free, info) == b"other bytes"


@pytest.fixture(scope="module")
def s3():
    """Run an S3 server with one bucket, and return its endpoint."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    with s3_server() as endpoint:
        boto_client(endpoint).create_bucket(Bucket="bucket")
        yield endpoint


@pytest.mark.parametrize("read", [CatalogSource.read, lambda one, info: one.get(info).readall()])
def test_an_object_of_the_same_size_is_refused_where_s3_lists_checksums(
    catalog, s3, monkeypatch, read
):
    """The checksums of listing and response are compared, also if the sizes are equal."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    put = boto_client(s3).put_object
    put(Bucket="bucket", Key="a", Body=b"one")
    one = pinned(catalog, f"prefix: s3://bucket/\n  endpoint: {s3}")
    info = next(one.list())
    assert read(one, info) == b"one"
    put(Bucket="bucket", Key="a", Body=b"two")
    with pytest.raises(DigestError, match="not the object that team/x is pinned to"):
        read(one, info)
    free = CatalogSource.of(msgspec.structs.replace(one.entry, digest=None))
    assert read(free, info) == b"two"


def test_the_digest_of_a_pinned_source_can_be_computed(catalog, data):
    """Also if it is pinned to another one: `aisio catalog pin --update` needs it."""
    wrong = "sha256:" + "0" * 64
    one = pinned(catalog, f"prefix: '{data}/all/'", wrong)
    assert listing_digest(one) == listing_digest(source(f"{data}/all/"))
    with pytest.raises(DigestError):
        list(one.list_urls())


def client_of(one):
    """Return the client of a source that is in a cluster."""
    store = one.store_of(next(one.list()))
    assert isinstance(store, AisStore)
    return store.client


def entry(**more):
    """Return a catalog entry."""
    return NamedSource(tag="team/x", **more)


def test_the_etl_of_an_entry_is_used_unless_another_is_named():
    """An argument takes precedence; "" stands for no ETL."""
    one = source(entry(urls=("ais://b/a",), etl_name="md5"), client=Client(HERE))
    plain = f"{HERE}/v1/objects/b/a?provider=ais"
    assert list(one.list_urls()) == [f"{plain}&etl_name=md5"]
    assert list(one.list_urls(etl_name="other")) == [f"{plain}&etl_name=other"]
    assert list(one.list_urls(etl_name="")) == ["ais://b/a"]
    assert one.etl_name == "md5"


def test_the_etl_of_an_entry_is_used_for_reading(data):
    """A local store refuses an ETL."""
    one = source(entry(prefix=f"{data}/all/", etl_name="md5"))
    info = next(one.list())
    for read in (one.read, one.get):
        with pytest.raises(ConfigError, match="ETL 'md5'"):
            read(info)
    assert one.read(info, etl_name="") == b"s-0"


def test_the_endpoint_of_an_entry_is_its_cluster(monkeypatch):
    """The environment's token is not sent there, and URLs name the cluster."""
    monkeypatch.setenv("AIS_ENDPOINT", HERE)
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "secret")
    one = source(entry(urls=("ais://b/a",), endpoint=THERE))
    client = client_of(one)
    assert client.endpoint == THERE
    assert not client.settings.token
    assert list(one.list_urls()) == [f"{THERE}/v1/objects/b/a?provider=ais"]
    same = source(entry(urls=("ais://b/a",), endpoint=f"{HERE}/"))
    assert client_of(same).settings.token == "secret"
    monkeypatch.delenv("AIS_ENDPOINT")
    assert not client_of(source(entry(urls=("ais://b/b",), endpoint=THERE))).settings.token


def test_a_client_takes_precedence_over_the_entrys_endpoint():
    """Then URLs need not name the cluster."""
    client = Client(HERE)
    one = source(entry(urls=("ais://b/a",), endpoint=THERE), client=client)
    assert client_of(one) is client
    assert list(one.list_urls()) == ["ais://b/a"]


def test_making_a_source_sends_no_request():
    """Faults of the server appear when the source is read."""
    assert isinstance(source(entry(tar="ais://b/a.tar", endpoint=THERE)), CatalogSource)
    assert isinstance(source(entry(manifest="ais://b/list", endpoint=THERE)), CatalogSource)
