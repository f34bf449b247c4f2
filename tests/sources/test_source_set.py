"""SourceSet: several sources in order, what the prefix map reads of each, and what is skipped."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.catalog.entries import NamedSource
from aisio.client.client import Client
from aisio.errors import ConfigError, NotFoundError
from aisio.shards.names import ShardNames
from aisio.sources.catalog_source import CatalogSource
from aisio.sources.resolve import source
from aisio.sources.source_set import SourceSet
from tests.sources.files import TREE, names


def test_an_empty_list_is_refused_by_the_class_that_got_it():
    """AIS-02: the class names itself; a single source needs no list."""
    with pytest.raises(ValueError, match="^<AISMapDataset> ais_source_list must be provided$"):
        SourceSet([], owner="AISMapDataset")


def test_a_single_source_needs_no_list(folder):
    """AIS-02: one source is wrapped."""
    assert names((info for _, info in SourceSet(folder, owner="X").list()), folder) == TREE


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        ({}, TREE),
        (None, TREE),
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
    """A key that matches no source would silently read everything."""
    with pytest.raises(
        ConfigError, match="prefix_map has keys that are not among the sources: 'ais://other'"
    ):
        SourceSet([folder], {"ais://other": "x"}, owner="X")


def test_a_slice_of_the_sources(folder):
    """Workers can take whole sources."""
    sources = SourceSet([folder + "train/", folder + "val/"], owner="X")
    assert names((info for _, info in sources.list(slice(1, None, 2))), folder) == ["val/0"]
    assert len(sources) == 2


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


def below(sources, folder):
    """Return the names below the folder that a set lists."""
    return names((info for _, info in sources.list()), folder)


@pytest.mark.parametrize("text", ["trian-", "absent.tar", "train-{000..001}/", "*.tar", "train/?x"])
def test_a_source_that_matches_nothing_is_an_error(folder, text):
    """An epoch without objects needs allow_empty=True."""
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
    """Also where other prefixes match."""
    base = str(tmp_path)[1:]
    with pytest.raises(NotFoundError, match="prefix '.*/vall/'|no folder .*/vall"):
        list(SourceSet(folder, {folder: [f"{base}/val/", f"{base}/vall/"]}, owner="X").list())


def test_a_prefix_map_that_takes_nothing_is_refused(folder):
    """An empty list would silently drop a source."""
    with pytest.raises(ConfigError, match="empty list"):
        SourceSet(folder, {folder: []}, owner="X")


def test_a_prefix_map_knows_objects_and_patterns(folder, tmp_path):
    """As URLs do."""
    base = str(tmp_path)[1:] + "/"
    (tmp_path / "trial-2").write_bytes(b"")
    prefixes = [base + text for text in ("trial", "t*/1", "val/{0..0}")]
    assert below(SourceSet(folder, {folder: prefixes}, owner="X"), folder) == [
        "trial",
        "train/1",
        "val/0",
    ]


def test_a_flat_list_of_urls_is_read_as_these_objects(folder, tmp_path):
    """The URL img1 does not read img10 as well."""
    for name in ("img1", "img10"):
        (tmp_path / name).write_bytes(b"")
    assert below(SourceSet([folder + "img1", folder + "val/0"], owner="X"), folder) == [
        "img1",
        "val/0",
    ]


class Tars:
    """Reads names that end in .tar."""

    why = "no tar"

    def __call__(self, name):
        return name.endswith(".tar")

    def kind_of(self, name):
        return ""

    def is_sidecar(self, name):
        return name.endswith("classes.json")


def test_what_the_name_filter_skips_is_logged_once(tmp_path, caplog):
    """The line says how many, which and why, but of sidecars; a second epoch logs nothing."""
    for name in ("a.tar", "a.idx", "b.idx", "classes.json"):
        (tmp_path / name).write_bytes(b"")
    url = f"file://{tmp_path}/"
    sources = SourceSet(tmp_path, owner="X", name_filter=Tars())
    assert below(sources, url) == below(sources, url) == ["a.tar"]
    (message,) = caplog.messages
    assert message.startswith(f"<X> {tmp_path}: skipped 2 (no tar): '")


@pytest.mark.parametrize("text", ["a.idx", "{a,b}.idx"])
def test_an_object_that_is_named_itself_is_read(tmp_path, text):
    """By its URL, by braces, in a list, or in a prefix map; the name filter does not apply."""
    for name in ("a.idx", "b.idx"):
        (tmp_path / name).write_bytes(b"")
    url = f"file://{tmp_path}/"
    found = ["a.idx", "b.idx"][: text.count("b") + 1]
    assert below(SourceSet(url + text, owner="X", name_filter=Tars()), url) == found
    prefixes = {url: f"{tmp_path}/{text}"[1:]}
    assert below(SourceSet(url, prefixes, owner="X", name_filter=Tars()), url) == found
    urls = source([url + name for name in found])
    assert below(SourceSet(urls, owner="X", name_filter=Tars()), url) == found


def test_a_source_of_skipped_objects_is_an_error_that_lists_them(tmp_path):
    """There is nothing to read, as with a misspelt name."""
    (tmp_path / "a.idx").write_bytes(b"")
    with pytest.raises(NotFoundError, match=r"skipped 1 \(no tar\): '.*a.idx'"):
        list(SourceSet(tmp_path, owner="X", name_filter=Tars()).list())


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [(None, "d/"), ("d/a", "d/a"), ("d/[*]", "d/*"), ("d/*", None), (["d/a", "d/b"], None)],
)
def test_place_of_a_prefix(prefix, expected):
    """The URL that all of it stands at, if there is one."""
    place = SourceSet(["file:///d/"], {"file:///d/": prefix}, owner="X").place()
    assert (place and place[1].name) == expected


def test_place_of_other_sources(client):
    """A bucket has one; a group, a list and several sources have none."""
    bucket = client.bucket("b")
    place = SourceSet(bucket, owner="X").place()
    assert place is not None
    assert str(place[1]) == "ais://b"
    for sources in (bucket.objects(["a"]), [bucket, bucket], [["file:///a", "file:///b"]]):
        assert SourceSet(sources, owner="X").place() is None


def test_etl_of_a_source_is_known(client, folder):
    """What is read is not what is stored then."""
    entry = NamedSource(tag="x/y", prefix="ais://b/", etl_name="md5")
    assert not SourceSet(folder, owner="X").has_etl
    assert SourceSet([folder, CatalogSource.of(entry, client=client)], owner="X").has_etl


def test_its_identity_changes_with_what_it_lists():
    """So that ranks do not take the listing of one data set for that of another."""
    client = Client("http://cluster:8080")

    def identity(what, prefix_map=None, **options):
        options = {"owner": "X", "client": client, **options}
        return SourceSet(what, prefix_map, **options).identity()

    same = {identity(["ais://b/", "ais://c/"]) for _ in range(2)}
    others = {
        identity(["ais://b/"]),
        identity(["ais://c/", "ais://b/"]),
        identity(["ais://b/", "ais://c/"], {"ais://c/": "train/"}),
        identity(["ais://b/", "ais://c/"], owner="Y"),
        identity(["ais://b/", "ais://c/"], allow_empty=True),
        identity(["ais://b/", "ais://c/"], name_filter=ShardNames()),
        identity(["ais://b/", "ais://c/"], name_filter=ShardNames("*.x")),
    }
    assert len(same) == 1
    assert len(same | others) == 8
    assert identity(["ais://b/", "file:///data/"]) is None


def test_empty_objects_are_data_unless_they_are_to_be_skipped(tmp_path, caplog):
    """Those that the source or the prefix map names are read all the same."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"x" if name == "b" else b"")
    url = f"file://{tmp_path}/"
    cases = (
        ([url], None, "b"),
        ([f"{url}[a-c]"], None, "b"),
        ([f"{url}a", f"{url}b"], None, "ab"),
        ([url], {url: [f"{tmp_path}/c"[1:], f"{tmp_path}/b"[1:]]}, "cb"),
    )
    for sources, prefix_map, expected in cases:
        found = SourceSet(sources, prefix_map, owner="Data", skip_empty=True)
        assert "".join(info.name[-1] for _, info in found.list()) == expected
    assert len(list(SourceSet([url], owner="Data").list())) == 3
    assert caplog.messages[0].startswith(f"<Data> {url}: skipped 2 (no bytes): ")
    (tmp_path / "b").unlink()
    with pytest.raises(NotFoundError, match=r"nothing to read: skipped 2 \(no bytes\)"):
        list(SourceSet([url], owner="Data", skip_empty=True).list())


