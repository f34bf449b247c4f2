"""Copy, rename and delete objects and buckets, inside the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aisio.client.client import Bucket, Client
from aisio.errors import ConfigError, ConflictError, NotFoundError, UrlError
from aisio.records import Deleted
from aisio.urls import ObjectUrl

ODD = ("a%41", "a?b=c", "a#b", "a b", "ü", "a+b", "a%2Fb", "a&b", "%zz")
MANY = 130
"""More than are deleted one by one."""


@pytest.fixture
def other(client: Client, bucket: Bucket) -> Iterator[Bucket]:
    """Return a bucket that does not exist yet, and is destroyed afterwards."""
    other = client.bucket(f"{bucket.name}-2")
    yield other
    other.delete(missing_ok=True)


def contents(bucket: Bucket) -> dict[str, int | None]:
    """Return names and sizes."""
    return {info.name: info.size_bytes for info in bucket.list()}


def test_objects_are_copied(client: Client, bucket: Bucket, other: Bucket) -> None:
    """To a name, a URL or an object; the bucket must exist."""
    item = bucket.object("a")
    item.put(b"data")
    assert item.copy("b/c").checksum == item.head().checksum
    other.create()
    item.copy(f"{other.url}/x")
    item.copy(other.object("y"))
    assert (contents(bucket), contents(other)) == ({"a": 4, "b/c": 4}, {"x": 4, "y": 4})
    with pytest.raises(NotFoundError, match="nope"):
        bucket.object("nope").copy("b")
    with pytest.raises(NotFoundError, match="aisio-no-such-bucket"):
        item.copy("ais://aisio-no-such-bucket/x")
    for url in (item.url, "a", item):
        with pytest.raises(ConfigError, match="itself"):
            item.copy(url)
    with pytest.raises(ConfigError, match="not in the cluster"):
        item.copy(ObjectUrl.parse("file:///tmp/x"))
    with pytest.raises(ConfigError, match="another cluster"):
        item.copy(Client("http://elsewhere:1").bucket("b").object("a"))
    with pytest.raises(UrlError, match="names no object"):
        item.copy("folder/")


@pytest.mark.parametrize("name", ODD)
def test_odd_names_stay_as_they_are(bucket: Bucket, name: str) -> None:
    """AIStore 5.0 sends some to another node under another name."""
    for number in range(3):  # on this node and on others
        bucket.object(f"from/{number}{name}").put(b"data")
        bucket.object(f"from/{number}{name}").copy(f"copy/{number}{name}")
        assert bucket.object(f"from/{number}{name}").rename(f"new/{number}{name}").get() == b"data"
    expected = {f"{folder}/{number}{name}": 4 for folder in ("copy", "new") for number in range(3)}
    assert contents(bucket) == expected


def test_objects_are_renamed(bucket: Bucket) -> None:
    """What was there is replaced."""
    bucket.object("a").put(b"data")
    bucket.object("b").put(b"before")
    assert bucket.object("a").rename("b").get() == b"data"
    assert contents(bucket) == {"b": 4}
    with pytest.raises(NotFoundError, match=f"{bucket.name}/a"):
        bucket.object("a").rename("c")
    with pytest.raises(ConfigError, match="that name already"):
        bucket.object("b").rename("b")
    with pytest.raises(UrlError, match="pass a name in its bucket"):
        bucket.object("b").rename(f"{bucket.url}/c")


def test_buckets_are_copied(client: Client, bucket: Bucket, other: Bucket) -> None:
    """The other one is created; what it has besides stays."""
    for name in ("t/1", "t/2", "u", *ODD):
        bucket.object(name).put(name.encode())
    assert bucket.copy(other.name) == other
    assert contents(other) == contents(bucket)
    assert bucket.copy(other, prefix="t/", prepend="k-") == other
    assert contents(other) == contents(bucket) | {"k-t/1": 3, "k-t/2": 3}
    assert bucket.copy(bucket, prefix="t/1", prepend="copy/") == bucket
    assert bucket.object("copy/t/1").get() == b"t/1"
    with pytest.raises(NotFoundError, match="no name begins with 'nope'"):
        bucket.copy(other, prefix="nope")
    with pytest.raises(ConfigError, match="prepend="):
        bucket.copy(bucket)
    with pytest.raises(NotFoundError, match="aisio-no-such-bucket"):
        client.bucket("aisio-no-such-bucket").copy(other)
    with pytest.raises(ConfigError, match="another cluster"):
        bucket.copy(Client("http://elsewhere:1").bucket("b"))


def test_an_empty_bucket_is_copied(bucket: Bucket, other: Bucket) -> None:
    """The other one exists then."""
    bucket.copy(other)
    assert other.exists()
    assert contents(other) == {}


def test_buckets_are_renamed(bucket: Bucket, other: Bucket) -> None:
    """With all that is in them; nothing is replaced."""
    for name in ODD:
        bucket.object(name).put(name.encode())
    before = contents(bucket)
    assert bucket.rename(other.name) == other
    assert contents(other) == before
    assert not bucket.exists()
    bucket.create()
    with pytest.raises(ConflictError, match="exists already"):
        other.rename(bucket.name)
    with pytest.raises(ConfigError, match="that name already"):
        other.rename(other.name)
    with pytest.raises(NotFoundError):
        bucket.client.bucket("aisio-no-such-bucket").rename("aisio-nor-this")


@pytest.mark.parametrize("count", [3, MANY])
def test_names_are_deleted(bucket: Bucket, count: int) -> None:
    """One by one or by a job; each name is accounted for."""
    names = [f"t/{number:03d}" for number in range(count)]
    for name in [*names, "t", "u"]:
        bucket.object(name + "-").put(b"")
        bucket.object(name + "x").put(b"1")
    wanted = [f"{name}x" for name in names]
    with pytest.raises(NotFoundError, match=f"does not exist: t/0000; deleted objects: {count}"):
        bucket.delete_many([*wanted, "t/0000", wanted[0]])
    assert not contents(bucket).keys() & set(wanted)
    assert len(contents(bucket)) == count + 4
    deleted = bucket.delete_many(iter([*wanted, "ux"]), missing_ok=True)
    assert deleted == Deleted(1, tuple(wanted))


def test_names_far_apart_are_deleted(bucket: Bucket) -> None:
    """A listing of all between them would take too long."""
    names = [*(f"a/{number:04d}" for number in range(MANY // 2)), "z"]
    others = [f"m/{number:04d}" for number in range(20)]
    for name in [*names, *others]:
        bucket.object(name).put(b"")
    missing = [f"nope/{number}" for number in range(MANY)]
    assert bucket.delete_many([*names, *missing], missing_ok=True).missing == tuple(missing)
    assert list(contents(bucket)) == others


@pytest.mark.parametrize("count", [3, MANY])
def test_a_prefix_and_a_template_are_deleted(bucket: Bucket, count: int) -> None:
    """A prefix is plain text, also where AIStore would take it for a template."""
    for number in range(count):
        bucket.object(f"s-{{0..9}}-{number:03d}").put(b"")
        bucket.object(f"s-{number:03d}").put(b"")
    assert bucket.delete_many(prefix="s-{0..9}-").count == count
    assert bucket.delete_many(template=f"s-{{000..{count - 1:03d}}}") == Deleted(count)
    assert contents(bucket) == {}
    with pytest.raises(NotFoundError, match="no name begins with 's'"):
        bucket.delete_many(prefix="s")
    assert bucket.delete_many(prefix="s", missing_ok=True) == Deleted(0)
    assert bucket.delete_many(prefix="") == Deleted(0)


def test_what_cannot_be_deleted(client: Client, bucket: Bucket) -> None:
    """Nothing is taken for all objects."""
    bucket.object("a").put(b"")
    for names in ([], ["a"]):
        with pytest.raises(ConfigError, match="one of names"):
            bucket.delete_many(names, prefix="a")
    with pytest.raises(ConfigError, match="one of names"):
        bucket.delete_many()
    with pytest.raises(ConfigError, match="there are no names"):
        bucket.delete_many([])
    with pytest.raises(UrlError, match="one name"):
        bucket.delete_many("a")
    missing = client.bucket("aisio-no-such-bucket")
    by_each: list[dict[str, Any]] = [
        {"names": ["a"]},
        {"template": "{0..200}"},
        {"prefix": "a"},
        {"prefix": ""},
    ]
    for arguments in by_each:
        with pytest.raises(NotFoundError, match="aisio-no-such-bucket"):
            missing.delete_many(**arguments, missing_ok=True)
    assert list(contents(bucket)) == ["a"]
