"""ObjectUrl: every name survives, and what cannot be meant is refused with an example."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import UrlError
from aisio.urls import Namespace, ObjectUrl

ODD_NAMES = [
    "a?b=1&c",
    "a#b",
    "100%",
    "%25",
    "a%20b",
    " lead and trail ",
    "ünï/漢字 😀",
    "file_#@!$%^&*()_+.mp3",
    "track?name=lofi&v=1",
    "a:/b",
    "@x/#y",
    "tab\tnew\nline",
    "x" * 2000,
]

names = (
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
    .filter(lambda name: not name.startswith("~/"))
    .filter(lambda name: {".", ".."}.isdisjoint(name.split("/")))
    .filter(lambda name: not f"/{name}".count("//"))
)
words = st.text("abcXYZ019", min_size=1, max_size=8)
namespaces = st.builds(Namespace, st.just("") | words, st.just("") | words)
schemes = st.sampled_from(["ais", "aws", "s3", "gcp", "gs", "azure", "az", "oci", "oc"])


@given(scheme=schemes, namespace=namespaces, bucket=words, name=names)
def test_any_url_comes_back_as_it_was_written(
    scheme: str, namespace: Namespace, bucket: str, name: str
) -> None:
    """Text to ObjectUrl to text changes nothing, whatever the name holds."""
    space = f"{namespace}/" if namespace else ""
    text = f"{scheme}://{space}{bucket}" + (f"/{name}" if name else "")
    url = ObjectUrl.parse(text)
    assert str(url) == text
    assert (url.bucket, url.name, url.namespace) == (bucket, name, namespace)
    assert pickle.loads(pickle.dumps(url)) == url


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names(name: str) -> None:
    """No part of a name is read as a query, a fragment or an escape."""
    assert ObjectUrl.parse(f"ais://b/{name}").name == name
    assert str(ObjectUrl("ais", "b").with_name(name)) == f"ais://b/{name}"


@pytest.mark.parametrize(
    ("alias", "provider"),
    [
        ("ais", "ais"),
        ("s3", "aws"),
        ("aws", "aws"),
        ("gs", "gcp"),
        ("gcp", "gcp"),
        ("az", "azure"),
        ("azure", "azure"),
        ("oc", "oci"),
        ("oci", "oci"),
    ],
)
def test_aliases_mean_one_provider_and_keep_their_spelling(alias: str, provider: str) -> None:
    """AIS-22: s3:// and aws:// name the same object."""
    url = ObjectUrl.parse(f"{alias}://b/o")
    assert url.provider == provider
    assert str(url) == f"{alias}://b/o"
    assert url == ObjectUrl(provider, "b", "o")
    assert (url != ObjectUrl(provider, "b", "o")) is False
    assert url != ObjectUrl(provider, "b", "p")
    assert hash(url) == hash(ObjectUrl(provider, "b", "o"))


@pytest.mark.parametrize(
    ("text", "namespace"),
    [
        ("@f3Kd#ml", Namespace("f3Kd", "ml")),
        ("@f3Kd", Namespace("f3Kd", "")),
        ("#ml", Namespace("", "ml")),
    ],
)
def test_a_namespace_stands_before_the_bucket(text: str, namespace: Namespace) -> None:
    """`@cluster#name`, `@cluster` and `#name` are read and written."""
    url = ObjectUrl.parse(f"ais://{text}/b/a#b@c")
    assert (url.namespace, url.bucket, url.name) == (namespace, "b", "a#b@c")
    assert str(url) == f"ais://{text}/b/a#b@c"


@pytest.mark.parametrize("text", ["", "@", "@#"])
def test_the_empty_namespace_is_the_global_one(text: str) -> None:
    """AIStore writes the global namespace as `@#`."""
    assert Namespace.parse(text) == Namespace()
    assert not Namespace.parse(text)


def test_half_a_namespace_may_keep_both_marks() -> None:
    """On the wire, AIStore writes `@cluster#` and `@#name`."""
    assert Namespace.parse("@c#") == Namespace("c", "")
    assert Namespace.parse("@#n") == Namespace("", "n")


