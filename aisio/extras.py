"""The error for an optional dependency that is not installed."""

from __future__ import annotations

import sys

from aisio.errors import MissingExtraError

# On older Pythons the extra leaves the package out, as there is no build of it: pip would change
# nothing.
_MIN_PYTHON = {"obstore": (3, 11)}
_NEEDED_FOR = {"obstore": "s3://, gs://, az://, pbss, memory:// and datasets on web servers"}


def missing_extra(
    package: str, extra: str, *, python: tuple[int, int] | None = None
) -> MissingExtraError:
    """Return the error that names the extra which installs a package.

    Args:
        package: The missing package.
        extra: The extra of aisio that installs it.
        python: Version of Python; by default the one that runs.
    """
    minimum = _MIN_PYTHON.get(package, (3, 0))
    major, minor = python or sys.version_info[:2]
    if (major, minor) < minimum:
        return MissingExtraError(
            f"this needs the package {package}, which Python {major}.{minor} has no build of: "
            f"{_NEEDED_FOR[package]} need Python {minimum[0]}.{minimum[1]} or newer, "
            f"with 'aisio[{extra}]'"
        )
    return MissingExtraError(
        f"this needs the package {package}, which is not installed: pip install 'aisio[{extra}]'"
    )
