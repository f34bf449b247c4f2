from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import (
    BucketName,
    check_name,
    check_prefix,
    parse_target,
)


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1))
def test_any_quoted_name_comes_back_as_it_was(name: str) -> None:
    """The path is percent-decoded exactly once."""
    assert parse_target(f"/v1/objects/b/{quote(name)}?provider=ais").parts[2] == name


@pytest.mark.parametrize(
    ("path", "name"),
    [("a%2Fb", "a/b"), ("a+b", "a+b"), ("%2525", "%25"), ("//a//b", "a/b"), ("a%3Fb?c=d", "a?b")],
)
def test_paths_mean_what_they_mean_to_aistore(path: str, name: str) -> None:
    """%2F separates, + is a plus, repeated slashes collapse, only a bare ? begins the query."""
    assert parse_target(f"/v1/objects/b/{path}").name == name


@pytest.mark.parametrize("name", ["", "a/", "/a", "~/a", "../a", "a/../b", "a/./b", "..", "a\0b"])
def test_names_that_leave_the_bucket_are_refused(name: str) -> None:
    """No name may contain "..", be absolute, end as a folder's, or contain a NUL."""
    with pytest.raises(Refusal, match="invalid object name") as caught:
        check_name(name)
    assert caught.value.status == 400


@pytest.mark.parametrize("name", ["..a", "a..", "a.b", "~", "~a/b", ".hidden", "a b", "ü" * 127])
def test_unusual_names_are_names(name: str) -> None:
    """Dots and tildes matter only where the shell or the file system gives them a meaning."""
    assert check_name(name) == name


def test_a_part_too_long_for_a_file_name_is_refused() -> None:
    """255 bytes fit, 256 do not; characters are counted as UTF-8."""
    assert check_name("a" * 255 + "/" + "b" * 255)
    with pytest.raises(Refusal, match="longer than 255 bytes"):
        check_name("ü" * 128)


@pytest.mark.parametrize("path", ["/v1/objects/b/%zz", "/v1/objects/b/%f", "/v1/objects/b/%ff"])
def test_broken_escapes_are_refused(path: str) -> None:
    """Every % begins two hexadecimal digits, and the bytes are UTF-8."""
    with pytest.raises(Refusal) as caught:
        parse_target(path)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("query", "bucket"),
    [
        ("", BucketName("b")),
        ("?provider=", BucketName("b")),
        ("?provider=ais&namespace=%40%23ml", BucketName("b", "ml")),
        ("?namespace=%23ml", BucketName("b", "ml")),
    ],
)
def test_bucket_comes_from_path_provider_and_namespace(query: str, bucket: BucketName) -> None:
    """No provider means ais; a local namespace is written #name or @#name."""
    assert parse_target(f"/v1/objects/b/o{query}").bucket == bucket


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("?provider=s3", 404, 'remote bucket "s3://b" does not exist'),
        ("?namespace=%40abc%23ml", 404, 'remote bucket "ais://@abc#ml/b" does not exist'),
        ("?provider=nope", 400, "invalid backend provider"),
        ("?namespace=x", 400, "namespace"),
    ],
)
def test_buckets_elsewhere_do_not_exist(query: str, status: int, text: str) -> None:
    """The gateway has only ais buckets, and none of other clusters."""
    with pytest.raises(Refusal, match=text) as caught:
        _ = parse_target(f"/v1/objects/b/o{query}").bucket
    assert caught.value.status == status


@pytest.mark.parametrize("name", ["a..b", ".hidden", "a b", "x" * 65, "#ml"])
def test_bad_bucket_names_are_refused(name: str) -> None:
    """Bucket names are AIStore's: letters, digits, - _ and ., 64 at most, no leading dot."""
    with pytest.raises(Refusal) as caught:
        _ = parse_target(f"/v1/buckets/{quote(name)}").bucket
    assert caught.value.status == 400


def test_prefix_loses_its_star_and_stays_inside() -> None:
    """AIStore allows one trailing *, and no ".."."""
    assert check_prefix("train/*") == "train/"
    for prefix in ("../x", "a/./b", "~/x"):
        with pytest.raises(Refusal, match="invalid prefix"):
            check_prefix(prefix)
