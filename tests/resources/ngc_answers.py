"""What NVIDIA's registry on loopback answers: its calls, one function each, strict about them."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from typing import Protocol
from urllib.parse import parse_qs, quote, unquote, urlsplit


@dataclass
class Version:
    """A version of a model or resource: its files by path."""

    files: dict[str, bytes]
    status: str = "UPLOAD_COMPLETE"


@dataclass
class Item:
    """A model or resource.

    Attributes:
        versions: By name; the last one is the latest.
        public: A guest may read it.
        licence_missing: It answers 412 for its files.
        digests: Lists tell digests of files.
        sizes: Lists tell their sizes.
    """

    versions: dict[str, Version] = field(default_factory=dict)
    public: bool = True
    licence_missing: bool = False
    digests: bool = True
    sizes: bool = True


class Refused(Exception):
    """The answer is a status and a reason."""


class Registry(Protocol):
    """What the answers are made of; see `NgcServer`."""

    items: dict[tuple[str, str, str, str], Item]
    keys: set[str]
    old_keys: set[str]
    signatures: set[str]
    files_a_page: int
    storage_url: str


def answer(server: Registry, target: str, headers: Message, body: bytes) -> bytes:
    """Return the JSON that a request is answered with.

    Raises:
        Refused: It is not one that the registry answers.
    """
    parts = urlsplit(target)
    for pattern, call in ANSWERS:
        match = re.fullmatch(pattern, parts.path)
        if match:
            found = {name: unquote(text or "") for name, text in match.groupdict().items()}
            query = parse_qs(parts.query)
            return json.dumps(call(Call(server, headers, query, body, found))).encode()
    raise Refused(404, "no such path")


@dataclass
class Call:
    """A call of the registry.

    Attributes:
        server: What there is.
        headers: Of the request.
        query: Of the request: values by name.
        body: Of the request.
        found: What the path says: guest, kind, org, team, name and version.
    """

    server: Registry
    headers: Message
    query: dict[str, list[str]]
    body: bytes
    found: dict[str, str]

    def allow_query(self, *names: str) -> None:
        """Refuse any name but these."""
        if not set(self.query) <= set(names):
            raise Refused(400, f"query {sorted(self.query)}")

    def bearer(self) -> None:
        """Refuse a request without a key."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.server.keys:
            raise Refused(401, "the key is not known")

    def item(self) -> Item:
        """Return the model or resource, if it may be seen."""
        guest = "guest" in self.found
        if guest:
            uuid.UUID(self.headers["X-NGC-Guest-Token"])
            if "Authorization" in self.headers:
                raise Refused(400, "a guest with a key")
        else:
            self.bearer()
        kind = self.found["kind"].removesuffix("s")
        key = (kind, self.found["org"], self.found.get("team", ""), self.found["name"])
        item = self.server.items.get(key)
        if item is None:
            raise Refused(404, f"no {kind} {self.found['name']}")
        if guest and not item.public:
            raise Refused(403, "not for guests")
        return item

    def version(self) -> Version:
        """Return the version."""
        item = self.item()
        if self.found["version"] not in item.versions:
            raise Refused(404, "no such version")
        return item.versions[self.found["version"]]

    def field_of(self, part: str) -> str:
        """Return the name of a reply's field."""
        return ("model" if self.found["kind"] == "models" else "recipe") + part


def _describe(call: Call) -> object:
    call.allow_query("resolve-labels")
    latest = next(reversed(call.item().versions), None)
    described = {"name": call.found["name"], "latestVersionIdStr": latest}
    return {call.field_of(""): described, "requestStatus": {"statusCode": "SUCCESS"}}


def _describe_version(call: Call) -> object:
    call.allow_query()
    described = {"versionId": call.found["version"], "status": call.version().status}
    return {call.field_of("Version"): described}


