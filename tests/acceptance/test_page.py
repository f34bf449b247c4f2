"""The page of acceptance lines."""

from __future__ import annotations

from tests.acceptance.lines import BIONEMO, SYSTEMS
from tests.acceptance.page import PAGE, lines_with_tests, page


def test_the_page_is_current():
    """docs/acceptance.md says what the tests say: `python -m tests.acceptance.page` writes it."""
    assert PAGE.read_text("utf-8") == page()


def test_every_line_of_the_catalog_has_a_test_of_its_name():
    """A line without a test is a promise that nobody keeps."""
    lines = {line.removesuffix(" !") for line in BIONEMO}
    assert lines - lines_with_tests().keys() == set()


def test_every_id_that_a_test_carries_is_a_line():
    """A slip of the pen in a test's name would leave its line untested."""
    known = {line.removesuffix(" !") for lines in SYSTEMS.values() for line in lines}
    assert lines_with_tests().keys() - known == set()
