"""What a target in NVIDIA's registry is called, on the wire and in a catalog. Pure.

A target is `[org/[team/]]name[:version]`. A key and a guest use different paths for the same thing,
and resources go by the name "recipe" inside the replies.

Source:
    ngcsdk 4.37.0, read and run against a server that records the requests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias
from urllib.parse import quote

from aisio.errors import ConfigError

Kind: TypeAlias = 'Literal["model", "resource"]'
"""The two kinds of things in the registry that have files."""

CATALOG_URL = "https://catalog.ngc.nvidia.com"
"""Where people look at what is in the registry, and accept licences."""

_PATTERN = "[org/[team/]]name[:version]"


@dataclass(frozen=True)
class NgcTarget:
    """A model or resource of the registry, or one version of it.

    Attributes:
        name: Name of the model or resource.
        org: Organisation; None where the settings are to say.
        team: Team in that organisation; None for none.
        version: Version; None for the latest.
    """

    name: str
    org: str | None = None
    team: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> NgcTarget:
        """Read `[org/[team/]]name[:version]`; a ":" at the end, and team "no-team", mean nothing.

        Raises:
            ConfigError: It is not of that form.
        """
        place, colon, version = text.partition(":")
        parts = place.split("/")
        # A team may be empty, as in ngcsdk: org//name.
        named = parts[:1] + parts[-1:] + [version or "latest"]
        bad = any(part in ("", ".", "..") for part in named) or parts[1:2] in (["."], [".."])
        if bad or len(parts) > 3 or (colon and (":" in version or "/" in version)):
            raise ConfigError(
                f"{text!r} is no target of NVIDIA's registry: it should be {_PATTERN}"
            )
        org = parts[0] if len(parts) > 1 else None
        team = parts[1] if len(parts) == 3 and parts[1] != "no-team" else None
        return cls(parts[-1], org, team or None, version or None)

    def __str__(self) -> str:
        place = "/".join(part for part in (self.org, self.team, self.name) if part)
        return f"{place}:{self.version}" if self.version else place

    def at(self, version: str) -> NgcTarget:
        """Return one version of this."""
        return replace(self, version=version)

    def page_url(self, kind: Kind) -> str:
        """Return the web page where people see it and accept its licence."""
        team = f"/teams/{_quoted(self.team)}" if self.team else ""
        version = f"?version={_quoted(self.version)}" if self.version else ""
        return f"{CATALOG_URL}/orgs/{_quoted(self.org)}{team}/{kind}s/{_quoted(self.name)}{version}"


def item_path(target: NgcTarget, kind: Kind, *, guest: bool) -> str:
    """Return the path that describes a model or resource, latest version included."""
    if guest:
        parts = [part for part in (target.org, target.team, target.name) if part]
        return "/".join([f"/v2/{kind}s", *map(_quoted, parts)])
    return f"/v2/{_group(target)}/{kind}s/{_quoted(target.name)}"


def version_path(target: NgcTarget, kind: Kind, *, guest: bool) -> str:
    """Return the path that describes the target's version."""
    return f"{item_path(target, kind, guest=guest)}/versions/{_quoted(target.version)}"


def files_path(target: NgcTarget, kind: Kind, *, guest: bool) -> str:
    """Return the path that lists the files of the target's version."""
    return f"{version_path(target, kind, guest=guest)}/files"


def download_path(target: NgcTarget, kind: Kind, *, guest: bool) -> str:
    """Return the path that gives the address of a file's bytes; `?path=` says of which."""
    place = f"{_quoted(target.name)}/{_quoted(target.version)}/files"
    if guest:
        return f"/v2/{kind}s/{_group(target)}/{place}"
    return f"/v2/{_group(target)}/{kind}s/{place}"


def field_of(kind: Kind, part: Literal["", "Version", "Files"]) -> str:
    """Return the field of a reply that holds an item, a version of it, or that version's files."""
    return ("model" if kind == "model" else "recipe") + part


def _group(target: NgcTarget) -> str:
    team = f"/team/{_quoted(target.team)}" if target.team else ""
    return f"org/{_quoted(target.org)}{team}"


def _quoted(part: str | None) -> str:
    return quote(part or "", safe="")
