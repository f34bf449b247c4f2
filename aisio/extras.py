"""What to say when an optional dependency is missing."""

from __future__ import annotations

import sys

from aisio.errors import MissingExtraError

# An extra leaves a package out where there is no build of it: to install it would change nothing.
_LEAST_PYTHON = {"obstore": (3, 11)}
_NEEDED_FOR = {"obstore": "s3://, gs://, az://, pbss, memory:// and datasets on web servers"}


def missing_extra(
    package: str, extra: str, *, python: tuple[int, int] | None = None
) -> MissingExtraError:
    """Return the error that tells which extra brings a package, and how to install it.

    Args:
        package: What is missing.
        extra: Of aisio, which brings it.
        python: The version that runs; without it this one.
    """
    least = _LEAST_PYTHON.get(package, (3, 0))
    major, minor = python or sys.version_info[:2]
    if (major, minor) < least:
        return MissingExtraError(
            f"this needs the package {package}, which Python {major}.{minor} has no build of: "
            f"{_NEEDED_FOR[package]} need Python {least[0]}.{least[1]} or newer, "
            f"with 'aisio[{extra}]'"
        )
    return MissingExtraError(
        f"this needs the package {package}, which is not installed: pip install 'aisio[{extra}]'"
    )
