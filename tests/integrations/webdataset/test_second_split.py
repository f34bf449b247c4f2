"""Finding a splitter among the callers of a stage."""

from __future__ import annotations

from itertools import islice

import aiohttp  # noqa: F401 - imports of this package's tests
import pytest
import webdataset  # noqa: F401 - the package needs it

from aisio.errors import ConfigError
from aisio.integrations.webdataset.second_split import refuse_second_split


def every_other(source):
    """Split."""
    yield from islice(source, 0, None, 2)


def mapped(source):
    """Do something else."""
    for item in source:
        yield item + 1


def stage():
    """Be the first stage."""
    refuse_second_split("stage()", every_other, advice=", or else")
    yield from range(4)


def test_a_splitter_anywhere_behind_a_stage_is_refused():
    """Directly, or behind others."""
    told = r"stage\(\) gives .* every_other behind it .*: leave it out, or else"
    for build in (lambda: every_other(stage()), lambda: mapped(every_other(mapped(stage())))):
        with pytest.raises(ConfigError, match=told):
            next(build())


def test_other_stages_are_not():
    """Nor is a splitter that splits something else."""
    assert list(mapped(mapped(stage()))) == [2, 3, 4, 5]
    assert list(every_other(mapped(range(4)))) == [1, 3]
