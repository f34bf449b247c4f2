"""Sources: what can be named as one, and what a prefix map takes from it."""

from __future__ import annotations

import pickle

import pytest

from aisio.client.client import Client
from aisio.errors import ConfigError, IntegrityError, NotFoundError, UrlError
from aisio.records import Checksum, ObjectInfo
from aisio.sources.kinds import GroupSource, PrefixSource, UrlListSource
from aisio.sources.resolve import source
from aisio.sources.source_set import SourceSet
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl

NAMES = ["train/0", "train/1", "trial", "val/0"]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with four files, as the URL of a prefix."""
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return f"file://{tmp_path}/"


@pytest.fixture
def client():
    """Return a client that must not be asked anything."""
    return Client("http://127.0.0.1:9")


def names(infos, folder):
    """Return the names of listed objects below the folder."""
    return [info.url.removeprefix(folder) for info in infos]


def test_a_url_is_a_plain_prefix(folder):
    """AIS-01: a URL lists what begins with it, lazily and with sizes."""
    one = source(folder + "tr")
    infos = list(one.list())
    assert names(infos, folder) == ["train/0", "train/1", "trial"]
    assert [info.size_bytes for info in infos] == [7, 7, 5]
    assert one.read(infos[0]) == b"train/0"


def test_a_path_is_a_folder(folder, tmp_path):
    """A Path names the folder and all below it."""
    assert names(source(tmp_path).list(), folder) == NAMES


def test_a_list_of_urls_keeps_its_order(folder):
    """URLs are read in the order given; nothing is looked up."""
    one = source([folder + "val/0", folder + "absent", folder + "train/1"])
    assert isinstance(one, UrlListSource)
    assert names(one.list(), folder) == ["val/0", "absent", "train/1"]
    assert one.read(next(one.list())) == b"val/0"


def test_a_prefix_among_urls_is_refused(folder):
    """A list names objects; a folder in it would be read as an object that is not there."""
    with pytest.raises(UrlError, match="names no object"):
        source([folder + "train/"])


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        ("train/", "", ["train/0", "train/1"]),
        ("train/", "train/1", ["train/1"]),
        ("train/", "tr", ["train/0", "train/1"]),
        ("train/", "val", []),
    ],
)
def test_names_begin_with_both_prefixes(folder, tmp_path, own, given, expected):
    """A prefix given to list() counts from the bucket's start and can only narrow the source."""
    base = str(tmp_path)[1:] + "/"
    assert names(source(folder + own).list(base + given), folder) == expected


def test_a_group_honours_the_prefix(client):
    """AIS-04: the official group ignored it."""
    group = client.bucket("b").objects(["a/1", "b/1", "a/2"])
    assert [info.name for info in source(group).list("a/")] == ["a/1", "a/2"]
    assert list(source(group).list_urls("b/")) == ["ais://b/b/1"]


def test_urls_with_an_etl_are_http_urls(client):
    """Only a cluster's own URL can carry the name of an ETL."""
    one = source(client.bucket("b", "s3").objects(["a b"]))
    assert list(one.list_urls(etl_name="md5")) == [
        "http://127.0.0.1:9/v1/objects/b/a%20b?provider=aws&etl_name=md5"
    ]


def test_local_files_have_no_etl(folder):
    """An ETL cannot be silently left out."""
    with pytest.raises(ConfigError, match="ETL 'md5'"):
        list(source(folder).list_urls(etl_name="md5"))


def test_buckets_and_sources(client):
    """A bucket becomes a source; a source stays itself."""
    one = source(client.bucket("b"))
    assert isinstance(one, PrefixSource)
    assert source(one) is one


@pytest.mark.parametrize("what", [3, None, 2.5])
def test_other_things_are_no_source(what):
    """What cannot be read is refused by its type."""
    with pytest.raises(ConfigError, match=type(what).__name__):
        source(what)


def test_sources_pickle(client, folder):
    """A source goes to a worker."""
    for what in (
        folder,
        client.bucket("b"),
        client.bucket("b").objects(template="s-{0..3}"),
        [folder + "trial"],
    ):
        one = source(what, client=client)
        again = pickle.loads(pickle.dumps(one))
        assert repr(again) == repr(one)
        if isinstance(one, (GroupSource, UrlListSource)):
            assert list(again.list()) == list(one.list())


def test_an_empty_list_is_refused_by_the_class_that_got_it():
    """AIS-02: the class names itself; a single source needs no list."""
    with pytest.raises(ValueError, match="^<AISMapDataset> ais_source_list must be provided$"):
        SourceSet([], owner="AISMapDataset")


