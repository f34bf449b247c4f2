"""Refusals for what the file system does not allow."""

from __future__ import annotations

import errno

from aisio.gateway.protocol.refusals import Refusal, object_not_found

_NOT_FOUND = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO)


class ChangedRefusal(Refusal):
    """An object is not what it was when a change to it began; nothing was changed."""


def is_not_found(error: OSError) -> bool:
    """Tell whether the system says that a path leads to no file: ELOOP is a circle of links."""
    return error.errno in _NOT_FOUND


def object_changed(url: str) -> ChangedRefusal:
    """Return the refusal of a change to an object that something else has changed since."""
    return ChangedRefusal(409, f"{url} was changed meanwhile: nothing was done, try again")


def being_written(url: str) -> Refusal:
    """Return the refusal where the bytes of a file change while they are read."""
    return Refusal(409, f"{url} is being written by another program, try again")


def link_escapes(url: str) -> Refusal:
    """Return the refusal of a name that leads out of the served folder."""
    return Refusal(403, f"{url} is a link that leads out of the served folder")


def cannot_open(url: str, error: OSError) -> Exception:
    """Return the refusal of an object that cannot be opened; other errors as they are."""
    if is_not_found(error):
        return object_not_found(url)
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refusal(403, f"{url}: the gateway may not read this file")
    if error.errno == errno.ENAMETOOLONG:
        return _name_too_long(url)
    return error


def cannot_store(url: str, name: str, error: OSError) -> Exception:
    """Return the refusal of an object that cannot get its name; other errors as they are.

    Source: AIStore 5.0 answers 400 and "ErrMv" where a name would be a file and a folder too.
    """
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return Refusal(400, f"{url}: destination contains an object in its path", tcode="ErrMv")
    if error.errno in (errno.EISDIR, errno.ENOTEMPTY):
        message = f"{url}: there are objects below {name}/, and a file cannot be a folder too"
        return Refusal(400, message, tcode="ErrMv")
    if error.errno == errno.ENAMETOOLONG:
        return _name_too_long(url)
    if error.errno == errno.EXDEV:
        return Refusal(501, f"{url}: the bucket is on another file system than the served folder")
    return error


def _name_too_long(url: str) -> Refusal:
    return Refusal(400, f"{url}: the name is too long for this file system")
