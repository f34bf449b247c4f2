"""What objects say of themselves is one line, or a table, without credentials or markup."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping

import pytest

from aisio.summary import StatsTable, Summarized, counted, shown, size_text


class Thing(Summarized):
    """Has a summary."""

    def __init__(self, **values: object) -> None:
        self._values = values

    def _summary(self) -> Mapping[str, object]:
        return self._values


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (138_012_345_678, "138.0 GB"),
        (5 * 10**21, "5000.0 EB"),
    ],
)
def test_a_size_has_a_decimal_unit(size_bytes: int, text: str) -> None:
    """As disks and networks count."""
    assert size_text(size_bytes) == text


def test_numbers_are_counted() -> None:
    """With separators."""
    assert [counted(n, "object") for n in (0, 1, 2_000)] == [
        "0 objects",
        "1 object",
        "2,000 objects",
    ]
    assert (shown(12_345), shown(True)) == ("12,345", "True")


def test_a_table_is_escaped() -> None:
    """An object may be named like markup."""
    html = Thing(url="ais://b/<script>&\"'\x1b[0m\n")._repr_html_()
    assert html == (
        "<table><caption>Thing</caption><tr><th>url</th>"
        "<td>ais://b/&lt;script&gt;&amp;&quot;&#x27;\\x1b[0m\\n</td></tr></table>"
    )


def test_a_table_has_no_credentials() -> None:
    """Of any URL in it."""
    html = Thing(a="https://h/a?sig=s3cret", b="s3://KEY:s3cret@bucket/a", n=1_000)._repr_html_()
    assert "s3cret" not in html
    assert "<td>1,000</td>" in html


def test_stats_are_a_dict() -> None:
    """As they were before there was a table."""
    stats = StatsTable(requests=3, list_s=0.5, workers={})
    assert stats == {"requests": 3, "list_s": 0.5, "workers": {}}
    assert json.loads(json.dumps(stats)) == stats
    assert pickle.loads(pickle.dumps(stats)) == stats
    assert repr(stats) == "{'requests': 3, 'list_s': 0.5, 'workers': {}}"


def test_stats_are_shown_with_units() -> None:
    """Without a column of workers where there are none."""
    html = StatsTable(requests=3_000, list_s=0.5, bytes_read=2_500_000, ratio=0.25)._repr_html_()
    assert "<tr><th>requests</th><td>3,000</td></tr>" in html
    assert "<tr><th>list_s</th><td>0.500 s</td></tr>" in html
    assert "<tr><th>bytes_read</th><td>2.5 MB</td></tr>" in html
    assert "<tr><th>ratio</th><td>0.250</td></tr>" in html


def test_workers_are_columns() -> None:
    """What a worker has not stays empty."""
    html = StatsTable(items=3, skipped=0, workers={0: {"items": 1}, 1: {"items": 2}})._repr_html_()
    assert "<tr><th></th><th>all</th><th>worker 0</th><th>worker 1</th></tr>" in html
    assert "<tr><th>items</th><td>3</td><td>1</td><td>2</td></tr>" in html
    assert "<tr><th>skipped</th><td>0</td><td></td><td></td></tr>" in html
