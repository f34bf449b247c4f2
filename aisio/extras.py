"""The error for an optional dependency that is not installed."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import sys

from aisio.errors import MissingExtraError

# On older Pythons the extra leaves the package out, as there is no build of it: pip would change
# nothing.
_MIN_PYTHON = {"obstore": (3, 11)}
_NEEDED_FOR = {"obstore": "s3://, gs://, az://, pbss, memory:// and datasets on web servers"}


def missing_extra(
    package: str, extra: str, *, python: tuple[int, int] | None = None
) -> MissingExtraError:
    """Return the error with the pip command that installs what an extra has.

    The command names the extra's packages. It does not name aisio: pip would look for that on PyPI,
    where aisio is not published, and would take whatever has its name there.

    Args:
        package: The package that is missing, or of a version that cannot be used.
        extra: The extra of aisio that installs it.
        python: Version of Python; by default the one that runs.
    """
    minimum = _MIN_PYTHON.get(package, (3, 0))
    major, minor = python or sys.version_info[:2]
    if (major, minor) < minimum:
        return MissingExtraError(
            f"this needs the package {package}, which Python {major}.{minor} has no build of: "
            f"{_NEEDED_FOR[package]} need Python {minimum[0]}.{minimum[1]} or newer, "
            f"with aisio's extra {extra}"
        )
    packages = " ".join(map(shlex.quote, _packages_of(extra) or [package]))
    return MissingExtraError(
        f"this needs the package {package}, {_what_is_wrong(package)}: "
        f"pip install {packages} (aisio's extra {extra})"
    )


def _what_is_wrong(package: str) -> str:
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "which is not installed"
    return f"of which version {version} is installed and cannot be used"


def _packages_of(extra: str) -> list[str]:
    """Return the packages of an extra with their versions; none if aisio runs uninstalled."""
    try:
        requirements = importlib.metadata.requires("aisio") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    of_extra = re.compile(rf""";.*\bextra *== *["']{re.escape(extra)}["']""")
    return [one.partition(";")[0].strip() for one in requirements if of_extra.search(one)]
