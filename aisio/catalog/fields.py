"""The fields of entries: their names, their types, and checks of their values.

msgspec checks the types; a function for each field checks the rest. It returns the value in its
final form, or raises a ValueError with what is wrong and what is expected.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Literal, NamedTuple

import msgspec

from aisio.errors import UrlError
from aisio.patterns.selections import Selections
from aisio.urls import WEB_SCHEMES, ObjectUrl, is_base_url
from aisio.wire.templates import parse_template

TARGET_FORM = "[org/[team/]]name[:version]"
"""The form of targets in NVIDIA's registry."""

_SHA256_HEX_DIGITS = 64
_WEB = tuple(f"{scheme}://" for scheme in WEB_SCHEMES)
_FALSE_TEXT = "Input should be False or None (null)"
_ALGORITHMS = {
    name: hashlib.new(name, usedforsecurity=False).digest_size * 2
    for name in sorted(hashlib.algorithms_guaranteed)
    if not name.startswith("shake")
}
_DIGEST_PATTERN = r"^sha256:[0-9a-fA-F]{64}$"
_ENDPOINT_PATTERN = r"^https?://[^@?#\s]+$"
_OBJECT_PATTERN = r"^[a-z0-9]+://.*[^/]$"
_OWNER_PATTERN = r"@[^@]+\.[^@]+$"
_PBSS_PATTERN = r"^s3://[^/]+/.*[^/]$"
_PREFIX_PATTERN = r"^(?!https?:)[a-z0-9]+://"
_SHA256_PATTERN = rf"^([0-9a-fA-F]{{64}}|({'|'.join(_ALGORITHMS)}):[0-9a-fA-F]+)$"
_URL_PATTERN = r"^[a-z0-9]+://"
_TARGET_PATTERN = r"^[^/:]+((/[^/:]*)?/[^/:]+)?(:[^/:]*)?$"
_HEX = re.compile(r"[0-9a-fA-F]+")
_ATOM = r"[\w!#$%&'*+\-/=?^`{|}~]+"
_NAME = r"\"[^\"\r\n]+\"|[\w!#$%&'*+\-/=?^`{|}~.]+(?:[ \t]+[\w!#$%&'*+\-/=?^`{|}~.]+)*"
_LABEL = r"[^\W_](?:[^\W_]|-(?!\.)){0,62}"
_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}(?<![\d-])"
_OWNER = re.compile(rf"[ \t]*(?:(?:{_NAME})?[ \t]*<({_ADDRESS})>|({_ADDRESS}))[ \t]*")
_MAX_ADDRESS_CHARS = 254
"""Of an email address, from SMTP's limit for paths."""


class Field(NamedTuple):
    """The values that a field may have.

    Attributes:
        type: Type for msgspec.
        check: Checks what the type cannot express; not called for None.
        pattern: For the JSON Schema: a regular expression that each valid text matches, or each
            text of a list.
    """

    type: Any
    check: Callable[[Any], Any] = lambda value: value
    pattern: str | None = None


def convert(field: Field, value: Any) -> Any:
    """Return a value in the type and form of a field.

    Raises:
        ValueError: It has another type or form; the text says which and what is expected.
    """
    try:
        converted = msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        if field.type is FALSE_OR_NULL:
            raise ValueError(f"is {_describe(value)}: {_FALSE_TEXT}") from None
        raise ValueError(_type_error_text(value, str(error))) from None
    return converted if converted is None else field.check(converted)


def check_tag(value: Any) -> str:
    """Return the tag of an entry without its file's stem; a number becomes text, as in bionemo."""
    if value is None or isinstance(value, (bool, bytes, list, dict)):
        raise ValueError(f"is {_describe(value)}: expected text, as in 'train' or '650m:2.0'")
    text = str(value)
    if "/" in text:
        raise ValueError(
            f"{_short(text)} holds a '/': expected a name without, as the file's name and a '/' "
            "come before it"
        )
    return text


def _check_target(text: str) -> str:
    """Return NVIDIA's registry target; an empty version or team counts as none."""
    path, _, version = text.partition(":")
    parts = path.split("/")
    is_named = parts[0] and parts[-1] and {".", ".."}.isdisjoint([*parts, version])
    if not is_named or len(parts) > 3 or ":" in version or "/" in version:
        raise ValueError(f"{_short(text)}: expected a target of the form {TARGET_FORM}")
    path = "/".join(part for part in parts if part)
    return f"{path}:{version}" if version else path


def _check_pbss(text: str) -> str:
    scheme, _, _ = text.partition("://")
    if scheme != "s3":
        raise ValueError(f"{_short(scheme)}: URL scheme should be 's3', as in s3://bucket/name")
    return _check_object(text)


def _check_object(text: str) -> str:
    return _checked(text, lambda: ObjectUrl.parse(text).require_object())


def _check_url(text: str) -> str:
    return _checked(text, lambda: ObjectUrl.parse(text))


def _check_prefix(text: str) -> str:
    if _check_url(text).startswith(_WEB):
        raise ValueError(f"{_short(text)}: a web server has no listings: expected urls or template")
    return _checked(text, lambda: Selections(ObjectUrl.parse(text).name))


