"""What is refused because S3 has it and the gateway has not. Pure."""

from __future__ import annotations

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.unsupported import refuse_headers, refuse_operation, refuse_other_owner

SUPPORTED = {"uploads", "delete", "versions"}


@pytest.mark.parametrize(
    "query",
    [
        {"acl": ""},
        {"tagging": "1"},
        {"annotation": "", "annotationName": "a"},
        {"of-next-year": ""},
    ],
)
def test_operations_that_are_not_there(query: dict[str, str]) -> None:
    """Also those that S3 may get: a PUT of one is not taken for that of an object."""
    with pytest.raises(Refusal, match=f"PUT with .{min(query)} is not") as refused:
        refuse_operation("PUT", query, SUPPORTED)
    assert (refused.value.status, refused.value.tcode) == (501, "NotImplemented")


def test_parameters_are_no_operations() -> None:
    """With a value, or known to have none."""
    for name in ("prefix", "marker", "uploads", "versionId", "response-expires", "X-Amz-Date"):
        refuse_operation("GET", {name: ""}, SUPPORTED)
    refuse_operation("GET", {"x-id": "GetObject", "AWSAccessKeyId": "a", "other": "1"}, SUPPORTED)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-server-side-encryption", "AES256", "NotImplemented"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", "NotImplemented"),
        ("x-amz-tagging", "a=b", "NotImplemented"),
        ("x-amz-tagging-directive", "REPLACE", "NotImplemented"),
        ("x-amz-object-lock-mode", "GOVERNANCE", "NotImplemented"),
        ("x-amz-bucket-object-lock-enabled", "true", "NotImplemented"),
        ("x-amz-grant-read", "id=1", "NotImplemented"),
        ("x-amz-acl", "public-read", "AccessControlListNotSupported"),
        ("x-amz-storage-class", "GLACIER", "InvalidStorageClass"),
    ],
)
def test_headers_that_ask_for_what_is_not_done(name: str, value: str, code: str) -> None:
    """An object that should be encrypted is not stored in the clear."""
    with pytest.raises(Refusal, match=name) as refused:
        refuse_headers({"x-amz-meta-a": "b", name: value})
    assert refused.value.tcode == code


def test_headers_without_effect() -> None:
    """They ask for what is so anyway."""
    refuse_headers(
        {
            "x-amz-acl": "private",
            "x-amz-storage-class": "STANDARD",
            "x-amz-tagging": "",
            "x-amz-tagging-directive": "COPY",
            "x-amz-object-ownership": "BucketOwnerEnforced",
        }
    )
    refuse_headers({"x-amz-acl": "bucket-owner-full-control"})


@pytest.mark.parametrize(
    "name", ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"]
)
def test_buckets_of_others(name: str) -> None:
    """The owner is the one that lists of buckets name."""
    with pytest.raises(Refusal, match="is '1'"):
        refuse_other_owner({name: "111122223333"})
    refuse_other_owner({name: "1"})
