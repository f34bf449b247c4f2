"""Credentials are taken out of text that is shown."""

from __future__ import annotations

import pytest

from aisio.errors import AisioError
from aisio.redaction import redacted, url_without_secrets

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"get s3://KEY:{SECRET}@bucket/a: no", "get s3://***@bucket/a: no"),
        (f"'s3://KEY:{SECRET}/+x@bucket/a'", "'s3://***@bucket/a'"),
        (f"'s3:KEY:{SECRET}@bucket/a'", "'s3:***@bucket/a'"),
        (f"s3://KEY:p@{SECRET}@bucket/a@2x", "s3://***@bucket/a@2x"),
        (f"HTTPS://user:{SECRET}@host:80/x", "HTTPS://***@host:80/x"),
        (f"https://{SECRET}@host/x", "https://***@host/x"),
        (f"GET http://h/x?Signature={SECRET}: 403", "GET http://h/x?Signature=***: 403"),
        (f"'HTTP://h:80/x?a=1&sig={SECRET}'", "'HTTP://h:80/x?a=***&sig=***'"),
        (f"http://h/x?{SECRET}", "http://h/x?***"),
        (
            f"GET /v1/objects/b/o?pid=p&u={'aB-_' * 21}9A&x=1 200",
            "GET /v1/objects/b/o?pid=p&u=***&x=1 200",
        ),
        (
            f"'http://h/my file?a&X-Amz-Signature={SECRET}'",
            "'http://h/my file?a&X-Amz-Signature=***'",
        ),
        (f"ais://b/x?access_token={SECRET}: 403", "ais://b/x?access_token=***: 403"),
        (f"http://h?sig={SECRET}&b, http://i?c=d)", "http://h?sig=***&***, http://i?c=***)"),
    ],
)
def test_passwords_and_signatures_are_hidden(text: str, shown: str) -> None:
    """The text around them stays, and a second pass changes nothing."""
    assert redacted(text) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "no URL at all, 100% plain: a@b.c",
        "ais://@uuid#space/bucket/image@2x.jpg",
        "ais://bucket/what?.txt and ais://bucket/a?b=c",
        "ais://bucket/what?u=short",
        "see https://host/models/esm?version=2.0, and http://h/v1/objects/b/o?provider=ais: 404",
        "http://127.0.0.1:8080/a@b and http://[::1]:8080/a@b",
        "http://host:8080: mail somebody@example.com",
        "s3://bucket: see ais://other/x@y",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    """An "@" or a "?" in a name is no credential."""
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://user:{SECRET}@host:80/x", "https://host:80/x"),
        (f"HTTPS://{SECRET}@host/x", "HTTPS://host/x"),
        (f"https://user:{SECRET}/+x@host/x", "https://host/x"),
        (f"https://user:{SECRET}?x@host/x", "https://host/x"),
        (f"https://user:{SECRET}@host/a b@2x", "https://host/a b@2x"),
        (f"http://h:80/x?a=1&sig={SECRET}", "http://h:80/x"),
        (f"http://h/x?mail=a@{SECRET}", "http://h/x"),
        (f"s3://KEY:{SECRET}@bucket/a", "s3://bucket/a"),
        (f"s3:KEY:{SECRET}@bucket/a", "s3:bucket/a"),
    ],
)
def test_a_url_as_a_name_has_no_secrets(url: str, shown: str) -> None:
    """User and query are removed, not hidden; so the name is the same whatever they are."""
    assert url_without_secrets(url) == shown
    assert url_without_secrets(shown) == shown


@pytest.mark.parametrize(
    "url",
    [
        "https://host/a b/c@2x.jpg",
        "http://127.0.0.1:8080/a@b",
        "http://[::1]:8080/a:b:c@d",
        "ais://@uuid#space/bucket/image@2x.jpg",
        "file:///tmp/a:b@c",
    ],
)
def test_a_url_without_secrets_names_itself(url: str) -> None:
    """An "@" or a ":" in its path is no user."""
    assert url_without_secrets(url) == url


@pytest.mark.parametrize("part", ["a", "a.", "a:b:", "a://b:c", "http://", "?a=:::", "?sig=", ":"])
def test_a_long_text_is_looked_at_once(part: str) -> None:
    """A hostile server may send text for which a naive pattern takes minutes."""
    text = part * 10_000 + "?@"
    assert redacted(text)
    assert url_without_secrets(f"http://{text}")


def test_no_error_shows_credentials() -> None:
    """For every class and any URL."""
    error = AisioError(f"get s3://KEY:{SECRET}@bucket/a: no such object")
    assert str(error) == "get s3://***@bucket/a: no such object"


@pytest.mark.parametrize("length", [300, 3000])
def test_a_password_of_any_length_is_hidden(length: int) -> None:
    """Tokens that sign in to proxies and registries have a thousand characters."""
    secret = SECRET * (length // len(SECRET))
    for text in (f"http://user:{secret}@host", f"s3://KEY:{secret}/x@b", f"s3:KEY:{secret}@b"):
        assert SECRET not in redacted(f"get {text}: no")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000 + "@",
        "a:" * 50_000 + "@ " + "a:b" * 30_000,
        "@ " + "x://a:" * 20_000,
        "http://" * 15_000 + "?",
        "http://h/?" + ",)" * 50_000 + "x",
        "http://h/?" + "a=&" * 30_000,
        "http://h/?" * 10_000,
    ],
)
def test_long_text_takes_time_by_its_length_alone(text: str) -> None:
    """A server may send such a text, for which a naive pattern takes minutes."""
    assert SECRET not in redacted(f"{text} s3://KEY:{SECRET}@b http://h/?a={SECRET}")
