"""Targets of NVIDIA's registry: how a catalog names them, and their paths in requests. Pure.

A target is `[org/[team/]]name[:version]`. Requests with a key and requests of a guest have
different paths for the same target. In responses a resource is called "recipe".

Source:
    ngcsdk 4.37.0, read and run against a server that records the requests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias
from urllib.parse import quote

from aisio.errors import ConfigError

Kind: TypeAlias = 'Literal["model", "resource"]'
"""The two kinds of targets that have files."""

CATALOG_URL = "https://catalog.ngc.nvidia.com"
"""The web pages of the registry, where people accept licences."""

_FORM = "[org/[team/]]name[:version]"


@dataclass(frozen=True)
class NgcTarget:
    """A model or resource of the registry, or one version of it.

    Attributes:
        name: Name of the model or resource.
        org: Organisation; None for that of the settings.
        team: Team in the organisation, if any.
        version: Version; None for the latest.
    """

    name: str
    org: str | None = None
    team: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> NgcTarget:
        """Parse `[org/[team/]]name[:version]`; a ":" at the end and the team "no-team" are ignored.

        Raises:
            ConfigError: It is not of that form.
        """
        path, colon, version = text.partition(":")
        parts = path.split("/")
        # As for ngcsdk, the team may be empty: org//name.
        required = parts[:1] + parts[-1:] + [version or "latest"]
        is_bad = any(part in ("", ".", "..") for part in required) or parts[1:2] in (["."], [".."])
        if is_bad or len(parts) > 3 or (colon and (":" in version or "/" in version)):
            raise ConfigError(f"{text!r} is no target of NVIDIA's registry: it should be {_FORM}")
        org = parts[0] if len(parts) > 1 else None
        team = parts[1] if len(parts) == 3 and parts[1] != "no-team" else None
        return cls(parts[-1], org, team or None, version or None)

    def __str__(self) -> str:
        path = "/".join(part for part in (self.org, self.team, self.name) if part)
        return f"{path}:{self.version}" if self.version else path

    def with_version(self, version: str) -> NgcTarget:
        """Return the target with this version."""
        return replace(self, version=version)

    def page_url(self, kind: Kind) -> str:
        """Return the URL of the web page where people can accept its licence."""
        team = f"/teams/{_quote(self.team)}" if self.team else ""
        version = f"?version={_quote(self.version)}" if self.version else ""
        return f"{CATALOG_URL}/orgs/{_quote(self.org)}{team}/{kind}s/{_quote(self.name)}{version}"


def item_path(target: NgcTarget, kind: Kind, *, guest: bool) -> str:
    """Return the path of a model or resource, whose response names the latest version."""
    if guest:
        parts = [part for part in (target.org, target.team, target.name) if part]
        return "/".join([f"/v2/{kind}s", *map(_quote, parts)])
    return f"/v2/{_org_path(target)}/{kind}s/{_quote(target.name)}"


def version_path(target: NgcTarget, kind: Kind, *, guest: bool) -> str:
    """Return the path of the target's version."""
    return f"{item_path(target, kind, guest=guest)}/versions/{_quote(target.version)}"


def files_path(target: NgcTarget, kind: Kind, *, guest: bool) -> str:
    """Return the path of the list of files of the target's version."""
    return f"{version_path(target, kind, guest=guest)}/files"


def download_path(target: NgcTarget, kind: Kind, *, guest: bool) -> str:
    """Return the path whose response has presigned URLs; `?path=` names the file."""
    files = f"{_quote(target.name)}/{_quote(target.version)}/files"
    if guest:
        return f"/v2/{kind}s/{_org_path(target)}/{files}"
    return f"/v2/{_org_path(target)}/{kind}s/{files}"


def response_field(kind: Kind, part: Literal["", "Version", "Files"]) -> str:
    """Return the response field of a target, of a version of it, or of that version's files."""
    return ("model" if kind == "model" else "recipe") + part


def _org_path(target: NgcTarget) -> str:
    team = f"/team/{_quote(target.team)}" if target.team else ""
    return f"org/{_quote(target.org)}{team}"


def _quote(part: str | None) -> str:
    return quote(part or "", safe="")
