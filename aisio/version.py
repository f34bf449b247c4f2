"""The version, in this one place: setup.cfg takes it from here."""

from __future__ import annotations

__version__ = "0.1.0"
