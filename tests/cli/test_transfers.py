"""What the commands that copy share."""

from __future__ import annotations

import click
import pytest

from aisio.cli.transfers import transfer_settings
from aisio.transfer.options import TransferOptions


def test_flags_become_options():
    """The two that say what to keep exclude each other."""
    assert transfer_settings(recursive=True) == TransferOptions(recursive=True)
    assert transfer_settings(no_clobber=True).existing == "keep"
    assert transfer_settings(skip_unchanged=True, size_only=True).existing == "compare"
    assert transfer_settings(existing="compare", size_only=True).size_only
    for flags in ({"no_clobber": True, "skip_unchanged": True}, {"size_only": True}):
        with pytest.raises(click.UsageError):
            transfer_settings(**flags)
