"""Targets of NVIDIA's registry: parsed, and their paths in requests."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.resources.origins.ngc.target import (
    Kind,
    NgcTarget,
    download_path,
    files_path,
    item_path,
    response_field,
    version_path,
)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("org/team/name:1.0", NgcTarget("name", "org", "team", "1.0")),
        ("org/name:1.0", NgcTarget("name", "org", None, "1.0")),
        ("org/no-team/name", NgcTarget("name", "org")),
        ("org//name", NgcTarget("name", "org")),
        ("name:", NgcTarget("name")),
    ],
)
def test_targets_are_read_as_the_official_client_reads_them(text: str, target: NgcTarget) -> None:
    """[org/[team/]]name[:version]."""
    assert NgcTarget.parse(text) == target


@pytest.mark.parametrize(
    "text",
    ["", ":1", "/name", "org/", "a/b/c/d", "a:1:2", "../name", "org/../name", "name:..", "n:1/2"],
)
def test_a_target_of_another_form_is_refused(text: str) -> None:
    """Also one that would lead out of its path."""
    with pytest.raises(ConfigError, match=r"should be \[org/\[team/\]\]name\[:version\]"):
        NgcTarget.parse(text)


IN_TEAM, IN_ORG = NgcTarget.parse("o/t/a b:1.0"), NgcTarget.parse("o/a b:1.0")


@pytest.mark.parametrize(
    ("target", "guest", "item", "download"),
    [
        (IN_TEAM, False, "/v2/org/o/team/t/models/a%20b", "/v2/org/o/team/t/models/a%20b/1.0"),
        (IN_TEAM, True, "/v2/models/o/t/a%20b", "/v2/models/org/o/team/t/a%20b/1.0"),
        (IN_ORG, False, "/v2/org/o/models/a%20b", "/v2/org/o/models/a%20b/1.0"),
        (IN_ORG, True, "/v2/models/o/a%20b", "/v2/models/org/o/a%20b/1.0"),
    ],
)
def test_a_key_and_a_guest_have_their_own_paths(
    target: NgcTarget, guest: bool, item: str, download: str
) -> None:
    """As ngcsdk requests them; a version and its files lie below the target."""
    assert item_path(target, "model", guest=guest) == item
    assert version_path(target, "model", guest=guest) == f"{item}/versions/1.0"
    assert files_path(target, "model", guest=guest) == f"{item}/versions/1.0/files"
    assert download_path(target, "model", guest=guest) == f"{download}/files"


@pytest.mark.parametrize(("kind", "field"), [("model", "modelFiles"), ("resource", "recipeFiles")])
def test_a_resource_is_a_recipe_in_responses(kind: Kind, field: str) -> None:
    """Its paths have "resources"."""
    assert response_field(kind, "Files") == field
    assert f"/{kind}s/" in item_path(IN_TEAM, kind, guest=False)


def test_the_page_of_a_target_names_its_version() -> None:
    """It is where its licence is accepted."""
    page = "https://catalog.ngc.nvidia.com/orgs/o/teams/t/models/a%20b?version=1.0"
    assert IN_TEAM.page_url("model") == page
    assert str(NgcTarget("a", "o").with_version("2")) == "o/a:2"
