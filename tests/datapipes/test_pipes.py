"""The three datapipes, over local folders: with torch's base class, and with the stand-in."""

from __future__ import annotations

import pickle
from itertools import islice

import pytest

from aisio.client.client import Client
from aisio.client.endpoint_state import shared_state
from aisio.client.shared_clients import client_at, default_client
from aisio.datapipes import AISFileLister, AISFileLoader, AISSourceLister
from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.stores import AisStore, store_for
from aisio.urls import ObjectUrl
from tests.call_counts import count_calls
from tests.http_server import Reply, Server
from tests.scripted_cluster import DATA, nodes
from tests.tars import pack

NAMES = ["obj0", "obj1", "temp/obj0", "temp/obj1"]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with four files, as the URL of a prefix."""
    (tmp_path / "temp").mkdir()
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    return f"file://{tmp_path}/"


@pytest.mark.parametrize("prefixes", [[""], ["temp/", "obj"], ["obj", "temp/o"]])
def test_lister_gives_the_urls_under_each_prefix(folder, prefixes):
    """AIS-19: any iterable of prefixes lists the same set of URLs, prefix by prefix."""
    pipe = AISFileLister([folder + prefix for prefix in prefixes])
    assert sorted(pipe) == [folder + name for name in NAMES]
    assert list(pipe) == list(pipe)


def test_lister_has_a_length_only_by_argument(folder):
    """AIS-19: counting would need a listing."""
    with pytest.raises(TypeError, match="doesn't have valid length"):
        len(AISFileLister([folder]))
    assert len(AISFileLister([folder], length=7)) == 7


def test_loader_opens_what_the_lister_lists(folder):
    """AIS-20: (URL, stream) with the bytes; lister and loader can be iterated again."""
    urls = AISFileLister([folder])
    pipe = AISFileLoader(urls)
    for _ in range(2):
        assert [(url, stream.read()) for url, stream in pipe] == [
            (folder + n, n.encode()) for n in NAMES
        ]


@pytest.mark.parametrize("kind", [AISFileLister, AISFileLoader, AISSourceLister])
def test_an_iterator_that_has_ended_is_no_empty_epoch(folder, kind):
    """The second epoch of a generator would end at once, without a warning."""
    pipe = kind(iter([folder + "obj0", folder + "obj1"]))
    assert len(list(pipe)) == 2
    with pytest.raises(ConfigError, match="an iterator that has ended, in an earlier epoch"):
        list(pipe)


def test_an_iterator_that_goes_on_is_read_on(folder):
    """As one that never ends, of which each epoch takes some."""
    pipe = AISFileLoader(iter([folder + "obj0", folder + "obj1"]), concurrency=1)
    assert [url for url, _ in islice(pipe, 1)] == [folder + "obj0"]
    assert [url for url, _ in pipe] == [folder + "obj1"]


@pytest.mark.parametrize("kind", [AISFileLister, AISSourceLister])
def test_no_source_is_an_error(kind):
    """As for the datasets; a datapipe may be empty because other workers have its items."""
    with pytest.raises(ConfigError, match="no source is given"):
        list(kind([]))
    assert list(kind([], allow_empty=True)) == []
    assert list(kind(AISFileLister([], allow_empty=True))) == []


def test_loader_is_as_long_as_its_source(folder):
    """AIS-20: as upstream."""
    assert len(AISFileLoader([folder + "obj0", folder + "obj1"])) == 2
    assert len(AISFileLoader(AISFileLister([folder], length=7))) == 7
    with pytest.raises(TypeError):
        len(AISFileLoader(AISFileLister([folder])))


def test_lines_are_not_read_byte_by_byte(tmp_path):
    """The pipes of torch for lines and for CSV iterate over the stream."""
    lines = [f"line {number}\n".encode() for number in range(1000)]
    (tmp_path / "lines.txt").write_bytes(b"".join(lines))
    _, stream = next(iter(AISFileLoader([f"file://{tmp_path}/lines.txt"])))
    read: list[bytes] = []
    counts = count_calls(lambda: read.extend(stream))
    assert read == lines
    assert counts["readinto"] <= 2 * 2  # of the body, and of the file that it reads


def test_objects_that_are_loaded_without_a_client_share_one_connection(monkeypatch):
    """What AIS_ENDPOINT names is one cluster, not one for each object."""
    with Server(*[Reply(200, b"x")] * 10) as server:
        shared_state(server.url).maps.forget_map()  # of an earlier server at this port
        monkeypatch.setenv("AIS_ENDPOINT", server.url)
        loader = AISFileLoader([f"ais://b/{number}" for number in range(9)])
        assert [stream.read() for _, stream in loader] == [b"x"] * 9
        stores = [store_for(ObjectUrl.parse(f"ais://b{number}/")) for number in range(3)]
        assert {id(store.client) for store in stores if isinstance(store, AisStore)} == {
            id(default_client())
        }
        default_client().close()
    # The cluster map is asked for by control call, on a connection of its own.
    assert server.connections <= 2


def test_another_environment_is_another_client(monkeypatch):
    """A token that was renewed is used from then on."""
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    first = default_client()
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "renewed")
    assert (default_client().settings.token, first.settings.token) == ("renewed", None)
    monkeypatch.delenv("AIS_AUTHN_TOKEN")
    assert default_client() is first
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert default_client() is not first


@pytest.mark.parametrize("usual", [None, "http://127.0.0.1:9"])
def test_the_token_does_not_go_to_the_host_of_an_http_url(monkeypatch, usual):
    """It is for the environment's cluster; whose URLs data names is not known."""
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "secret")
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    if usual:
        monkeypatch.setenv("AIS_ENDPOINT", usual)
    with Server(*[Reply(200, b"x")] * 3) as server:
        url = f"{server.url}/v1/objects/b/x?provider=ais"
        assert [stream.read() for _, stream in AISFileLoader([url])] == [b"x"]
        client_at(server.url).close()
    assert [request.headers["Authorization"] for request in server.requests] == [None] * 2