@pytest.mark.parametrize("text", ["ml", "@a b", "#a/b", "@a@b", "@" + "x" * 33])
def test_other_namespaces_are_refused(text: str) -> None:
    """The error says what a namespace looks like."""
    with pytest.raises(UrlError, match="@cluster#name"):
        Namespace.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ais:",
        "ais://",
        "ais:///name",
        "ais://@f3Kd#ml",
        "aws:bucket/x",
        "train/a.jpg",
        "/data/a.tar",
        "ftp://host/x",
        "AIS://b/o",
    ],
)
def test_what_is_no_url_is_refused_with_a_right_one(text: str) -> None:
    """AIS-21: the error quotes the text and shows what a right URL looks like."""
    with pytest.raises(UrlError, match="ais://bucket/name") as caught:
        ObjectUrl.parse(text)
    assert repr(text) in str(caught.value)
    assert caught.value.url == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("aws:bucket/x", "aws://bucket/x"),
        ("ais:/bucket/x", "ais://bucket/x"),
        ("/data/a.tar", "file:///data/a.tar"),
    ],
)
def test_a_near_miss_is_told_what_was_probably_meant(text: str, meant: str) -> None:
    """AIS-21: `aws:bucket/x` is explained."""
    with pytest.raises(UrlError, match=meant):
        ObjectUrl.parse(text)


@pytest.mark.parametrize("bucket", ["a b", "a%20b", ".hidden", "a..b", "x" * 65, "a:b", "ü"])
def test_bad_bucket_names_are_refused(bucket: str) -> None:
    """AIStore's rules for buckets hold before anything is sent."""
    with pytest.raises(UrlError, match="is not a bucket name"):
        ObjectUrl.parse(f"ais://{bucket}/o")


@pytest.mark.parametrize("bucket", ["b", "a.b-c_D9", "x" * 64, "_x", ".sys-inventory"])
def test_good_bucket_names_pass(bucket: str) -> None:
    """64 characters, dots inside, and AIStore's own system buckets."""
    assert ObjectUrl.parse(f"ais://{bucket}").bucket == bucket


@pytest.mark.parametrize("name", ["~/x", "a/../b", "..", "./a", "a/.", "nul\0"])
def test_names_that_no_store_accepts_are_refused(name: str) -> None:
    """They would leave the bucket, or reach another object."""
    with pytest.raises(UrlError, match="a name cannot"):
        ObjectUrl.parse(f"ais://b/{name}")
    with pytest.raises(UrlError, match="a name cannot"):
        ObjectUrl("ais", "b").with_name(name)


@pytest.mark.parametrize("name", ["...", ".hidden", "a/.b", "a..b", "x~/y", "a./b"])
def test_dots_inside_a_name_do_no_harm(name: str) -> None:
    """Only whole path elements `.` and `..` are special."""
    assert ObjectUrl.parse(f"ais://b/{name}").name == name


@pytest.mark.parametrize("text", ["file:///", "file:///a.tar", "file:///data/a ?#%.tar"])
def test_file_urls_hold_an_absolute_path(text: str) -> None:
    """A local file has no bucket, and its name is the path without the first slash."""
    url = ObjectUrl.parse(text)
    assert (url.provider, url.bucket) == ("file", "")
    assert str(url) == text == f"{url.root}/{url.name}"


@pytest.mark.parametrize("text", ["file://", "file://data/a.tar", "file:a"])
def test_file_urls_with_a_relative_path_are_refused(text: str) -> None:
    """`file://data/a.tar` would name a host."""
    with pytest.raises(UrlError, match="file:///folder/name"):
        ObjectUrl.parse(text)


def test_join_puts_one_slash_between() -> None:
    """A prefix with and without its slash gives the same object."""
    assert str(ObjectUrl.parse("ais://b/train").join("a")) == "ais://b/train/a"
    assert str(ObjectUrl.parse("ais://b/train/").join("a")) == "ais://b/train/a"
    assert str(ObjectUrl.parse("ais://b").join("a")) == "ais://b/a"


