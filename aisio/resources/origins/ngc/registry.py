"""Requests to NVIDIA's registry, with a key or as a guest, and errors that say what to do.

A key that begins with "nvapi-", or that is a JSON web token, is the bearer token itself. Any other
key is of the old kind: the authentication service gives a token for it, {"token": "...",
"expires_in": 600}, by GET /token?service=ngc&scope=group/ngc:{org}&scope=group/ngc:{org}/{team}
with the user "$oauthtoken" and the key as password. Organisation and team of the settings are sent
as nv-ngc-org and nv-ngc-team. Requests without a key are those of a guest: they have other paths,
and `X-NGC-Guest-Token: <any UUID>`.

Credentials are sent to the registry's own host only, and removed when it redirects to another one.
No error shows a query, as the query of a presigned URL is a credential.

Source:
    ngcsdk 4.37.0, read and run against a server that records the requests.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from aisio.errors import (
    AccessError,
    NotFoundError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from aisio.records import RetryPolicy
from aisio.resources.origins.https import HttpsSession, read_body
from aisio.resources.origins.ngc.settings import NgcSettings
from aisio.resources.origins.ngc.target import Kind, NgcTarget
from aisio.transport.http.errors import retry_after_s
from aisio.transport.retries import Attempts, retry

E = TypeVar("E", bound=StorageError)

_CREDENTIAL_HEADERS = ("Authorization", "X-NGC-Guest-Token", "nv-ngc-org", "nv-ngc-team")
_MAX_BODY_BYTES = 64 * 1024 * 1024
_MAX_REASON_CHARS = 300
_log = logging.getLogger(__name__)


class NgcKeyError(AccessError, ValueError):
    """The registry refuses the key: it is wrong, has expired, or is not for this target."""


Query: TypeAlias = "dict[str, str | int | list[str]]"
"""Names and values of a query."""


class PathFunction(Protocol):
    """A function of `aisio.resources.origins.ngc.target` that returns a path."""

    def __call__(self, target: NgcTarget, kind: Kind, *, guest: bool) -> str:
        """Return the path of a request with a key, or of a guest."""


class _Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Registry:
    """The registry, for the requests of one user about one file; used in a `with` block.

    Args:
        settings: Where it is, and who sends the requests.
        url: URL of the origin, for errors.
        kind: "model" or "resource".
        use_guest_if_key_invalid: Continue as a guest if the key is refused and a guest is not.
        retry: Retry policy; the default policy if None.

    Attributes:
        about: The origin and the registry's host, with which errors begin.
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
        self._use_guest_if_key_invalid = use_guest_if_key_invalid
        self._key = settings.key
        self._tokens: dict[str, str] = {}
        self._http = HttpsSession(credential_headers=_CREDENTIAL_HEADERS)

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path_for: PathFunction, target: NgcTarget, **query: str | int) -> Any:
        """Send a GET, and return the JSON object of the response.

        Args:
            path_for: Returns the path.
            target: The model or resource.
            query: Names and values; "_" in a name stands for "-".

        Raises:
            NotFoundError: The target does not exist.
            NgcKeyError: The key is refused, and a guest is refused too or not wanted.
            AccessError: A guest may not see it, its licence is not accepted, or TLS failed.
            StorageError: The registry cannot be reached, or the answer is not one of a registry.
        """
        full_query: Query = {name.replace("_", "-"): value for name, value in query.items()}
        if self._key is None:
            return self._get(path_for(target, self.kind, guest=True), full_query, target)
        try:
            return self._get(path_for(target, self.kind, guest=False), full_query, target)
        except NgcKeyError as refused:
            if not self._use_guest_if_key_invalid:
                raise
            return self._get_as_guest(path_for, target, full_query, refused)

    def _get_as_guest(
        self,
        path_for: PathFunction,
        target: NgcTarget,
        query: Query,
        refused: NgcKeyError,
    ) -> Any:
        key, self._key = self._key, None
        try:
            answer = self._get(path_for(target, self.kind, guest=True), query, target)
        except StorageError as error:
            self._key = key
            if not isinstance(error, (AccessError, NotFoundError)):
                raise
            # The target may exist although a guest cannot see it: so the key is the problem.
            raise refused from None
        _log.warning("%s; continuing as a guest", refused)
        return answer

    def _get(self, path: str, query: Query, target: NgcTarget) -> Any:
        return retry(lambda: self._get_once(path, query, target), Attempts(self._policy))

    def _get_once(self, path: str, query: Query, target: NgcTarget) -> Any:
        url = f"{self._settings.base_url}{path}"
        response = self._send(url, query, self._credentials(target))
        if response.status == 401 and self._tokens.pop(_scope(target), ""):
            # The token for a key of the old kind has expired.
            response = self._send(url, query, self._credentials(target))
        if response.status != 200:
            raise self._refusal(response, target.page_url(self.kind))
        return self._json_object(response.body)

    def _credentials(self, target: NgcTarget) -> dict[str, str]:
        """Return the headers that say who sends a request."""
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
            self._tokens[scope] = self._request_token(key, scope)
        return self._tokens[scope]

    def _request_token(self, key: str, scope: str) -> str:
        """Get a token for a key of the old kind from the authentication service."""
        basic = b64encode(f"$oauthtoken:{key}".encode()).decode()
        response = self._send(
            f"{self._settings.auth_url}/token",
            {"service": "ngc", "scope": scope.split()},
            {"Authorization": f"Basic {basic}"},
            allow_redirects=False,
        )
        if response.status != 200:
            raise self._refusal(response, self._settings.auth_url)
        token = self._json_object(response.body).get("token")
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
    ) -> _Response:
        with self._http.open(
            url,
            about=self.about,
            error_url=self.url,
            params=query,
            headers=headers,
            allow_redirects=allow_redirects,
        ) as response:
            body = read_body(
                response, about=self.about, error_url=self.url, max_bytes=_MAX_BODY_BYTES
            )
            return _Response(response.status_code, response.headers, body)

    def error(self, text: str, kind: type[E] | None = None, **attributes: Any) -> StorageError:
        """Return an error about this file, a StorageError by default."""
        return (kind or StorageError)(f"{self.about}: {text}", url=self.url, **attributes)

    def _refusal(self, response: _Response, page_url: str) -> StorageError:
        """Return the error for a status, with what to do about it."""
        status = response.status
        text = self._without_secrets(f"{status} {_reason(response.body)}".rstrip())
        if status in (401, 403) and self._key is not None:
            text += (
                f"; the key from {self._settings.key_from} is wrong, has expired or is not for "
                "this: make another at https://ngc.nvidia.com"
            )
            return self.error(text, NgcKeyError, status=status)
        if status in (401, 403):
            text += "; a guest may not see it: set NGC_CLI_API_KEY to a key that may"
            return self.error(text, AccessError, status=status)
        if status == 412:
            text += f"; its licence is not accepted: accept it at {page_url}, with a key"
            return self.error(text, AccessError, status=status)
        if status == 404:
            text += "; there is none, or not for this user"
            return self.error(text, NotFoundError, status=status)
        if status == 429 or status >= 500:
            kind = ThrottledError if status == 429 else UnavailableError
            return self.error(
                text, kind, status=status, retry_after_s=retry_after_s(response.headers)
            )
        text += "; are NGC_CLI_API_URL and NGC_CLI_AUTH_URL the registry's?"
        return self.error(text, status=status)

    def _without_secrets(self, text: str) -> str:
        for secret in filter(None, (self._key, *self._tokens.values())):
            text = text.replace(secret, "***")
        return text

    def _json_object(self, body: bytes) -> Any:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self.error("the answer is no JSON object; does a proxy or a login page answer?")
        return answer


def _reason(body: bytes) -> str:
    """Return the reason in a refusal; "" if it is not in the registry's form."""
    try:
        answer = json.loads(body)
        status = answer.get("requestStatus", {})
        text = status.get("statusDescription") or answer.get("message") or status.get("statusCode")
    except (ValueError, AttributeError):
        return ""
    return " ".join(str(text or "").split())[:_MAX_REASON_CHARS]


def _scope(target: NgcTarget) -> str:
    """Return the scopes of a token for a key of the old kind, separated by blanks."""
    org = f"group/ngc:{target.org}"
    return f"{org} {org}/{target.team}" if target.team else org


def _is_web_token(key: str) -> bool:
    parts = key.replace("-", "").replace("_", "").split(".")
    return len(parts) == 3 and all(part.isalnum() for part in parts)
