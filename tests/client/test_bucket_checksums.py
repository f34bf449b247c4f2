"""BucketChecksums: checksums of types that are not known."""

from __future__ import annotations

import pytest

from aisio.errors import IntegrityError
from tests.client.object_server import (
    DATA,
    MOVED,
    bucket_that_sums_ranges,
    hashed,
    stored,
)
from tests.http_server import Reply

DAMAGED = [{"Ais-Checksum-Type": "xxhasi2"}, {"Ais-Checksum-Type": ""}]


@pytest.mark.parametrize("damage", DAMAGED, ids=str)
def test_a_damaged_type_of_a_checksum_is_an_error(damage: dict[str, str]) -> None:
    """The bucket says which type it uses: one damaged byte must not disable the check."""
    damaged = Reply(200, DATA, hashed(DATA) | damage)
    stored_so = Reply(200, headers=hashed(DATA) | damage)
    with stored(damaged, bucket_that_sums_ranges(False), damaged, MOVED, stored_so) as (_, item):
        for _ in range(2):
            with pytest.raises(IntegrityError, match="type '.*', the bucket uses xxhash2"):
                item.get()
        with pytest.raises(IntegrityError, match="the bucket uses xxhash2"):
            item.put(DATA)


@pytest.mark.parametrize("bucket", [Reply(403), bucket_that_sums_ranges(False, "xxhash9")])
def test_an_unknown_type_of_checksum_is_reported_once(
    bucket: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    """Objects of a newer AIStore can be read; a warning says what is not verified."""
    newer = Reply(200, DATA, hashed(DATA) | {"Ais-Checksum-Type": "xxhash9"})
    with stored(newer, bucket, newer) as (_, item):
        assert [item.get(), item.get()] == [DATA, DATA]
    assert caplog.text.count("'xxhash9', which this version of aisio does not know") == 1


@pytest.mark.parametrize(
    "headers",
    [{}, {"Ais-Checksum-Type": "none"}, {"Ais-Checksum-Type": "none", "Ais-Checksum-Value": ""}],
)
def test_a_bucket_may_have_no_checksums(
    headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """AIStore then omits the headers: this costs no request, and no warning."""
    with stored(Reply(200, DATA, headers)) as (server, item):
        assert item.get() == DATA
    assert (len(server.requests), caplog.text) == (1, "")
