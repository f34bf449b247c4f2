"""Groups: some objects of a bucket, in an order of one's own."""

from __future__ import annotations

import pytest

from aisio.client.client import Bucket
from aisio.errors import NotFoundError


@pytest.fixture
def shards(bucket: Bucket) -> Bucket:
    """Return a bucket with s-00.tar to s-09.tar, each holding its own name."""
    for number in range(10):
        name = f"s-{number:02d}.tar"
        bucket.object(name).put(name.encode())
    return bucket


def test_a_group_is_read_in_its_order(shards: Bucket) -> None:
    """Which is not the listing's, and may repeat."""
    names = ["s-07.tar", "s-01.tar", "s-07.tar"]
    assert [item.get() for item in shards.objects(names)] == [name.encode() for name in names]


@pytest.mark.parametrize(
    ("template", "count", "numbers"),
    [
        ("s-{00..09..3}.tar", None, [0, 3, 6, 9]),
        ("s-{0..0}{4..6}.tar", None, [4, 5, 6]),
        ("s-@02.tar", None, [0, 1, 2]),
        ("s-%02d.tar", 4, [0, 1, 2, 3]),
    ],
)
def test_a_template_names_what_is_there(
    shards: Bucket, template: str, count: int | None, numbers: list[int]
) -> None:
    """All three styles."""
    group = shards.objects(template=template, count=count)
    assert [item.get() for item in group] == [f"s-{n:02d}.tar".encode() for n in numbers]
    assert len(group) == len(numbers)


def test_a_group_honours_the_prefix(shards: Bucket) -> None:
    """AIS-04: with sizes, which are asked for."""
    group = shards.objects(template="s-{00..09}.tar")
    assert [info.size_bytes for info in group.list("s-00", sizes=True)] == [8]
    assert list(group.names("t")) == []


def test_a_member_that_is_missing_shows_when_it_is_read(shards: Bucket) -> None:
    """A group looks nothing up by itself."""
    group = shards.objects(["s-00.tar", "s-99.tar"])
    assert [info.name for info in group.list()] == ["s-00.tar", "s-99.tar"]
    first, second = group
    assert first.get() == b"s-00.tar"
    with pytest.raises(NotFoundError, match=r"s-99\.tar"):
        second.get()
    with pytest.raises(NotFoundError, match=r"s-99\.tar"):
        list(group.list(sizes=True))
