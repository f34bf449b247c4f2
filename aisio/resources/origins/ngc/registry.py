"""Calls to NVIDIA's registry: who is asking, what goes wrong, and when to ask again.

A key that begins with "nvapi-", or that is a JSON web token, is the bearer token itself. Any other
is of the old kind: the authentication service gives a token for it, {"token": "...", "expires_in":
600}, by GET /token?service=ngc&scope=group/ngc:{org}&scope=group/ngc:{org}/{team} with the user
"$oauthtoken" and the key as password. Organisation and team of the settings go along as nv-ngc-org
and nv-ngc-team. Without a key the registry is asked as a guest, by other paths and with
`X-NGC-Guest-Token: <any UUID>`.

Credentials go to the registry's own host only, never behind a redirect to another one; and no text
of an error holds a query, as the query of a presigned URL is a credential.

Source:
    ngcsdk 4.37.0, read and run against a server that records the requests.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Mapping
from time import perf_counter
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import requests

from aisio.errors import (
    AccessError,
    NotFoundError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from aisio.records import RetryPolicy
from aisio.resources.origins.https import TIMEOUTS, HttpsSession, plainly_told
from aisio.resources.origins.ngc.settings import NgcSettings
from aisio.resources.origins.ngc.target import Kind, NgcTarget
from aisio.transport.http.errors import retry_after_s
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.retries import Attempts, retry

E = TypeVar("E", bound=StorageError)

log = logging.getLogger(__name__)


_LONGEST_ANSWER_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
_LONGEST_REASON = 300


class NgcKeyError(AccessError, ValueError):
    """The registry refuses the key, as one that is wrong, expired, or not for this."""


Query: TypeAlias = "dict[str, str | int | list[str]]"
"""Names and values of a query."""


class PathOf(Protocol):
    """A function of `aisio.resources.origins.ngc.target` that gives a path."""

    def __call__(self, target: NgcTarget, kind: Kind, *, guest: bool) -> str:
        """Return the path for a key or for a guest."""


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Registry:
    """The registry, as it answers one user about one file; ask in a `with` block.

    Args:
        settings: Where it is, and who asks.
        url: The origin's, for errors.
        kind: "model" or "resource".
        use_guest_if_key_invalid: Go on as a guest where the key is refused and a guest is not.
        retry: For what may pass by itself; the default policy if None.

    Attributes:
        about: What errors begin with.
    """

    def __init__(
        self,
        settings: NgcSettings,
        *,
        url: str,
        kind: Kind,
        use_guest_if_key_invalid: bool = True,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.url = url
        self.kind = kind
        self.about = f"{url} at {settings.host}"
        self._settings = settings
        self._policy = retry or RetryPolicy()
        self._guest_is_enough = use_guest_if_key_invalid
        self._key = settings.key
        self._tokens: dict[str, str] = {}
        self._http = HttpsSession()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path_of: PathOf, target: NgcTarget, **query: str | int) -> Any:
        """Return the JSON object that the registry answers with.

        Args:
            path_of: What to ask for.
            target: Of which model or resource.
            query: Names and values; "_" in a name stands for "-".

        Raises:
            NotFoundError: There is no such thing.
            NgcKeyError: The key is refused, and so is a guest or none may be asked for.
            AccessError: A guest may not see it, its licence is not accepted, or TLS failed.
            StorageError: The registry cannot be reached, or does not answer as one.
        """
        named: Query = {name.replace("_", "-"): value for name, value in query.items()}
        if self._key is None:
            return self._get(path_of(target, self.kind, guest=True), named, target)
        try:
            return self._get(path_of(target, self.kind, guest=False), named, target)
        except NgcKeyError as refused:
            if not self._guest_is_enough:
                raise
            return self._get_as_guest(path_of, target, named, refused)

    def _get_as_guest(
        self,
        path_of: PathOf,
        target: NgcTarget,
        query: Query,
        refused: NgcKeyError,
    ) -> Any:
        key, self._key = self._key, None
        try:
            answer = self._get(path_of(target, self.kind, guest=True), query, target)
        except StorageError as error:
            self._key = key
            if not isinstance(error, (AccessError, NotFoundError)):
                raise
            # What a guest cannot see may well be there: the key is what is wrong.
            raise refused from None
        log.warning("%s; going on as a guest", refused)
        return answer

    def _get(self, path: str, query: Query, target: NgcTarget) -> Any:
        return retry(lambda: self._try(path, query, target), Attempts(self._policy))

    def _try(self, path: str, query: Query, target: NgcTarget) -> Any:
        url = f"{self._settings.base_url}{path}"
        answer = self._send(url, query, self._who(target))
        if answer.status == 401 and self._tokens.pop(_scope(target), ""):
            # A token for a key of the old kind ends some day.
            answer = self._send(url, query, self._who(target))
        if answer.status != 200:
            raise self._refusal(answer, target.page_url(self.kind))
        return self._object(answer.body)

    def _who(self, target: NgcTarget) -> dict[str, str]:
        settings = self._settings
        if self._key is None:
            return {"X-NGC-Guest-Token": settings.guest_token}
        headers = {"Authorization": f"Bearer {self._bearer(self._key, target)}"}
        if settings.org:
            headers["nv-ngc-org"] = settings.org
            if settings.team:
                headers["nv-ngc-team"] = settings.team
        return headers

    def _bearer(self, key: str, target: NgcTarget) -> str:
        if key.startswith("nvapi-") or _is_web_token(key):
            return key
        scope = _scope(target)
        if scope not in self._tokens:
            self._tokens[scope] = self._exchange(key, scope)
        return self._tokens[scope]

    def _exchange(self, key: str, scope: str) -> str:
        """Have the authentication service give a token for a key of the old kind."""
        basic = b64encode(f"$oauthtoken:{key}".encode()).decode()
        answer = self._send(
            f"{self._settings.auth_url}/token",
            {"service": "ngc", "scope": scope.split()},
            {"Authorization": f"Basic {basic}"},
            allow_redirects=False,
        )
        if answer.status != 200:
            raise self._refusal(answer, self._settings.auth_url)
        token = self._object(answer.body).get("token")
        if not isinstance(token, str) or not token or not (token.isascii() and token.isprintable()):
            raise self.error(
                f"{self._settings.auth_url} gives no token; is NGC_CLI_AUTH_URL right?"
            )
        return token

    def _send(
        self,
        url: str,
        query: Query,
        headers: Mapping[str, str],
        *,
        allow_redirects: bool = True,
    ) -> _Answer:
        with (
            plainly_told(self.about, self.url),
            self._http.get(
                url,
                params=query,
                headers=dict(headers),
                timeout=(TIMEOUTS.connect_s, TIMEOUTS.read_s),
                allow_redirects=allow_redirects,
                stream=True,
            ) as reply,
        ):
            return _Answer(reply.status_code, reply.headers, self._body(reply))

    def _body(self, reply: requests.Response) -> bytes:
        body, low_speed = bytearray(), LowSpeedLimit.of(TIMEOUTS)
        while True:
            started = perf_counter()
            data = reply.raw.read1(_PIECE_BYTES, decode_content=True)
            body += data
            if not data:
                return bytes(body)
            if len(body) > _LONGEST_ANSWER_BYTES:
                raise self.error(f"the answer is longer than {_LONGEST_ANSWER_BYTES} bytes")
            if low_speed is not None:
                low_speed.add(len(data), perf_counter() - started)
                if low_speed.is_missed():
                    raise low_speed.error(self.about, self.url)

    def error(self, text: str, kind: type[E] | None = None, **attributes: Any) -> StorageError:
        """Return an error about this file, a StorageError by default."""
        return (kind or StorageError)(f"{self.about}: {text}", url=self.url, **attributes)

    def _refusal(self, answer: _Answer, page_url: str) -> StorageError:
        """Return the error that a status stands for, with what to do about it."""
        status = answer.status
        told = self._without_secrets(" ".join([str(status), *_reason_of(answer.body)]))
        if status in (401, 403) and self._key is not None:
            told += (
                f"; the key from {self._settings.key_from} is wrong, has expired or is not for "
                "this: make another at https://ngc.nvidia.com"
            )
            return self.error(told, NgcKeyError, status=status)
        if status in (401, 403):
            told += "; a guest may not see it: set NGC_CLI_API_KEY to a key that may"
            return self.error(told, AccessError, status=status)
        if status == 412:
            told += f"; its licence is not accepted: accept it at {page_url}, with a key"
            return self.error(told, AccessError, status=status)
        if status == 404:
            told += "; there is none, or not for this user"
            return self.error(told, NotFoundError, status=status)
        if status == 429 or status >= 500:
            kind = ThrottledError if status == 429 else UnavailableError
            return self.error(
                told, kind, status=status, retry_after_s=retry_after_s(answer.headers)
            )
        told += "; are NGC_CLI_API_URL and NGC_CLI_AUTH_URL the registry's?"
        return self.error(told, status=status)

    def _without_secrets(self, text: str) -> str:
        for secret in filter(None, (self._key, *self._tokens.values())):
            text = text.replace(secret, "***")
        return text

    def _object(self, body: bytes) -> Any:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self.error("the answer is no JSON object; does a proxy or a login page answer?")
        return answer


def _reason_of(body: bytes) -> list[str]:
    """Return what the registry says of a refusal; nothing where it does not say it its own way."""
    try:
        answer = json.loads(body)
        status = answer.get("requestStatus", {})
        text = status.get("statusDescription") or answer.get("message") or status.get("statusCode")
    except (ValueError, AttributeError):
        return []
    return " ".join(str(text or "").split())[:_LONGEST_REASON].split(" ")


def _scope(target: NgcTarget) -> str:
    """Return what a token of the old kind is to be good for, parted by blanks."""
    org = f"group/ngc:{target.org}"
    return f"{org} {org}/{target.team}" if target.team else org


def _is_web_token(key: str) -> bool:
    parts = key.replace("-", "").replace("_", "").split(".")
    return len(parts) == 3 and all(part.isalnum() for part in parts)
