"""Refusal: a request that the gateway answers with an error, in AIStore's words.

The texts are AIStore's own wherever it has one, because clients (the official one among them) match
them: a missing bucket or object is told apart by the URL inside the message.

Source: AIStore 5.0, bodies seen on a live cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class Refusal(Exception):
    """Why a request is not carried out.

    Attributes:
        status: HTTP status code.
        message: What AIStore's error body says under "message".
        tcode: AIStore's name of the error, where it has one.
        headers: Further reply headers.
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
    """What is stored has not the bytes that it claims to have.

    It is a 400 as long as nothing has been sent; after that the body is cut.
    """

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


def no_bucket(url: str) -> Refusal:
    """Return what to answer where a bucket is missing."""
    return Refusal(404, f'bucket "{url}" does not exist', tcode="ErrBckNotFound")


def no_remote_bucket(url: str) -> Refusal:
    """Return what to answer about clouds and other clusters, which a folder cannot reach."""
    return Refusal(404, f'remote bucket "{url}" does not exist', tcode="ErrRemoteBckNotFound")


def not_remote(action: str, url: str) -> Refusal:
    """Return what to answer to actions that only buckets of clouds know."""
    message = f"{action}: expecting remote bucket (have {url})"
    return Refusal(400, message, tcode="ErrNotRemoteBck")


def no_object(url: str) -> Refusal:
    """Return what to answer where an object is missing."""
    return Refusal(404, f"{url} does not exist", tcode="ErrNotFound")


def unsupported(what: str) -> Refusal:
    """Return what to answer where AIStore could do it and this gateway cannot."""
    return Refusal(
        501, f"{what} - operation not supported by the embedded gateway", tcode="ErrUnsupp"
    )


def bad_name(name: str, why: str = "") -> Refusal:
    """Return what to answer to a name that no object can have."""
    return Refusal(
        400, f'invalid object name "{name}"' + (f": {why}" if why else ""), tcode="errInvalidPath"
    )