def test_the_token_goes_along_where_the_url_is_of_the_usual_cluster(monkeypatch):
    """The listers yield such URLs where a catalog names the cluster, or an ETL."""
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "secret")
    with Server(*[Reply(200, b"x")] * 3) as server:
        monkeypatch.setenv("AIS_ENDPOINT", server.url + "/")
        url = f"{server.url}/v1/objects/b/x?provider=ais"
        assert [stream.read() for _, stream in AISFileLoader([url])] == [b"x"]
        client_at(server.url).close()
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer secret"}


@pytest.mark.parametrize("url", ["", "ais:", "ais://", "s3:///x", "nope://b/x"])
def test_urls_that_cannot_be_meant_are_refused(url):
    """AIS-21: at iteration, as upstream."""
    with pytest.raises(UrlError):
        list(AISFileLoader([url], "http://127.0.0.1:9"))
    with pytest.raises(UrlError):
        list(AISFileLister([url], "http://127.0.0.1:9"))


def test_missing_files_say_so(folder):
    """A missing object is an error that names it."""
    with pytest.raises(NotFoundError, match="absent"):
        list(AISFileLoader([folder + "absent"]))


def test_without_an_endpoint_the_error_names_the_variable(monkeypatch):
    """A URL that needs a cluster, and none is known."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    with pytest.raises(ConfigError, match="AIS_ENDPOINT"):
        list(AISFileLister(["ais://b"]))


def test_source_lister_joins_sources_in_order(folder):
    """AIS-20: each source's URLs under the prefix, source by source."""
    bucket = Client("http://127.0.0.1:9").bucket("b")
    pipe = AISSourceLister([bucket.objects(["x/1", "y/1"]), bucket.objects(["x/2"])], prefix="x/")
    assert list(pipe) == ["ais://b/x/1", "ais://b/x/2"]


def test_source_lister_passes_prefix_and_etl_on():
    """AIS-20: anything with the official list_urls is called the official way."""
    asked = []

    class Theirs:
        def list_urls(self, prefix="", etl=None):
            asked.append((prefix, etl))
            return iter([f"http://host/{prefix}"])

    etl = object()
    assert list(AISSourceLister([Theirs(), Theirs()], prefix="p", etl=etl)) == ["http://host/p"] * 2
    assert asked == [("p", etl), ("p", etl)]


def test_source_lister_names_the_etl_in_http_urls():
    """AIS-20: an ETL travels to the loader in the URL."""
    bucket = Client("http://127.0.0.1:9").bucket("b")
    assert list(AISSourceLister([bucket.objects(["a"])], etl_name="md5")) == [
        "http://127.0.0.1:9/v1/objects/b/a?provider=ais&etl_name=md5"
    ]


def test_source_lister_cannot_be_indexed(folder):
    """AIS-20: as upstream."""
    with pytest.raises(NotImplementedError):
        AISSourceLister([folder])[0]


def test_pipes_pickle(folder):
    """A chain goes to a worker after it was used."""
    pipe = AISFileLoader(AISFileLister([folder]))
    assert len(list(pipe)) == 4
    again = pickle.loads(pickle.dumps(pipe))
    assert [url for url, _ in again] == [folder + name for name in NAMES]


def pulled_from(names, pulled):
    """Yield URLs of objects, and remember which were pulled."""
    for name in names:
        pulled.append(name)
        yield f"ais://b/{name}"


