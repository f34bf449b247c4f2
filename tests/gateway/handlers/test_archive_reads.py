from __future__ import annotations

import gzip
import io
import os
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from itertools import compress

import pytest
import requests

from aisio.gateway.handlers.archive_reads import ArchiveQuery, match_names, without_extension
from tests.gateway.archive_data import (
    MEMBERS,
    make_archive,
    make_tar,
    make_zip_with_wrong_size,
    read_archive,
)
from tests.gateway.conftest import Served

ENDINGS = [".tar", ".tgz", ".tar.gz", ".zip"]
NAMES = ["b/2.txt", "a/1.txt", "a/1.jpg", "c", "/abs.txt"]


def matching(pattern: str, mode: str) -> list[str]:
    """Return which of NAMES a pattern matches."""
    found = match_names(ArchiveQuery("", pattern, mode, ""), NAMES, "ais://b/o")
    return [*compress(NAMES, found)]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("member", list(MEMBERS))
def test_a_member_is_sent_as_it_is(bucket: Served, ending: str, member: str) -> None:
    """200 with its size, and without the archive's checksum and version."""
    form = ".tgz" if ending == ".tar.gz" else ending
    bucket.put(f"s{ending}", make_archive(form))
    response = bucket.get(f"s{ending}", f"?archpath={member}")
    assert (response.status_code, response.content) == (200, MEMBERS[member])
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Length"] == str(len(MEMBERS[member]))
    assert not [name for name in response.headers if name.startswith("Ais-")]


@pytest.mark.parametrize("path", ["/a/1.txt", "s.tar/a/1.txt", "a%2F1.txt"])
def test_other_forms_of_a_path(bucket: Served, path: str) -> None:
    """A leading slash is ignored, and so is the archive's own name before the path."""
    bucket.put("s.tar", make_tar())
    assert bucket.get("s.tar", f"?archpath={path}").content == MEMBERS["a/1.txt"]


def test_a_large_member_is_sent_from_within_the_archive(bucket: Served) -> None:
    """In the same way as a range of the object."""
    data = os.urandom(3_000_000)
    bucket.put("s.tar", make_tar({"small": b"x", "large": data, "last": b"y"}))
    assert bucket.get("s.tar", "?archpath=large").content == data


@pytest.mark.parametrize(
    ("name", "query", "status"),
    [
        ("s.tar", "?archpath=nope", 404),
        ("s.tar", "?archpath=d", 404),
        ("s.tar", "?archpath=d/", 400),
        ("none.tar", "?archpath=c", 404),
        ("bad.tar", "?archpath=c", 400),
        ("text", "?archpath=c", 400),
        ("s.tar", "?archpath=c&archmime=.rar", 400),
        ("s.tar", "?archpath=./c", 400),
        ("s.tar", "?archpath=d/../c", 400),
        ("s.tar", "?archpath=~/c", 400),
        ("s.tar", "?archregx=zzz&archmode=prefix", 404),
        ("s.tar", "?archregx=(&archmode=regexp", 400),
        ("s.tar", "?archregx=a{99999999999}&archmode=regexp", 400),
        ("s.tar", "?archregx=a&archmode=nonsense", 400),
        ("s.tar", "?archpath=c&archregx=c&archmode=prefix", 400),
        ("bad.tar", "?archregx=c&archmode=prefix", 400),
    ],
)
def test_missing_members_and_bad_queries(
    bucket: Served, name: str, query: str, status: int
) -> None:
    """The status that a cluster gives."""
    bucket.put("s.tar", make_tar(folder="d"))
    bucket.put("bad.tar", b"x" * 2000)
    bucket.put("text", b"hello")
    assert bucket.get(name, query).status_code == status


def test_a_missing_member_has_aistores_error(bucket: Served) -> None:
    """The official client finds out from it what is missing."""
    bucket.put("s.tar", make_tar())
    error = bucket.get("s.tar", "?archpath=nope").json()
    assert error["tcode"] == "ErrNotFound"
    assert error["message"].endswith(f": nope in ais://{bucket.name}/s.tar does not exist")


@pytest.mark.parametrize("query", ["?archpath=c", "?archregx=c&archmode=prefix"])
def test_a_range_of_a_member_is_400(bucket: Served, query: str) -> None:
    """AIStore does not support it either, and refuses it with an error."""
    bucket.put("s.tar", make_tar())
    response = bucket.get("s.tar", query, Range="bytes=0-1")
    assert (response.status_code, response.json()["tcode"]) == (400, "ErrUnsupp")


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".zip"])
def test_matching_members_come_as_a_tar(bucket: Served, ending: str) -> None:
    """In the archive's order, whatever its form."""
    bucket.put(f"s{ending}", make_archive(ending))
    response = bucket.get(f"s{ending}", "?archregx=a/&archmode=prefix")
    assert response.headers["Content-Type"] == "application/x-tar"
    wanted = [(name, data) for name, data in MEMBERS.items() if name.startswith("a/")]
    assert read_archive(response.content) == wanted


def test_members_keep_their_headers_and_folders_are_included(bucket: Served) -> None:
    """Mode and time are the archive's; an empty pattern matches all members."""
    bucket.put("s.tar", make_tar(folder="d"))
    response = bucket.get("s.tar", "?archregx=&archmode=prefix")
    with tarfile.open(fileobj=io.BytesIO(response.content)) as tar:
        infos = tar.getmembers()
    assert [info.name for info in infos] == ["d", *MEMBERS]
    assert {(info.mode, info.mtime) for info in infos[1:]} == {(0o600, 1000)}


