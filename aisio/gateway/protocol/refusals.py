"""Refusal: a request that the gateway answers with an error, in AIStore's words.

The texts are AIStore's own wherever it has one, because clients, the official one among them, match
them. For example, they tell a missing bucket from a missing object by the URL in the message.

Source: AIStore 5.0, bodies seen on a live cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class Refusal(Exception):
    """The reason that a request is not carried out.

    Attributes:
        status: HTTP status code.
        message: The "message" of AIStore's error body.
        tcode: AIStore's name of the error; "" where it has none.
        headers: Further response headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        tcode: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.tcode = tcode
        self.headers = headers


class DamagedError(Refusal):
    """A stored archive or object is damaged, or changed while it was read.

    The response is a 400, unless a part of the body has been sent: then the connection is cut.
    """

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


def bucket_not_found(url: str) -> Refusal:
    """Return the refusal for a bucket that does not exist."""
    return Refusal(404, f'bucket "{url}" does not exist', tcode="ErrBckNotFound")


def remote_bucket_not_found(url: str) -> Refusal:
    """Return the refusal for a bucket of a cloud or another cluster, which a folder never has."""
    return Refusal(404, f'remote bucket "{url}" does not exist', tcode="ErrRemoteBckNotFound")


def not_a_remote_bucket(action: str, url: str) -> Refusal:
    """Return the refusal of an action that only cloud buckets support."""
    message = f"{action}: expecting remote bucket (have {url})"
    return Refusal(400, message, tcode="ErrNotRemoteBck")


def object_not_found(url: str) -> Refusal:
    """Return the refusal for an object that does not exist."""
    return Refusal(404, f"{url} does not exist", tcode="ErrNotFound")


def unsupported(what: str) -> Refusal:
    """Return the refusal of what AIStore supports and this gateway does not."""
    return Refusal(
        501, f"{what} - operation not supported by the embedded gateway", tcode="ErrUnsupp"
    )


def invalid_name(name: str, reason: str = "") -> Refusal:
    """Return the refusal of a name that no object can have."""
    return Refusal(
        400,
        f'invalid object name "{name}"' + (f": {reason}" if reason else ""),
        tcode="errInvalidPath",
    )
