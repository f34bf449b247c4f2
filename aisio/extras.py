"""What to say when an optional dependency is missing."""

from __future__ import annotations

from aisio.errors import MissingExtraError


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """Return the error that tells which extra brings a package, and how to install it."""
    return MissingExtraError(
        f"this needs the package {package}, which is not installed: pip install 'aisio[{extra}]'"
    )
