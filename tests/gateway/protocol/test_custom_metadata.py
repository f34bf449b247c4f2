"""Custom metadata: the limits of an AIStore cluster."""

from __future__ import annotations

import pytest

from aisio.gateway.protocol.custom_metadata import MAX_BYTES, check_custom
from aisio.gateway.protocol.refusals import Refusal

URL = "ais://b/o"


@pytest.mark.parametrize(
    "custom",
    [
        {},
        {"k": ""},
        {"ü": "a\nb\t"},
        {"k": "v" * (MAX_BYTES - 1)},
        {"ü": "é" * (MAX_BYTES // 2 - 1)},
    ],
)
def test_what_a_cluster_accepts_is_accepted(custom: dict[str, str]) -> None:
    """Up to the limit, which counts bytes of UTF-8."""
    check_custom(custom, URL)


@pytest.mark.parametrize(
    ("custom", "reason"),
    [
        ({"": "v"}, 'empty key \\(value="v"\\)'),
        ({"k\x01": "v"}, "reserved symbol"),
        ({"k": "\x01"}, "reserved symbol"),
        ({"k": "v" * MAX_BYTES}, "total size 2049 exceeds max 2048 bytes"),
        ({"k": "é" * (MAX_BYTES // 2)}, "total size 2049 exceeds max 2048 bytes"),
        ({"a": "v" * 1500, "b": "v" * 1000}, "total size 2502 exceeds max 2048 bytes"),
    ],
)
def test_what_a_cluster_refuses_is_refused(custom: dict[str, str], reason: str) -> None:
    """400, with the object's URL and the reason."""
    with pytest.raises(Refusal, match=f"^{URL}: custom metadata: .*{reason}") as caught:
        check_custom(custom, URL)
    assert caught.value.status == 400
