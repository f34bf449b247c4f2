"""The documentation as a site: what is on it, and that a broken link fails the build."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import lightning  # noqa: F401 - the reference shows its data modules
import pytest
import torch  # noqa: F401 - the reference shows the datasets

import aisio


def shown(root: Path) -> Iterator[str]:
    """Yield what the reference shows: names, and those of modules that it shows as a whole."""
    for page in (root / "docs" / "reference").glob("*.md"):
        for identifier in re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.MULTILINE):
            yield identifier
            with suppress(ModuleNotFoundError):
                module = importlib.import_module(identifier)
                yield from (f"{identifier}.{name}" for name in dir(module) if name[0] != "_")


def test_every_public_name_is_in_the_reference(root):
    """By the name that it is imported by, or with the module that defines it."""
    names = set(shown(root))
    missing = [
        name
        for name in aisio.__all__
        if name != "__version__"
        and f"aisio.{name}" not in names
        and f"{getattr(aisio, name).__module__}.{name}" not in names
    ]
    assert missing == []


def test_readme_leads_to_every_page(root):
    """mkdocs.yml must too: a page that it lacks is a warning, and so an error."""
    text = "".join((root / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    pages = [path.relative_to(root).as_posix() for path in (root / "docs").rglob("*.md")]
    of_readers = [page for page in pages if not page.startswith("docs/reference/")]
    assert [page for page in of_readers if f"({page}" not in text] == []


@pytest.fixture
def site_pages(root) -> ModuleType:
    """Return the hook of mkdocs."""
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("site_pages", root / "docs" / "site_pages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "docs/loader.md#state", "loader.md#state"),
        ("index.md", "examples/digits/README.md", "examples/digits/README.md"),
        ("loader.md", "../README.md", "index.md"),
        ("loader.md", "packing.md", "packing.md"),
        (
            "moving/from-litdata.md",
            "../../examples/digits/README.md",
            "../examples/digits/README.md",
        ),
        ("examples/digits/README.md", "../../docs/loader.md", "../../loader.md"),
        ("examples/digits/README.md", "../../README.md#install", "../../index.md#install"),
        ("loader.md", "#state", "#state"),
        ("loader.md", "https://example.org/docs/loader.md", "https://example.org/docs/loader.md"),
        ("loader.md", "../missing.md", "../missing.md"),
    ],
)
def test_links_lead_to_the_same_page_on_the_site(site_pages, page, link, expected):
    """In the repository they are paths of files."""
    pages = ("index.md", "loader.md", "packing.md", "examples/digits/README.md")
    made = site_pages.on_page_markdown(
        f"see [it]({link}).",
        SimpleNamespace(file=SimpleNamespace(src_uri=page)),
        None,
        SimpleNamespace(src_uris=dict.fromkeys(pages)),
    )
    assert made == f"see [it]({expected})."


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("link", ["missing.md", "index.md#missing", "/index.md", "folder/"])
def test_a_broken_link_fails_the_build(root, tmp_path, link):
    """With the settings of the site."""
    pytest.importorskip("material")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(f"# One\n\n[it]({link})\n")
    only: dict[str, Any] = {"docs_dir": str(docs), "nav": ["index.md"], "plugins": [], "hooks": []}
    config = load_config(str(root / "mkdocs.yml"), site_dir=str(tmp_path / "site"), **only)
    with pytest.raises(Abort, match="1 warnings in strict mode"):
        build(config)
