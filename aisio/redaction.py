"""Taking credentials out of text that is shown: errors, logs and notes. Pure.

    s3://KEY:SECRET@bucket/a              s3://***@bucket/a
    https://host/a?X-Amz-Signature=ab12   https://host/a?X-Amz-Signature=***

A user name and password may stand before the host (RFC 3986, section 3.2.1), and presigned URLs
carry their signature in the query. The values of all parameters of http and https URLs are taken
out, whatever the parameters are called. In other schemes a "?" belongs to the object's name.
"""

from __future__ import annotations

import re

__all__ = ["redacted"]

_HIDDEN = "***"

# The namespace of an AIStore URL, as in ais://@cluster#name/bucket, has nothing before its "@".
# Keys of S3 may hold a "/": then the "@" is looked for behind it, unless a port precedes the "/".
_USER = re.compile(
    r"""
    (?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)
    (?: [^\s/]+ | [^\s/@:\[]*:(?![0-9]{1,5}(?:[/?\#\s'"),:;]|$))\S* )@
    | (?P<bare>\b[A-Za-z][A-Za-z0-9+.-]*:)[^\s/@:]+:[^\s@]+@
    """,
    re.VERBOSE,
)
_QUERY = re.compile(r"""(?P<head>https?://[^\s?'"]*\?)(?P<query>[^\s'"]+)""", re.IGNORECASE)
_VALUE = re.compile(r"(?P<name>(?:^|(?<=&))[^=&]*=)?[^&]+?(?P<end>[,:;.)\]}]*)(?=&|$)")


def redacted(text: str) -> str:
    """Return text without the passwords and signatures of the URLs in it.

    Text that holds none comes back as it is, and so does text that has been here before.
    """
    if "@" in text:
        text = _USER.sub(lambda match: f"{match['scheme'] or match['bare']}{_HIDDEN}@", text)
    if "?" in text:
        text = _QUERY.sub(lambda match: match["head"] + _without_values(match["query"]), text)
    return text


def _without_values(query: str) -> str:
    return _VALUE.sub(lambda match: f"{match['name'] or ''}{_HIDDEN}{match['end']}", query)