def test_skipping_empty_objects_is_part_of_the_identity(client):
    """Another process that does not skip them has another listing."""
    both = {
        SourceSet("ais://b/", owner="D", client=client, skip_empty=skip).identity()
        for skip in (True, False)
    }
    assert len(both) == 2


def test_a_manifest_without_objects_says_so(tmp_path):
    """It is no misspelt name."""
    (tmp_path / "list").write_text("# nothing yet\n", "utf-8")
    entry = NamedSource(tag="t/a", manifest=f"file://{tmp_path}/list")
    own = CatalogSource.of(entry).unpinned
    with pytest.raises(NotFoundError, match="/list: nothing to read: the manifest lists no object"):
        list(SourceSet([own], owner="Data").list())


def test_include_and_exclude_choose_among_all_objects(folder, caplog):
    """Named ones too; one line of log has how many, at the level of what was asked for."""
    caplog.set_level("INFO")
    sources = SourceSet(folder, owner="X", include=["train/*", "0"], exclude="1")
    assert below(sources, folder) == below(sources, folder) == ["train/0", "val/0"]
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "skipped 1 (of exclude=): " in record.message
    assert "1 (not of include=): " in record.message
    urls = [folder + name for name in TREE]
    assert below(SourceSet(source(urls), owner="X", include="0"), folder) == ["train/0", "val/0"]
    assert len(list(SourceSet(folder, {folder: ["", ""]}, owner="X", include="0").list())) == 4


