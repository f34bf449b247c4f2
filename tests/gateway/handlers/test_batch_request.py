from __future__ import annotations

import pytest

from aisio.gateway.handlers.batch_request import BatchIn, check_entry
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName

BUCKET = BucketName("b")


@pytest.mark.parametrize(
    ("entry", "only_object_names", "label"),
    [
        (BatchIn("o"), False, "b/o"),
        (BatchIn("o"), True, "o"),
        (BatchIn("s.tar", path="x/1"), False, "b/s.tar/x/1"),
        (BatchIn("s.tar", path="/x/1"), True, "s.tar/x/1"),
        (BatchIn("o", bucket="c"), False, "c/o"),
        (BatchIn("o", bucket="c", uname="ais/@#/d/o"), False, "d/o"),
    ],
)
def test_the_name_of_an_item_in_the_archive(
    entry: BatchIn, only_object_names: bool, label: str
) -> None:
    """Bucket, object, and the member's path; a uname takes precedence over a bucket."""
    assert check_entry(entry, BUCKET, only_object_names=only_object_names).label == label


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (BatchIn(""), 'invalid object name ""'),
        (BatchIn("s.tar", path="x/"), 'invalid archpath "x/"'),
        (BatchIn("o", start=-1), "not satisfiable range"),
        (BatchIn("o", length=-2), "not satisfiable range"),
        (BatchIn("o", start=1), "not satisfiable range"),
        (BatchIn("o"), 'missing bucket specification for object "o"'),
    ],
)
def test_an_entry_that_is_not_valid_is_refused(entry: BatchIn, message: str) -> None:
    """With its reason."""
    with pytest.raises(Refusal, match=message) as caught:
        check_entry(entry, None, only_object_names=False)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("start", "length", "span"),
    [
        (0, 0, (0, 10)),
        (0, 10, (0, 10)),
        (2, 3, (2, 5)),
        (2, -1, (2, 10)),
        (0, -1, (0, 10)),
        (2, 9, None),
        (10, -1, None),
        (11, 1, None),
    ],
)
def test_the_bytes_of_a_range(start: int, length: int, span: tuple[int, int] | None) -> None:
    """Of ten bytes; a range beyond the end is refused."""
    entry = BatchIn("o", start=start, length=length)
    item = check_entry(entry, BUCKET, only_object_names=False)
    if span is not None:
        assert item.range_of(10) == span
        return
    with pytest.raises(Refusal, match=r"^size=10: not satisfiable range"):
        item.range_of(10)
