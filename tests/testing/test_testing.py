"""What `aisio.testing` gives at its top."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import aisio.testing
from aisio.testing.fault_proxy import FaultProxy
from aisio.testing.store_contract import StoreContract


def test_the_helpers_are_at_the_top() -> None:
    """They are the classes of their modules, and dir() shows them."""
    assert aisio.testing.FaultProxy is FaultProxy
    assert aisio.testing.StoreContract is StoreContract
    assert {"FaultProxy", "StoreContract"} <= set(dir(aisio.testing))


def test_other_names_are_not() -> None:
    """The error is the usual one."""
    with pytest.raises(AttributeError, match="'aisio.testing' has no attribute 'Nonsense'"):
        _ = aisio.testing.Nonsense


def test_the_proxy_needs_no_pytest() -> None:
    """Each name is imported when it is first used."""
    text = "import sys; from aisio.testing import FaultProxy; sys.exit('pytest' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", text], cwd=root).returncode == 0
