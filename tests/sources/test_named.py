"""Sources by name: what a name is, where it is looked up, and what a digest holds."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from aisio.catalog import NamedSource, read_catalog
from aisio.client.client import Client
from aisio.errors import CatalogError, ConfigError, DigestError, UrlError
from aisio.sources.digest import listing_digest
from aisio.sources.kinds import PrefixSource, TemplateSource, UrlListSource
from aisio.sources.manifest import ManifestSource
from aisio.sources.named import CatalogSource, names_source
from aisio.sources.resolve import source
from aisio.sources.source_set import SourceSet
from aisio.sources.tar import TarSource
from aisio.stores import AisStore
from tests.moto_server import KEYS, boto_client, s3_server
from tests.tars import pack

NAMES = ["s-0", "s-1", "s-2", "x"]
HERE = "http://127.0.0.1:9"
THERE = "http://127.0.0.1:10"


@pytest.fixture
def data(tmp_path):
    """Return a folder with four files, a manifest and a tar of them."""
    folder = tmp_path / "data"
    (folder / "all").mkdir(parents=True)
    for name in NAMES:
        (folder / "all" / name).write_bytes(name.encode())
    (folder / "list").write_text("".join(f"all/{name}\n" for name in NAMES), "utf-8")
    (folder / "all.tar").write_bytes(pack(*((name, name.encode()) for name in NAMES)))
    return f"file://{folder}"


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """Return a function that makes a catalog of one file, team.yaml, the default one."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    monkeypatch.setenv("AISIO_CATALOG", str(folder))

    def write(text):
        (folder / "team.yaml").write_text(text, "utf-8")
        read_catalog(folder, reload=True)
        return folder

    return write


def last_names(infos):
    """Return the last part of each name."""
    return [info.name.rpartition("/")[2] for info in infos]


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
    """By its name alone, also after pickling."""
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
    """Objects of any store."""
    catalog(f"- tag: x\n  template: '{data}/all/s-{{0..2}}'\n")
    one = source("team/x")
    assert [one.read(info) for info in one.list()] == [b"s-0", b"s-1", b"s-2"]
    assert isinstance(one.unpinned, TemplateSource)
    assert repr(one).startswith("CatalogSource('team/x', TemplateSource('file://")


@pytest.mark.parametrize("name", ["team/x", "catalog://team/x"])
def test_both_spellings(catalog, data, name):
    """The second is for places where a plain text is a path."""
    catalog(f"- {{tag: x, prefix: '{data}/all/'}}\n")
    assert len(list(source(name).list())) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("team/x", True),
        ("team/x:1.0", True),
        ("catalog://team/x", True),
        ("catalog://x", True),
        ("ais://team", False),
        ("file:///x", False),
        ("aws:bucket/x", False),
        ("team/x/", False),
        ("a/b/c", False),
        ("/x", False),
        ("./x", False),
        ("../x", False),
        ("~/x", False),
        ("x", False),
        ("", False),
    ],
)
def test_what_can_be_a_name(text, expected):
    """No scheme, exactly one slash; no path, and no URL that lacks its slashes."""
    assert names_source(text) is expected


def test_an_unknown_name_may_be_a_wrong_url(catalog, data):
    """Still a UrlError: it has the near misses, and says what a URL looks like."""
    folder = catalog(f"- {{tag: train, prefix: '{data}/all/'}}\n")
    with pytest.raises(UrlError, match="'team/train'") as caught:
        source("team/trian")
    assert str(folder) in str(caught.value)
    assert "a right URL looks like ais://bucket/name" in str(caught.value)
    assert "pathlib.Path" in str(caught.value)


def test_an_unknown_name_with_its_scheme_is_no_url(catalog, data):
    """catalog:// leaves no doubt what was meant."""
    catalog(f"- {{tag: train, prefix: '{data}/all/'}}\n")
    with pytest.raises(CatalogError, match="did you mean 'team/train'"):
        source("catalog://team/trian")


def test_wrong_catalog_files_are_said_to_be_wrong(tmp_path):
    """Not that the name is not in them."""
    (tmp_path / "team.yaml").write_text("- {tag: x, prefix: 3}\n", "utf-8")
    with pytest.raises(CatalogError, match="prefix") as caught:
        source("team/x", catalog=tmp_path)
    assert not isinstance(caught.value, UrlError)


def test_a_resource_is_no_source(catalog):
    """The error says how to get it."""
    catalog(
        "- {tag: model, url: 'ais://b/m.bin', sha256: null, owner: 'A B <a@example.com>'}\n",
    )
    with pytest.raises(ConfigError, match=r"aisio\.load\('team/model'\)"):
        source("team/model")


