"""Copy and rename one object inside a cluster, by one request: no byte comes to this process.

AIStore 5.0 does not encode the name when a node sends the copy to another one: `a%41` arrives as
`aA`, `a?b` as `a`, and a rename removes the original then. `is_copied_right` tells such names:
their bytes go through the client instead.

Source: AIStore 5.0, by experiment: PUT with object_to; the action "rename-obj".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from aisio.client.session import Session
from aisio.errors import IntegrityError, NotFoundError
from aisio.records import ObjectInfo, may_be_same_object
from aisio.transport.http.response_body import drain_and_release
from aisio.urls import ObjectUrl
from aisio.wire import messages
from aisio.wire.jobs import uname

__all__ = ["copy_object", "is_copied_right", "rename_object"]

_MISREAD = re.compile(r"[%?\x00-\x1f\x7f]")

_COPIED_BYTES_PER_S = 10_000_000
"""How fast a cluster copies at least. It answers when the copy is complete: the timeout of the
response grows by the time that this takes."""

Head = Callable[[ObjectUrl], ObjectInfo]


def is_copied_right(name: str) -> bool:
    """Tell whether the cluster can give a copy this name."""
    return _MISREAD.search(name) is None


def copy_object(
    session: Session,
    source: ObjectUrl,
    to: ObjectUrl,
    head: Head,
    listed: ObjectInfo | None = None,
) -> ObjectInfo:
    """Copy an object, and compare size and checksum of the two; see `Object.copy`.

    Args:
        session: Sends the requests.
        source: The object.
        to: The copy.
        head: Returns what the cluster says of an object.
        listed: What a listing said of the object. One with size and checksum saves a request: if
            the object was replaced since, they differ from those of the copy, and it is asked for.
    """
    is_known = listed is not None and None not in (listed.size_bytes, listed.checksum)
    before = listed if listed is not None and is_known else head(source)
    query = dict(messages.bucket_query(source)) | {"object_to": uname(to)}
    path, about = messages.object_path(source), f"copy {source} to {to}"
    patient = _with_time_for(session, before)

    def attempt() -> None:
        response = patient.streams.open_following_redirects(
            "PUT", path, query=query, body=b"", about=about
        )
        drain_and_release(response)

    patient.retry(attempt)
    copy = head(to)
    if not (may_be_same_object(before, copy) or may_be_same_object(head(source), copy)):
        raise IntegrityError(
            f"copy {source} to {to}: size or checksum of the two differ: was one of them replaced "
            f"meanwhile?",
            url=str(to),
        )
    return copy


def rename_object(session: Session, source: ObjectUrl, to: ObjectUrl, head: Head) -> None:
    """Give an object another name in its bucket; see `Object.rename`.

    The arguments are those of `copy_object`.
    """
    action = messages.action("rename-obj") | {"name": to.name}
    path, query = messages.object_path(source), messages.bucket_query(source)
    about, tries = f"rename {source} to {to.name}", 0
    before = head(source)
    patient = _with_time_for(session, before)

    def attempt() -> None:
        nonlocal tries
        tries += 1
        try:
            patient.call("POST", path, query=query, message=action, about=about, safe=False)
        except NotFoundError:
            # Or else the response to an earlier try was lost: it had renamed the object.
            if tries == 1 or not may_be_same_object(before, head(to)):
                raise

    session.retry(attempt)


def _with_time_for(session: Session, info: ObjectInfo) -> Session:
    """Return a session that waits for a response as long as a copy of the object may take."""
    timeouts = session.settings.timeouts
    copying_s = (info.size_bytes or 0) / _COPIED_BYTES_PER_S
    if copying_s < 1 or timeouts.read_s is None:
        return session
    timeouts = replace(timeouts, read_s=timeouts.read_s + copying_s)
    settings = replace(session.settings, timeouts=timeouts)
    return Session(settings, session.waiter, session.endpoint_state)
