"""Pages of the site that are not in docs/, and the links to and from them.

mkdocs takes pages from docs/ alone. README.md becomes the first page; CHANGELOG.md, CONTRIBUTING.md
and what is in examples/ keep their paths. Links stay as they are in the repository, where they must
work too: those that lead out of docs/ or into it are rewritten while a page is built.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/**/*.md")
LINKED = ("LICENSE", "examples/**/*.py", "examples/**/*.yaml")
"""Files that pages link to, and that are served as they are."""
_LINK = re.compile(r"(?<=\]\()[^()\s]+(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files that are not in docs/."""
    for pattern in (*PAGES, *LINKED):
        for path in sorted(ROOT.glob(pattern)):
            uri = site_uri(path.relative_to(ROOT).as_posix())
            files.append(
                File.generated(
                    config, uri, abs_src_path=str(path), inclusion=InclusionLevel.INCLUDED
                )
            )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page that lead out of docs/ or into it."""
    folder = posixpath.dirname(page.file.src_uri)
    repository_folder = posixpath.dirname(repository_path(page.file.src_uri))

    def rewritten(link: re.Match[str]) -> str:
        url = urlsplit(link[0])
        target = posixpath.normpath(posixpath.join(repository_folder, url.path))
        if url.scheme or not url.path or site_uri(target) not in files.src_uris:
            return link[0]
        uri = posixpath.relpath(site_uri(target), folder or ".")
        return url._replace(path=uri).geturl()

    return _LINK.sub(rewritten, markdown)


def site_uri(path: str) -> str:
    """Return where a file of the repository is on the site, as mkdocs names sources."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def repository_path(uri: str) -> str:
    """Return the file of the repository that a source on the site is."""
    if uri == "index.md":
        return "README.md"
    return uri if (ROOT / uri).is_file() else f"docs/{uri}"