def test_a_single_source_needs_no_list(folder):
    """AIS-02: one source is wrapped."""
    assert names((info for _, info in SourceSet(folder, owner="X").list()), folder) == NAMES


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        ({}, NAMES),
        (None, NAMES),
        ("val/", ["val/0"]),
        (["val/", "train/"], ["val/0", "train/0", "train/1"]),
        (["tr", "trial"], ["train/0", "train/1", "trial", "trial"]),
    ],
)
def test_prefix_map_takes_in_order(folder, tmp_path, prefixes, expected):
    """AIS-03: none takes all, a string one prefix, a list each in turn, overlaps twice."""
    base = str(tmp_path)[1:] + "/"
    if isinstance(prefixes, str):
        prefixes = {folder: base + prefixes}
    elif isinstance(prefixes, list):
        prefixes = {folder: [base + prefix for prefix in prefixes]}
    sources = SourceSet([folder], prefixes, owner="X")
    assert names((info for _, info in sources.list()), folder) == expected


def test_prefix_map_of_none_takes_all(folder):
    """AIS-03: a source mapped to None is not narrowed."""
    assert len(list(SourceSet([folder], {folder: None}, owner="X").list())) == 4


def test_prefix_map_by_equal_buckets(client):
    """Buckets and groups are equal by value: another object for the same finds its prefix."""
    one, same = client.bucket("b"), client.bucket("b")
    group = one.objects(["a", "b"])
    sources = SourceSet([group], {same.objects(["a", "b"]): "b"}, owner="X")
    assert [info.name for _, info in sources.list()] == ["b"]


def test_a_prefix_map_for_another_source_is_refused(folder):
    """A key that fits nothing would silently read everything."""
    with pytest.raises(
        ConfigError, match="prefix_map has keys that are not among the sources: 'ais://other'"
    ):
        SourceSet([folder], {"ais://other": "x"}, owner="X")


def test_a_slice_of_the_sources(folder):
    """Workers can take whole sources."""
    sources = SourceSet([folder + "train/", folder + "val/"], owner="X")
    assert names((info for _, info in sources.list(slice(1, None, 2))), folder) == ["val/0"]
    assert len(sources) == 2


def test_a_missing_folder_shows_at_the_first_item(folder):
    """Naming a source asks nothing; reading it does."""
    one = source(folder + "absent/")
    with pytest.raises(NotFoundError):
        next(one.list())


def test_an_answer_of_another_size_is_refused_unless_the_object_was_replaced(folder, tmp_path):
    """A listed size is the only thing that tells whose bytes an answer holds."""
    one = source(folder + "trial")
    listed = next(one.list())
    (tmp_path / "trial").write_bytes(b"replaced since")
    assert one.read(listed) == b"replaced since"
    assert one.get(listed).readall() == b"replaced since"

    class Confused(LocalStore):
        def head(self, url):
            return ObjectInfo(url.root, url.name, 3)

    confused = PrefixSource(Confused(), ObjectUrl.parse(folder + "trial"))
    for ask in (confused.read, confused.get):
        with pytest.raises(
            IntegrityError, match="3 bytes are stored .5 were listed., the answer has 14"
        ):
            ask(listed)


def test_several_sources_come_in_any_iterable(client):
    """A generator of buckets is several sources; a group is one, though it can be iterated."""
    buckets = [client.bucket(name) for name in "ab"]
    assert len(SourceSet((bucket for bucket in buckets), owner="X")) == 2
    assert len(SourceSet(buckets[0].objects(["x", "y"]), owner="X")) == 1


def test_equal_sources_have_the_same_prefix(folder, tmp_path):
    """A source that is given twice is narrowed twice."""
    base = str(tmp_path)[1:] + "/"
    sources = SourceSet([folder, folder], {folder: base + "val/"}, owner="X")
    assert names((info for _, info in sources.list()), folder) == ["val/0", "val/0"]


@pytest.mark.parametrize("what", [[3], b"ais://b", [b"ais://b/a"]])
def test_lists_of_other_things_are_refused(what, client):
    """By a ConfigError that says what belongs there."""
    with pytest.raises(ConfigError):
        source(what, client=client)
    with pytest.raises(ConfigError, match="not a Bucket"):
        source([client.bucket("b")])


def test_an_answer_of_another_checksum_is_refused(folder):
    """Where the listing tells checksums, two objects of one size are told apart too."""

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


def below(sources, folder):
    """Return the names below the folder that a set lists."""
    return names((info for _, info in sources.list()), folder)


@pytest.mark.parametrize("text", ["trian-", "absent.tar", "train-{000..001}/", "*.tar", "train/?x"])
def test_a_source_that_matches_nothing_is_an_error(folder, text):
    """Not an epoch of nothing; whoever wants that says so."""
    with pytest.raises(NotFoundError, match="trian|absent|train|tar"):
        list(SourceSet([folder + "val/", folder + text], owner="X").list())
    if text != "train-{000..001}/":  # folders that a local store lists must be there
        assert below(SourceSet(folder + text, owner="X", allow_empty=True), folder) == []


