"""What is said of a package that is missing: what helps, and nothing that does not."""

from __future__ import annotations

import pytest

from aisio.extras import missing_extra


def test_the_error_holds_the_pip_command():
    """It names the extra, not the package, so that versions fit."""
    told = str(missing_extra("torch", "torch"))
    assert told.endswith("torch, which is not installed: pip install 'aisio[torch]'")


@pytest.mark.parametrize(("python", "helps"), [((3, 10), False), ((3, 11), True), ((3, 14), True)])
def test_pip_is_not_named_where_it_would_change_nothing(python, helps):
    """There is no obstore for Python 3.10, and the extra leaves it out there."""
    told = str(missing_extra("obstore", "stores", python=python))
    assert ("pip install" in told) is helps
    assert ("s3://, gs://, az://, pbss, " in told) is not helps
    assert ("need Python 3.11 or newer" in told) is not helps