@pytest.mark.parametrize("text", ["ais://b", "ais://b/", "ais://b/train/"])
def test_a_bucket_or_folder_is_no_object(text: str) -> None:
    """A read of one object fails before a request is sent."""
    with pytest.raises(UrlError, match="names no object"):
        ObjectUrl.parse(text).require_object()


def test_the_root_and_a_name_make_the_url() -> None:
    """Listings have one root and many names."""
    url = ObjectUrl.parse("s3://#ns/b/a/b")
    assert url.root == "s3://#ns/b"
    assert f"{url.root}/{url.name}" == str(url)


def test_oss_01_a_url_of_oss_has_a_bucket_and_a_name() -> None:
    """A bucket of OSS is in no cluster, and so has no namespace."""
    url = ObjectUrl.parse("oss://bkt/a b/c%?d")
    assert (url.provider, url.bucket, url.name) == ("oss", "bkt", "a b/c%?d")
    assert (str(url), url.root) == ("oss://bkt/a b/c%?d", "oss://bkt")
    with pytest.raises(UrlError, match="has no bucket"):
        ObjectUrl.parse("oss:///a")
    with pytest.raises(UrlError, match="for a local file write file:///bkt/key"):
        ObjectUrl.parse("/bkt/key")
    for text in ("oss://#ns/bkt/a", "oss://id:s3cr3t@bkt/a"):
        with pytest.raises(UrlError, match="is not a bucket name") as caught:
            ObjectUrl.parse(text)
        assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["ais", "s3", "oss", "memory", "http"])
def test_a_name_that_is_not_utf8_is_refused(scheme: str) -> None:
    """No store could be sent such a name; the message can be printed."""
    for make in (
        lambda: ObjectUrl.parse(f"{scheme}://b/caf\udce9"),
        lambda: ObjectUrl.parse(f"{scheme}://b").with_name("caf\udce9"),
        lambda: ObjectUrl.parse(f"{scheme}://b/a/").join("caf\udce9"),
    ):
        with pytest.raises(UrlError, match="not UTF-8") as caught:
            make()
        assert str(caught.value).isascii()


def test_a_local_name_may_be_any_bytes() -> None:
    """As a file system has it."""
    url = ObjectUrl.parse("file:///data/").join("caf\udce9")
    assert url.name == "data/caf\udce9"


@pytest.mark.parametrize(
    "text",
    [
        "s3://KEY:s3cr3t@bucket/key",
        "s3://KEY:s3c/r3t@bucket/key",
        "ais://user:s3cr3t@bucket/",
        "memory://user:s3cr3t@bucket/",
        "HTTPS://user:s3cr3t@host/x",
        "http://user:s3cr3t@host/x",
        "s3:KEY:s3cr3t@bucket/key",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_shown(text: str) -> None:
    """URLs must not hold credentials, as errors end up in logs."""
    with pytest.raises(UrlError) as caught:
        ObjectUrl.parse(text)
    assert not any(part in str(caught.value) for part in ("s3cr3t", "s3c", "r3t"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            Path("/data/a"),
            "PosixPath('/data/a') is no text: for a local file write file:///data/a;",
        ),
        (Path("a"), "PosixPath('a') is no text: for a local file write 'file://' and the absolute"),
        (Path("ais://bucket/a"), "PosixPath('ais:/bucket/a') is no text: a right URL looks like"),
        (None, "None is no text: a right URL looks like ais://bucket/name"),
        (b"ais://bucket/a", "b'ais://bucket/a' is no text: a right URL looks like"),
    ],
)
def test_what_is_no_text_is_refused(value: Any, message: str) -> None:
    """As a `Path`, which reaches this from programs without type checks."""
    with pytest.raises(UrlError, match=re.escape(message)):
        ObjectUrl.parse(value)
