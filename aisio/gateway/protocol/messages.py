"""Clients' JSON, read as AIStore's server in Go reads it: null is as good as not given. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from aisio.gateway.protocol.refusals import Refusal


def decode_json(body: bytes | msgspec.Raw, kind: Any, *, what: str, strict: bool = True) -> Any:
    """Read JSON of a client.

    Args:
        body: The JSON.
        kind: The type that it must have.
        what: What it is, for the message.
        strict: False takes numbers as text, too.

    Raises:
        Refusal: It is not JSON, not of that type, or nested too deep.
    """
    try:
        try:
            return msgspec.json.decode(body, type=kind, strict=strict)
        except msgspec.ValidationError:
            # Rarely so: to look for nulls first would cost every message a second reading.
            if b"null" not in bytes(body):
                raise
            found = msgspec.json.encode(_without_nulls(msgspec.json.decode(body)))
            return msgspec.json.decode(found, type=kind, strict=strict)
    except RecursionError:
        raise Refusal(400, f"failed to unmarshal {what}, err: nested too deep") from None
    except (msgspec.MsgspecError, ValueError) as error:  # not UTF-8; a number without end
        raise Refusal(400, f"failed to unmarshal {what}, err: {error}") from None


def _without_nulls(value: Any) -> Any:
    """Return a JSON value without the keys whose value is null; null itself is an empty object."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [inner if inner is None else _without_nulls(inner) for inner in value]
    return value
