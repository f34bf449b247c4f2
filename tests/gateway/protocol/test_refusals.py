"""Refusals: the statuses, error names and texts of AIStore, which clients match."""

from __future__ import annotations

import pytest

from aisio.gateway.protocol.refusals import (
    DamagedError,
    Refusal,
    bucket_not_found,
    invalid_name,
    not_a_remote_bucket,
    object_not_found,
    remote_bucket_not_found,
    unsupported,
)


@pytest.mark.parametrize(
    ("refusal", "status", "tcode", "message"),
    [
        (bucket_not_found("ais://b"), 404, "ErrBckNotFound", 'bucket "ais://b" does not exist'),
        (
            remote_bucket_not_found("s3://b"),
            *(404, "ErrRemoteBckNotFound", 'remote bucket "s3://b" does not exist'),
        ),
        (
            not_a_remote_bucket("prefetch", "ais://b"),
            *(400, "ErrNotRemoteBck", "prefetch: expecting remote bucket (have ais://b)"),
        ),
        (object_not_found("ais://b/o"), 404, "ErrNotFound", "ais://b/o does not exist"),
        (
            unsupported("etl"),
            *(501, "ErrUnsupp", "etl - operation not supported by the embedded gateway"),
        ),
        (invalid_name("a//"), 400, "errInvalidPath", 'invalid object name "a//"'),
        (invalid_name("a", "too long"), 400, "errInvalidPath", 'invalid object name "a": too long'),
        (DamagedError("cut"), 400, "", "cut"),
    ],
)
def test_each_has_the_words_of_aistore(
    refusal: Refusal, status: int, tcode: str, message: str
) -> None:
    """The message is also the text of the exception, for logs."""
    assert (refusal.status, refusal.tcode, refusal.message) == (status, tcode, message)
    assert (str(refusal), dict(refusal.headers)) == (message, {})
