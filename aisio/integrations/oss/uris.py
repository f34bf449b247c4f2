"""URIs as the OSS connector writes them: oss://bucket/key, or /bucket/key.

Without an endpoint both name a local file: oss://data/train/a.jpg is /data/train/a.jpg.
"""

from __future__ import annotations

import os
from pathlib import Path

from aisio.errors import ConfigError, UrlError
from aisio.escapes import one_line
from aisio.records import ObjectInfo
from aisio.urls import ObjectUrl

__all__ = ["connector_key", "object_url", "prefix_url", "required"]

_SCHEME = "oss://"


def required(owner: str, name: str, value: object) -> None:
    """Refuse an argument that is empty.

    Raises:
        ConfigError: It is.
    """
    if not value:
        raise ConfigError(f"<{owner}> {name} must be non-empty")


def object_url(owner: str, name: str, uri: str | os.PathLike[str], *, is_local: bool) -> str:
    """Return aisio's URL for a URI.

    Args:
        owner: Name of the class that was given it, for errors.
        name: Name of the argument.
        uri: The URI.
        is_local: It names a local file.

    Raises:
        ConfigError: It is empty.
        UrlError: It has another form, or no bucket.
    """
    required(owner, name, uri)
    text = os.fspath(uri)
    start = next((one for one in (_SCHEME, "/") if str(text).startswith(one)), "")
    if not isinstance(text, str) or not start:
        raise UrlError(
            f"<{owner}> only oss:// uri are supported for {name}: {one_line(str(text))!r}: write"
            " oss://bucket/key, or /bucket/key",
            url=str(text),
        )
    rest = text.removeprefix(start)
    if not rest.partition("/")[0]:
        raise UrlError(f"<{owner}> {name}={text!r}: Bucket name must be non-empty", url=text)
    url = f"file:///{rest}" if is_local else f"{_SCHEME}{rest}"
    ObjectUrl.parse(url)
    return url


def prefix_url(owner: str, name: str, uri: str | os.PathLike[str], *, is_local: bool) -> str:
    """Return aisio's URL for the URI of a prefix; that of a local folder ends in "/".

    Raises:
        ConfigError: It is empty.
        UrlError: It has another form, or no bucket.
    """
    url = object_url(owner, name, uri, is_local=is_local)
    is_folder = is_local and Path(url.removeprefix("file://")).is_dir()
    return f"{url}/" if is_folder and not url.endswith("/") else url


def connector_key(info: ObjectInfo) -> str:
    """Return the key of an object as the connector says it: /bucket/key.

    That of a local file is its path, that of a file in a tar its name there.
    """
    bucket = info.root.partition("://")[2]
    if "/" in bucket:  # the tar
        return info.name
    return f"/{bucket}/{info.name}" if bucket else f"/{info.name}"