def _check_template(text: str) -> str:
    _check_url(text)
    try:
        parse_template(ObjectUrl.parse(text).name)
    except UrlError as error:
        reason = str(error).partition("; ")[0].partition(": say")[0]
        raise ValueError(f"{reason}: expected ranges, as in t-{{000..099}}.tar or t-@099") from None
    return text


def _check_urls(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_check_object(text) for text in texts)


def _check_some_urls(texts: tuple[str, ...]) -> tuple[str, ...]:
    if not texts:
        raise ValueError("is an empty list: expected the URL of at least one object")
    return _check_urls(texts)


def _checked(text: str, parse: Callable[[], object]) -> str:
    """Return a URL unchanged if it can be parsed."""
    host = text.partition("://")[2].partition("/")[0]
    if "@" in host[1:]:  # a namespace begins with one
        raise ValueError("holds a user name or password before '@': expected a URL without")
    try:
        parse()
    except UrlError as error:
        raise ValueError(str(error)) from None
    return text


def _check_sha256(text: str) -> str:
    algorithm, colon, digits = text.rpartition(":")
    length = _ALGORITHMS.get(algorithm.lower()) if colon else _SHA256_HEX_DIGITS
    if length is None:
        known = ", ".join(_ALGORITHMS)
        raise ValueError(f"no algorithm {algorithm!r}: expected one of {known}")
    if len(digits) != length or not _HEX.fullmatch(digits):
        raise ValueError(
            f"{_short(text)} is no digest: expected {length} hexadecimal digits, not {len(digits)} "
            "characters, or null where it is not known yet"
        )
    return text


def _check_digest(text: str) -> str:
    if not re.fullmatch(_DIGEST_PATTERN, text):
        raise ValueError(f"{_short(text)}: expected sha256: and 64 hexadecimal digits")
    return text.lower()


def _check_owner(text: str) -> str:
    match = _OWNER.fullmatch(text)
    if match is None or len(match[1] or match[2]) > _MAX_ADDRESS_CHARS:
        raise ValueError(f"{_short(text)}: expected name and email address: Name <name@host.org>")
    return text.strip()


def _check_endpoint(text: str) -> str:
    if "@" in text or not is_base_url(text):
        shown = "a URL with a user name or password" if "@" in text else _short(text)
        raise ValueError(f"{shown}: expected a base URL, as in http://127.0.0.1:8080")
    return text.rstrip("/")


def _check_false(value: bool | int) -> bool:
    """Return False for false and 0, as bionemo does."""
    if value:
        raise ValueError(f"is {_describe(value)}: {_FALSE_TEXT}")
    return False


def _check_filled(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty: expected a name, or no such field")
    return text


def _type_error_text(value: Any, error: str) -> str:
    expected, place, _ = error.partition(" - at")
    is_bare = isinstance(value, (int, float, date)) and not isinstance(value, bool)
    hint = "; write it in quotes" if is_bare and "`str" in expected else ""
    return f"{'holds what is no text' if place else f'is {_describe(value)}'}: {expected}{hint}"


def _describe(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, (int, float)):
        return "a number"
    names = {"list": "a list", "dict": "a mapping", "bytes": "binary"}
    return names.get(type(value).__name__, "a date")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


FALSE_OR_NULL: Any = bool | int | None
"""Type of fields that can only be false."""
_TEXT = Field(str | None)

RESOURCE_FIELDS: Mapping[str, Field] = {
    "ngc": Field(str | None, _check_target, _TARGET_PATTERN),
    "ngc_registry": Field(Literal["model", "resource"] | None),
    "pbss": Field(str | None, _check_pbss, _PBSS_PATTERN),
    "url": Field(str | None, _check_object, _OBJECT_PATTERN),
    "mirrors": Field(tuple[str, ...] | None, _check_urls, _OBJECT_PATTERN),
    "endpoint": Field(str | None, _check_endpoint, _ENDPOINT_PATTERN),
    "sha256": Field(str | None, _check_sha256, _SHA256_PATTERN),
    "owner": Field(str, _check_owner, _OWNER_PATTERN),
    "description": _TEXT,
    "unpack": Field(FALSE_OR_NULL, _check_false),
    "decompress": Field(FALSE_OR_NULL, _check_false),
}
"""The fields of a resource, except its tag."""

SOURCE_FIELDS: Mapping[str, Field] = {
    "urls": Field(tuple[str, ...] | None, _check_some_urls, _OBJECT_PATTERN),
    "prefix": Field(str | None, _check_prefix, _PREFIX_PATTERN),
    "template": Field(str | None, _check_template, _URL_PATTERN),
    "manifest": Field(str | None, _check_object, _OBJECT_PATTERN),
    "tar": Field(str | None, _check_object, _OBJECT_PATTERN),
    "endpoint": Field(str | None, _check_endpoint, _ENDPOINT_PATTERN),
    "etl_name": Field(str | None, _check_filled),
    "digest": Field(str | None, _check_digest, _DIGEST_PATTERN),
    "owner": Field(str | None, _check_owner, _OWNER_PATTERN),
    "description": _TEXT,
    "extends": Field(str | None, _check_filled),
}
"""The fields of a source, except its tag."""
