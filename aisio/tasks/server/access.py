"""Who may use the server: one user with a password, and the token that a login returns. Pure.

The token is computed from user and password. So it stays valid when the server is started again,
and ends with the password. Both are compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field

__all__ = ["Access"]

_BEARER, _BASIC = "Bearer ", "Basic "


@dataclass(frozen=True)
class Access:
    """A user of the server.

    Attributes:
        user: The user's name.
        password: The password; it is in no repr.
    """

    user: str
    password: str = field(repr=False)

    @property
    def token(self) -> str:
        """What requests carry: 64 hexadecimal digits."""
        key = hashlib.blake2b(self.password.encode()).digest()
        return hashlib.blake2b(self.user.encode(), key=key, digest_size=32).hexdigest()

    def is_password(self, user: str, password: str) -> bool:
        """Tell whether user and password are right."""
        return _equal(user, self.user) & _equal(password, self.password)

    def is_token(self, token: str) -> bool:
        """Tell whether a token is right."""
        return _equal(token, self.token)

    def admits(self, authorization: str) -> bool:
        """Tell whether a request's Authorization header has the token, as REST clients send it."""
        return authorization.startswith(_BEARER) and self.is_token(
            authorization.removeprefix(_BEARER).strip()
        )

    def admits_git(self, authorization: str) -> bool:
        """Tell whether it has user and password, as git sends them, or the token as password."""
        if not authorization.startswith(_BASIC):
            return False
        try:
            text = base64.b64decode(authorization.removeprefix(_BASIC), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        user, _, password = text.partition(":")
        return self.is_password(user, password) or (
            _equal(user, self.user) and self.is_token(password)
        )


def _equal(sent: str, expected: str) -> bool:
    return hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), expected.encode())