def _list(call: Call) -> object:
    call.allow_query("page-size", "page-number")
    if call.item().licence_missing:
        raise Refused(412, "licence terms")
    size = min(int(call.query["page-size"][0]), call.server.files_a_page)
    number = int(call.query.get("page-number", ["0"])[0])
    files = [
        {"path": path, "sizeInBytes": len(data), "sha256_base64": _digest(data)}
        for path, data in call.version().files.items()
    ]
    left_out = {"sha256_base64": not call.item().digests, "sizeInBytes": not call.item().sizes}
    for described in files:
        for name in filter(left_out.get, left_out):
            del described[name]
    pages = {"totalPages": -(-len(files) // size), "totalResults": len(files), "size": size}
    shown = files[number * size : (number + 1) * size]
    return {call.field_of("Files"): shown, "paginationInfo": {"index": number, **pages}}


def _sign(call: Call) -> object:
    call.allow_query("path")
    path = call.query["path"][0]
    if path not in call.version().files:
        raise Refused(404, "no such file")
    place = [call.found[name] for name in ("kind", "org", "team", "name", "version")]
    place = [place[0].removesuffix("s"), *place[1:], path]
    signature = secrets.token_hex(8)
    call.server.signatures.add(signature)
    url = "/".join([call.server.storage_url, *(quote(part, safe="") for part in place)])
    signed = f"{url}?X-Amz-Expires=60&X-Amz-Signature={signature}"
    return {"urls": [signed], "filepath": [path]}


def _give_token(call: Call) -> object:
    call.allow_query("service", "scope")
    basic = call.headers.get("Authorization", "").removeprefix("Basic ")
    user, _, key = b64decode(basic).decode().partition(":")
    if user != "$oauthtoken" or key not in call.server.old_keys:
        raise Refused(401, "the key is not known")
    token = f"token-{secrets.token_hex(8)}"
    call.server.keys.add(token)
    return {"token": token, "expires_in": 3600}


def _describe_key(call: Call) -> object:
    key = parse_qs(call.body.decode())["credentials"][0]
    if key not in call.server.keys:
        raise Refused(401, "the key is not known")
    user = {"roles": [{"team": None, "org": {"name": "mine"}}]}
    return {"type": "PERSONAL_KEY", "orgName": "mine", "user": user}


def _list_orgs(call: Call) -> object:
    call.bearer()
    return {"organizations": [{"name": "mine", "displayName": "Mine"}]}


def _list_teams(call: Call) -> object:
    call.bearer()
    return {"teams": [{"name": "ours"}]}


def _digest(data: bytes) -> str:
    return b64encode(hashlib.sha256(data).digest()).decode()


_PART = "[^/]+"
_GROUP = rf"org/(?P<org>{_PART})(?:/team/(?P<team>{_PART}))?"
_KIND, _NAME = "(?P<kind>models|resources)", rf"(?P<name>{_PART})"
_VERSION = rf"(?P<version>{_PART})"
_KEYED = rf"/v2/{_GROUP}/{_KIND}/{_NAME}"
# The team is there only where the rest cannot be understood without.
_GUEST = rf"/v2/(?P<guest>){_KIND}/(?!org/)(?P<org>{_PART})(?:/(?P<team>{_PART}))??/{_NAME}"
ANSWERS: list[tuple[str, Callable[[Call], object]]] = [
    ("/token", _give_token),
    ("/v3/keys/get-caller-info", _describe_key),
    ("/v2/orgs", _list_orgs),
    (rf"/v2/org/{_PART}/teams", _list_teams),
    (rf"{_KEYED}/{_VERSION}/files", _sign),
    (rf"/v2/(?P<guest>){_KIND}/{_GROUP}/{_NAME}/{_VERSION}/files", _sign),
    *(
        entry
        for base in (_KEYED, _GUEST)
        for entry in (
            (base, _describe),
            (rf"{base}/versions/{_VERSION}", _describe_version),
            (rf"{base}/versions/{_VERSION}/files", _list),
        )
    ),
]