def test_patterns_that_leave_nothing_are_an_error(folder):
    """It says how many objects were left out, also beside those that are no shards."""
    with pytest.raises(NotFoundError, match=r"nothing to read: skipped 4 \(not of include=\)"):
        list(SourceSet(folder, owner="X", include="*.jpg").list())
    sources = SourceSet(folder, owner="X", exclude="1", name_filter=ShardNames())
    with pytest.raises(NotFoundError, match=r"skipped 3 \(not named .*; 1 \(of exclude=\)"):
        list(sources.list())


def test_patterns_are_part_of_the_identity_and_checked(client):
    """Another process with other patterns has another listing."""
    options: list[dict[str, Any]] = [{}, {"include": "a"}, {"exclude": "a"}, {"include": "b"}]
    found = {SourceSet("ais://b/", owner="D", client=client, **one).identity() for one in options}
    assert len(found) == 4
    with pytest.raises(ConfigError, match="<D> exclude=''"):
        SourceSet("ais://b/", owner="D", client=client, exclude="")


def test_sidecars_beside_shards_are_one_line_of_log(tmp_path, caplog):
    """It says how many of each kind."""
    sidecars = ["_SUCCESS", ".DS_Store", "._a.tar", "a.json", "b.json", "a.idx", "a.crc", "x"]
    for name in ["a.tar", "a.parquet", *sidecars]:
        (tmp_path / name).write_bytes(b"-")
    url = f"file://{tmp_path}/"
    assert below(SourceSet(url, owner="X", name_filter=ShardNames()), url) == ["a.tar"]
    (message,) = caplog.messages
    assert "skipped 9 (not named as tar shards, see shard_names=: " in message
    kinds = message[message.index("=: ") + 3 : message.index("): ")].split(", ")
    others = ["._*", ".DS_Store", "_SUCCESS", "*.idx", "*.crc", "*.parquet", "others"]
    assert sorted(kinds) == sorted(["2 *.json", *(f"1 {kind}" for kind in others)])


def test_a_pattern_that_no_name_matches_is_one_warning(folder, caplog):
    """Once all sources have been listed: those of one need not be in another."""
    folders, exclude = [f"{folder}train/", f"{folder}val/"], ["train/0", "vall/"]
    sources = SourceSet(folders, owner="X", include="[01]", exclude=exclude)
    list(sources.list(slice(0, 1)))
    assert not caplog.records
    for _ in range(2):
        list(sources.list())
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    text = "<X> no name matches exclude='train/0', exclude='vall/': look for a misspelt pattern"
    assert warned == [text]


def test_a_folder_of_nothing_but_what_pack_writes_is_an_error_that_names_it(tmp_path):
    """No name is misspelt there."""
    (tmp_path / "classes.json").write_bytes(b"{}")
    with pytest.raises(NotFoundError, match=r"skipped 1 \(not named as tar shards.*classes.json"):
        list(SourceSet(f"file://{tmp_path}/", owner="X", name_filter=ShardNames()).list())


def test_the_patterns_of_a_source_are_those_of_the_set_too(folder):
    """They tell its states from others."""
    filtered = source(folder, include="0")
    both = SourceSet([filtered, folder], owner="X", exclude="1")
    assert both.patterns == "exclude='1'; include='0'"
    assert SourceSet(folder, owner="X").patterns == ""
