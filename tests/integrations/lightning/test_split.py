"""Split, and the package's names, which need no Lightning until they are used."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import aisio.integrations.lightning
from aisio.integrations.lightning import Split

LAZY = """
import sys
import aisio.integrations.lightning as package
assert package.Split.train.value == 1
print(sorted({"lightning", "torch", "webdataset"} & sys.modules.keys()))
"""


def test_a_split_is_one_object_in_all_processes() -> None:
    """It is the key of dicts."""
    assert all(pickle.loads(pickle.dumps(split)) is split for split in Split)


def test_names_are_imported_on_first_use() -> None:
    """The package lists them before."""
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert set(aisio.integrations.lightning.__all__) <= set(dir(aisio.integrations.lightning))
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = aisio.integrations.lightning.absent
