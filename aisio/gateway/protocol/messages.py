"""JSON from clients, read as AIStore's server in Go does: null means the default. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from aisio.gateway.protocol.refusals import Refusal


def decode_json(body: bytes | msgspec.Raw, kind: Any, *, what: str, strict: bool = True) -> Any:
    """Decode JSON from a client.

    Args:
        body: The JSON.
        kind: The type to decode.
        what: The name of the message, for errors.
        strict: False accepts numbers written as strings, too.

    Raises:
        Refusal: It is not JSON, not of that type, or nested too deep.
    """
    try:
        try:
            return msgspec.json.decode(body, type=kind, strict=strict)
        except msgspec.ValidationError:
            # Nulls are rare: to look for them first would cost every message a second reading.
            if b"null" not in bytes(body):
                raise
            cleaned = msgspec.json.encode(_without_nulls(msgspec.json.decode(body)))
            return msgspec.json.decode(cleaned, type=kind, strict=strict)
    except RecursionError:
        raise Refusal(400, f"failed to unmarshal {what}, err: nested too deep") from None
    except (msgspec.MsgspecError, ValueError) as error:  # ValueError: not UTF-8, a huge number
        raise Refusal(400, f"failed to unmarshal {what}, err: {error}") from None


def _without_nulls(value: Any) -> Any:
    """Return a JSON value without the keys whose value is null; null itself becomes {}."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [inner if inner is None else _without_nulls(inner) for inner in value]
    return value