def test_a_pattern_without_a_mode_gets_the_whole_object(bucket: Served) -> None:
    """As on a live cluster: only archmode makes it a search."""
    bucket.put("s.tar", make_tar())
    assert bucket.get("s.tar", "?archregx=^b").content == make_tar()


@pytest.mark.parametrize(
    ("pattern", "mode", "names"),
    [
        ("a", "prefix", ["a/1.txt", "a/1.jpg"]),
        ("txt", "suffix", ["b/2.txt", "a/1.txt", "/abs.txt"]),
        ("1", "substr", ["a/1.txt", "a/1.jpg"]),
        ("a/1", "wdskey", ["a/1.txt", "a/1.jpg"]),
        ("1", "wdskey", []),
        ("^b|jpg$", "regexp", ["b/2.txt", "a/1.jpg"]),
        ("[12]", "regexp", ["b/2.txt", "a/1.txt", "a/1.jpg"]),
        ("*", "regexp", NAMES),
        ("", "suffix", NAMES),
    ],
)
def test_each_mode_of_matching(pattern: str, mode: str, names: list[str]) -> None:
    """Names are matched as they are in the archive; "" and "*" match all of them."""
    assert matching(pattern, mode) == names


def test_a_pattern_that_takes_for_ever_delays_nobody(bucket: Served) -> None:
    """Other requests get their responses meanwhile; the pattern is refused in the end."""
    bucket.put("s.tar", make_tar({"a" * 60 + "!": b""}))
    bucket.put("other", b"x")
    url = bucket.url("s.tar", "?archmode=regexp&archregx=^(a%2B)%2B$")
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(requests.get, url, timeout=60)
        while not slow.done():
            assert requests.get(bucket.url("other"), timeout=30).content == b"x"
    assert slow.result().status_code == 400
    assert "takes too long" in slow.result().json()["message"]


@pytest.mark.parametrize(
    ("name", "key"), [("a/b.c.txt", "a/b.c"), ("a.b/c", "a.b/c"), (".x", ""), ("a/.x", "a/")]
)
def test_the_webdataset_key_is_cut_at_the_last_dot(name: str, key: str) -> None:
    """This is AIStore's rule, not WebDataset's."""
    assert without_extension(name) == key


def cut_archive(form: str) -> bytes:
    """Return an archive whose last member has fewer than the 300,000 bytes in its header."""
    data = os.urandom(200_000)
    if form == ".zip":
        return make_zip_with_wrong_size("last", data, 100_000)
    tar = make_tar({"first": b"1", "last": data + bytes(100_000)})[: 512 * 3 + len(data)]
    return tar if form == ".tar" else gzip.compress(tar)


@pytest.mark.parametrize("form", [".tar", ".tgz", ".zip"])
@pytest.mark.parametrize("query", ["archpath=last", "archregx=&archmode=prefix"])
def test_an_incomplete_member_is_refused(bucket: Served, form: str, query: str) -> None:
    """400 before anything is sent, and the connection can be used again."""
    bucket.put(f"s{form}", cut_archive(form))
    with requests.Session() as http:
        assert http.get(bucket.url(f"s{form}", f"?{query}")).status_code == 400
        assert http.get(bucket.url("none")).status_code == 404


def test_a_whole_member_before_the_damage_is_sent(bucket: Served) -> None:
    """By its path; a search could miss members behind the damage."""
    bucket.put("s.tar", cut_archive(".tar"))
    assert bucket.get("s.tar", "?archpath=first").content == b"1"
    assert bucket.get("s.tar", "?archregx=first&archmode=prefix").status_code == 400


def test_a_large_incomplete_member_closes_the_connection(bucket: Served) -> None:
    """The damage is far behind its beginning, and the head has been sent: the body ends early."""
    bucket.put("s.zip", make_zip_with_wrong_size("m", os.urandom(3_000_000), 1000))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        bucket.get("s.zip", "?archpath=m")


def test_the_tar_of_a_zip_has_no_folders(bucket: Served) -> None:
    """Only its files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("d/", b"")
        archive.writestr("d/a", b"1")
    bucket.put("s.zip", file.getvalue())
    response = bucket.get("s.zip", "?archregx=d&archmode=prefix")
    assert read_archive(response.content) == [("d/a", b"1")]


def test_an_overwritten_archive_is_read_again(bucket: Served) -> None:
    """An index belongs to one state of one file."""
    bucket.put("s.tar", make_tar({"a": b"old"}))
    assert bucket.get("s.tar", "?archpath=a").content == b"old"
    bucket.put("s.tar", make_tar({"b": b"1", "a": b"new!"}))
    assert bucket.get("s.tar", "?archpath=a").content == b"new!"


def test_many_readers_of_a_new_archive(bucket: Served) -> None:
    """One of them reads it through, the others wait, and all get their own member."""
    members = {f"{number:03}": os.urandom(5000) for number in range(200)}
    (bucket.folder / "s.tar").write_bytes(make_tar(members))
    found: dict[str, bytes] = {}

    def read(name: str) -> None:
        found[name] = requests.get(bucket.url("s.tar", f"?archpath={name}")).content

    threads = [threading.Thread(target=read, args=(name,)) for name in list(members)[::10]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: members[name] for name in list(members)[::10]}