@pytest.mark.parametrize("what", [[], ["x"]])
def test_a_group_or_list_without_objects_is_an_error(what, client):
    """Whatever the kind of source."""
    group = client.bucket("b").objects(what)
    for one in (group, source([f"ais://b/{name}" for name in what], client=client)):
        with pytest.raises(NotFoundError, match="no such object"):
            list(SourceSet(one, {one: "y"}, owner="X").list())


def test_a_prefix_of_the_map_that_matches_nothing_is_an_error(folder, tmp_path):
    """Each of them, though others match."""
    base = str(tmp_path)[1:]
    with pytest.raises(NotFoundError, match="prefix '.*/vall/'|no folder .*/vall"):
        list(SourceSet(folder, {folder: [f"{base}/val/", f"{base}/vall/"]}, owner="X").list())


def test_a_prefix_map_that_takes_nothing_is_refused(folder):
    """An empty list would leave a source out without a word."""
    with pytest.raises(ConfigError, match="empty list"):
        SourceSet(folder, {folder: []}, owner="X")


def test_a_prefix_map_knows_objects_and_patterns(folder, tmp_path):
    """By the rule for URLs."""
    base = str(tmp_path)[1:] + "/"
    (tmp_path / "trial-2").write_bytes(b"")
    prefixes = [base + text for text in ("trial", "t*/1", "val/{0..0}")]
    assert below(SourceSet(folder, {folder: prefixes}, owner="X"), folder) == [
        "trial",
        "train/1",
        "val/0",
    ]


def test_a_flat_list_of_urls_is_read_as_these_objects(folder, tmp_path):
    """img1 does not take img10 along."""
    for name in ("img1", "img10"):
        (tmp_path / name).write_bytes(b"")
    assert below(SourceSet([folder + "img1", folder + "val/0"], owner="X"), folder) == [
        "img1",
        "val/0",
    ]


def test_a_path_is_itself_whatever_its_characters(tmp_path):
    """A folder, or one file; nobody writes a pattern as a Path."""
    odd = tmp_path / "a[1]{0..1}*"
    odd.mkdir()
    for name in ("x?", "xy"):
        (odd / name).write_bytes(b"")
    url = f"file://{odd}/"
    assert names(source(odd).list(), url) == ["x?", "xy"]
    assert names(source(odd / "x?").list(), url) == ["x?"]


class Tars:
    """Wants names that end in .tar."""

    why = "no tar"

    def __call__(self, name):
        return name.endswith(".tar")


def test_what_is_left_out_by_its_name_is_logged_once(tmp_path, caplog):
    """How many, which and why; a second epoch of the process adds nothing."""
    for name in ("a.tar", "a.idx", "b.idx"):
        (tmp_path / name).write_bytes(b"")
    url = f"file://{tmp_path}/"
    sources = SourceSet(tmp_path, owner="X", wanted=Tars())
    assert below(sources, url) == below(sources, url) == ["a.tar"]
    (message,) = caplog.messages
    assert message.startswith(f"<X> {tmp_path}: left out 2 (no tar): '")
    caplog.clear()
    assert len(list(SourceSet(tmp_path, owner="X", wanted=Tars()).list(quiet=True))) == 1
    assert caplog.messages == []


@pytest.mark.parametrize("text", ["a.idx", "{a,b}.idx"])
def test_an_object_that_is_named_itself_is_wanted(tmp_path, text):
    """By its URL, by braces, in a list, and in a prefix map."""
    for name in ("a.idx", "b.idx"):
        (tmp_path / name).write_bytes(b"")
    url = f"file://{tmp_path}/"
    found = ["a.idx", "b.idx"][: text.count("b") + 1]
    assert below(SourceSet(url + text, owner="X", wanted=Tars()), url) == found
    prefixes = {url: f"{tmp_path}/{text}"[1:]}
    assert below(SourceSet(url, prefixes, owner="X", wanted=Tars()), url) == found
    urls = source([url + name for name in found])
    assert below(SourceSet(urls, owner="X", wanted=Tars()), url) == found


def test_nothing_left_says_what_was_left_out(tmp_path):
    """A pattern that fits none is as good as a misspelt name."""
    (tmp_path / "a.idx").write_bytes(b"")
    with pytest.raises(NotFoundError, match=r"left out 1 \(no tar\): '.*a.idx'"):
        list(SourceSet(tmp_path, owner="X", wanted=Tars()).list())


@pytest.mark.parametrize("text", ["photos", "./photos/", "photos/train", "/data/photos"])
def test_a_local_path_as_text_is_told_how_to_give_it(text):
    """A text is a URL or a name; a local folder is a pathlib.Path."""
    with pytest.raises(UrlError, match=r"pathlib\.Path"):
        source(text)
    with pytest.raises(UrlError) as caught:
        source("ftp://host/x")
    assert "pathlib" not in str(caught.value)