@pytest.mark.parametrize(("concurrency", "pulled_by_then"), [(4, 1 + 4), (None, 1 + 8), (1, 2)])
def test_requests_for_small_objects_are_sent_ahead(concurrency, pulled_by_then):
    """The size of the first says that they are small: it goes alone."""
    with nodes(*[DATA] * 20) as found:
        pulled: list[str] = []
        names = [f"o{number}" for number in range(20)]
        pipe = AISFileLoader(
            pulled_from(names, pulled), client=found.client, concurrency=concurrency
        )
        opened = iter(pipe)
        assert [next(opened)[1].read() for _ in range(2)] == [b"data"] * 2
        assert len(pulled) == pulled_by_then
        assert [stream.read() for _, stream in opened] == [b"data"] * 18
        assert len(found.target.requests) == 20


def test_requests_for_large_objects_are_not_sent_ahead():
    """Nor for objects of unknown size: the node would wait until they are read."""
    large = Reply(200, b"x" * (2 << 20))
    untold = Reply(200, b"4\r\ndata\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"})
    for answer in (large, untold):
        with nodes(*[answer] * 5) as found:
            pulled: list[str] = []
            pipe = AISFileLoader(
                pulled_from([f"o{number}" for number in range(5)], pulled), client=found.client
            )
            for number, (_, stream) in enumerate(pipe):
                stream.read()
                assert (len(pulled), len(found.target.requests)) == (number + 1, number + 1)


def test_urls_of_other_stores_are_pulled_one_by_one(folder):
    """Nothing can be sent ahead for them, and their source may be slow."""
    pulled: list[str] = []

    def urls():
        for name in NAMES:
            pulled.append(name)
            yield folder + name

    for number, (_, stream) in enumerate(AISFileLoader(urls())):
        assert stream.read() == NAMES[number].encode()
        assert len(pulled) == number + 1


def test_requests_for_files_in_a_tar_are_sent_ahead_once_it_is_known(tmp_path):
    """Until its headers have been read, it may also be a folder of that name."""
    (tmp_path / "a.tar").write_bytes(pack(("1", b"one"), ("2", b"two")))
    read: list[bytes] = []
    urls = [f"file://{tmp_path}/a.tar/{name}" for name in "12"]
    counts = count_calls(lambda: read.extend(stream.read() for _, stream in AISFileLoader(urls)))
    assert read == [b"one", b"two"]
    assert counts["send_ahead"] == 2  # for the second file: of the tar, and of the store it is in


@pytest.mark.parametrize("pipe", [AISFileLister, AISSourceLister])
def test_a_prefix_without_objects_is_an_error_unless_that_is_allowed(folder, pipe):
    """At iteration, after the URLs of those before it."""
    urls = iter(pipe([folder + "temp/", folder + "absent"]))
    assert [next(urls), next(urls)] == [folder + "temp/obj0", folder + "temp/obj1"]
    with pytest.raises(NotFoundError, match="absent"):
        next(urls)
    assert list(pipe([folder + "absent"], allow_empty=True)) == []


def test_a_source_with_the_official_listing_is_an_error_too_where_it_is_empty():
    """Whoever lists it."""

    class Theirs:
        def list_urls(self, prefix="", etl=None):
            return iter(())

    with pytest.raises(NotFoundError, match="prefix 'p'"):
        list(AISSourceLister([Theirs()], prefix="p"))


@pytest.mark.parametrize("pipe", [AISFileLister, AISSourceLister])
def test_listers_know_objects_and_patterns(folder, pipe, tmp_path):
    """A URL of an object takes no others along."""
    (tmp_path / "obj10").write_bytes(b"")
    assert list(pipe([folder + "obj1", folder + "*/obj?", folder + "obj{0,7}"])) == [
        folder + name for name in ("obj1", "temp/obj0", "temp/obj1", "obj0", "obj7")
    ]


def test_listers_take_patterns_for_names(folder):
    """A pattern that takes nothing is an error, as a misspelt prefix is."""
    first = AISFileLister([folder], include="*0")
    assert list(first) == [folder + "obj0", folder + "temp/obj0"]
    second = AISSourceLister([folder], exclude=["temp/", "*0"])
    assert list(second) == [folder + "obj1"]
    with pytest.raises(NotFoundError, match="no name is selected by include='[*].jpg'"):
        list(AISFileLister([folder], include="*.jpg"))
    assert list(AISFileLister([folder], include="*.jpg", allow_empty=True)) == []
    with pytest.raises(ConfigError, match="<AISSourceLister> include="):
        AISSourceLister([folder], include="")


def test_patterns_are_refused_where_a_source_lists_its_objects_itself():
    """What it yields are URLs of any form."""

    class Theirs:
        def list_urls(self, prefix, etl):
            return [f"http://host/{prefix}"]

    with pytest.raises(ConfigError, match="lists its objects itself"):
        list(AISSourceLister([Theirs()], include="*.jpg"))
