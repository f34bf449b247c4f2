"""Remove credentials from text and URLs that are shown: in errors, logs and notes. Pure.

    text                                  redacted                              url_without_secrets
    s3://KEY:SECRET@bucket/a              s3://***@bucket/a                     s3://bucket/a
    https://host/a?X-Amz-Signature=ab12   https://host/a?X-Amz-Signature=***    https://host/a

A user name and password may stand before the host (RFC 3986, section 3.2.1), and presigned URLs
carry their signature in the query. `redacted` hides the values of all parameters of http and https
URLs, except those that are known to hold no secret. In other schemes a "?" belongs to the object's
name: there it hides only parameters whose name is that of a signature or token.
"""

from __future__ import annotations

import re

__all__ = ["redacted", "url_without_secrets"]

_HIDDEN = "***"
_SHOWN = frozenset(
    {"archpath", "etl_name", "list-type", "namespace", "prefix", "provider", "version", "versionId"}
)
"""Parameters of AIStore, S3 and registries whose values are no secret and explain an error."""

# A server may send a long text, so the time must not grow with the square of its length. Therefore
# the length of what stands before a password is bounded, and a password is searched for only where
# an "@" follows. The password itself may be a token of any length.
#
# The namespace of an AIStore URL, as in ais://@cluster#name/bucket, has nothing before its "@".
# Keys of S3 may contain a "/": then the "@" may come behind it, unless a port precedes the "/".
_USER = re.compile(
    r"""
    (?P<scheme>[A-Z][A-Z0-9+.-]{0,20}://)
    (?: [^\s/]+ | [^\s/@:\[]*:(?![0-9]{1,5}(?:[/?\#\s'"),:;]|$))\S* )@
    | (?P<bare>\b[A-Z][A-Z0-9+.-]{0,20}:)[^\s/@:]+:[^\s@]+@
    """,
    re.VERBOSE | re.IGNORECASE,
)
_WORD = re.compile(r"\S+")
_WEB = re.compile(r"""https?://[^\s'"]+""", re.IGNORECASE)
_VALUE = re.compile(r"(?P<name>(?:^|(?<=&))[^=&]*=)?[^&]+?(?P<end>[,:;.)\]}]{0,4})(?=&|$)")
# Anywhere in the text, as the name before the "?" may contain blanks or quotes.
_SIGNATURE = re.compile(
    r"""
    (?P<name>[?&] (?: X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token) | Signature | sig
    | AWSAccessKeyId | GoogleAccessId | [a-z_-]{0,20}token | password | secret
    | u(?==[\w-]{86}(?![\w-])) )=)  # AIStore's signature of a redirect
    (?!\*\*\*)[^\s&'"]+?(?P<end>[,:;.)\]}]{0,4})(?=[\s&'"]|$)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Return text without the passwords and signatures of the URLs in it.

    Text without any is returned as it is, and so is text that is redacted already.
    """
    if "@" in text:
        text = _WORD.sub(_without_users, text)
    if "?" in text:
        text = _WEB.sub(_without_query, text)
        text = _SIGNATURE.sub(_without_value, text)
    return text


def url_without_secrets(url: str) -> str:
    """Return a URL without user name, password and query.

    It names a place in messages and files, and is the same whatever credentials are used. A URL
    whose "?" belongs to the name is cut there too.
    """
    user = _USER.match(url)
    if user:
        url = (user["scheme"] or user["bare"]) + url[user.end() :]
    return url.partition("?")[0]


def _without_users(word: re.Match[str]) -> str:
    head, at, end = word[0].rpartition("@")
    shown = _USER.sub(lambda match: f"{match['scheme'] or match['bare']}{_HIDDEN}@", head + at)
    return shown + end


def _without_query(url: re.Match[str]) -> str:
    name, mark, query = url[0].partition("?")
    return name + mark + _VALUE.sub(_without_value, query)


def _without_value(parameter: re.Match[str]) -> str:
    name = parameter["name"] or ""
    if name.strip("?&=") in _SHOWN:
        return parameter[0]
    return f"{name}{_HIDDEN}{parameter['end']}"
