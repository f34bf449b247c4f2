"""Secrets of tasks: a task proves by one that a metric is its own.

They are computed from a key in the home folder that only its owner can read, so no record holds
them. The key is made on first use.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from aisio.errors import ConfigError

__all__ = ["is_secret_of", "secret_of"]

_KEY_NAME = "tasks.key"
_KEY_BYTES = 32
_SECRET_BYTES = 16
_OWNER_ONLY = 0o600


def secret_of(task_id: str, home: Path) -> str:
    """Return the secret of a task: 32 hexadecimal digits."""
    key = _key(home / _KEY_NAME)
    return hashlib.blake2b(task_id.encode(), key=key, digest_size=_SECRET_BYTES).hexdigest()


def is_secret_of(secret: str, task_id: str, home: Path) -> bool:
    """Tell whether a secret is that of a task."""
    return hmac.compare_digest(secret.encode(), secret_of(task_id, home).encode())


def _key(path: Path) -> bytes:
    if not path.exists():
        _create(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise ConfigError(
            f"{path} is damaged: delete it; tasks that run can then not report metrics"
        )
    return key


def _create(path: Path) -> None:
    """Make the key; of several processes one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        try:
            os.link(new, path)
        except FileExistsError:
            return
    finally:
        new.unlink()