def test_a_catalog_can_be_given(catalog, data, tmp_path, monkeypatch):
    """As a folder or as what was read of it; then no other is looked at."""
    folder = catalog(f"- {{tag: x, prefix: '{data}/all/'}}\n")
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path / "absent"))
    with pytest.raises(UrlError):
        source("team/x")
    read = read_catalog(folder)
    for given in (folder, str(folder), read):
        assert len(list(source("team/x", catalog=given).list())) == 4
    assert len(list(source(read.sources["team/x"]).list())) == 4


def test_names_among_the_sources_of_a_dataset(catalog, data, tmp_path):
    """Alone, in a list, and as a key of a prefix map."""
    catalog(f"- {{tag: x, prefix: '{data}/all/'}}\n- {{tag: t, tar: '{data}/all.tar'}}\n")
    prefix = f"{data}/all/s".removeprefix("file:///")
    sources = SourceSet(["team/t", "team/x"], {"team/x": prefix}, owner="X")
    assert last_names(info for _, info in sources.list()) == [*NAMES, "s-0", "s-1", "s-2"]
    assert len(SourceSet("team/x", owner="X")) == 1
    assert len(SourceSet(read_catalog(tmp_path / "catalog")["team/x"], owner="X")) == 1


def pinned(catalog, entry, digest=None):
    """Return a source that is pinned to what it lists now, or to a digest."""
    catalog(f"- tag: x\n  {entry}\n")
    digest = digest or listing_digest(source("team/x"))
    catalog(f"- tag: x\n  {entry}\n  digest: {digest}\n")
    return source("team/x")


@pytest.mark.parametrize("entry", ["prefix: '{data}/all/'", "tar: '{data}/all.tar'"])
def test_a_listing_with_its_digest_is_as_any_other(catalog, data, entry):
    """Whole, and narrowed by a prefix."""
    one = pinned(catalog, entry.format(data=data))
    infos = list(one.list())
    assert last_names(infos) == NAMES
    start = infos[0].name.removesuffix("0")
    assert last_names(one.list(start)) == NAMES[:3]


@pytest.mark.parametrize("prefix", ["", "absent"])
def test_another_listing_than_the_pinned_one_is_an_error(catalog, data, tmp_path, prefix):
    """At the end of the listing, also of a part of it: with tag, both digests, and what to do."""
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
    """Without a digest another version of it is as good."""
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
    """Run an S3 server; it is reached as the usual one."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    with s3_server() as endpoint:
        boto_client(endpoint).create_bucket(Bucket="bucket")
        yield endpoint


@pytest.mark.parametrize("read", [CatalogSource.read, lambda one, info: one.get(info).readall()])
def test_an_object_of_the_same_size_is_refused_where_s3_lists_checksums(
    catalog, s3, monkeypatch, read
):
    """What was listed and what the answer says are compared, also where the sizes agree."""
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
    assert read(free, info) == b"two", "without a digest another version is as good"


def test_the_digest_of_a_pinned_source_can_be_asked_for(catalog, data):
    """Whatever it is pinned to: how else would one pin it anew?"""
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
    """An explicit argument wins, "" for none."""
    one = source(entry(urls=("ais://b/a",), etl_name="md5"), client=Client(HERE))
    plain = f"{HERE}/v1/objects/b/a?provider=ais"
    assert list(one.list_urls()) == [f"{plain}&etl_name=md5"]
    assert list(one.list_urls(etl_name="other")) == [f"{plain}&etl_name=other"]
    assert list(one.list_urls(etl_name="")) == ["ais://b/a"]
    assert one.etl_name == "md5"


def test_the_etl_of_an_entry_is_used_for_reading(data):
    """A local file has none, and says so."""
    one = source(entry(prefix=f"{data}/all/", etl_name="md5"))
    info = next(one.list())
    for read in (one.read, one.get):
        with pytest.raises(ConfigError, match="ETL 'md5'"):
            read(info)
    assert one.read(info, etl_name="") == b"s-0"


def test_the_endpoint_of_an_entry_is_its_cluster(monkeypatch):
    """Instead of the environment's, whose token stays here; URLs say which cluster they are of."""
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


def test_a_client_that_is_given_comes_before_the_entrys_endpoint():
    """An explicit argument wins; then URLs need not say where they are."""
    given = Client(HERE)
    one = source(entry(urls=("ais://b/a",), endpoint=THERE), client=given)
    assert client_of(one) is given
    assert list(one.list_urls()) == ["ais://b/a"]


def test_naming_a_source_asks_nothing():
    """What is wrong with a server shows when it is read."""
    assert isinstance(source(entry(tar="ais://b/a.tar", endpoint=THERE)), CatalogSource)
    assert isinstance(source(entry(manifest="ais://b/list", endpoint=THERE)), CatalogSource)


def test_catalogs_are_loaded_with_the_first_name():
    """Who uses none does not pay for a YAML reader."""
    code = "import sys, aisio; aisio.source(['file:///a']); assert 'yaml' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
