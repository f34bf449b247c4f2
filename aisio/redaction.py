"""Taking credentials out of text that is shown: errors, logs and notes. Pure.

    s3://KEY:SECRET@bucket/a              s3://***@bucket/a
    https://host/a?X-Amz-Signature=ab12   https://host/a?X-Amz-Signature=***

A user name and password may stand before the host (RFC 3986, section 3.2.1), and presigned URLs
carry their signature in the query. The values of the parameters of http and https URLs are taken
out, but of those that are known to hold no secret. In other schemes a "?" belongs to the object's
name: there only what is called like a signature or token is taken out.
"""

from __future__ import annotations

import re

__all__ = ["redacted"]

_HIDDEN = "***"
_SHOWN = frozenset(
    {"archpath", "etl_name", "list-type", "namespace", "prefix", "provider", "version", "versionId"}
)
"""Parameters whose values help to understand an error: of AIStore, S3 and registries."""

# Long texts of a server must take no time that grows with their square: so what stands before a
# password is bounded, and it is looked for only where an "@" is sure to follow. A password itself
# may be a token of any length.
#
# The namespace of an AIStore URL, as in ais://@cluster#name/bucket, has nothing before its "@".
# Keys of S3 may hold a "/": then the "@" is looked for behind it, unless a port precedes the "/".
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
# Also where the URL is not told from other text: a name before the "?" may hold blanks or quotes.
_SIGNATURE = re.compile(
    r"""
    (?P<name>[?&] (?: X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token) | Signature | sig
    | AWSAccessKeyId | GoogleAccessId | [a-z_-]{0,20}token | password | secret )=)
    (?!\*\*\*)[^\s&'"]+?(?P<end>[,:;.)\]}]{0,4})(?=[\s&'"]|$)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Return text without the passwords and signatures of the URLs in it.

    Text that holds none comes back as it is, and so does text that has been here before.
    """
    if "@" in text:
        text = _WORD.sub(_without_users, text)
    if "?" in text:
        text = _WEB.sub(_without_query, text)
        text = _SIGNATURE.sub(_without_value, text)
    return text


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
