"""FilteredSource: a source with `include=` and `exclude=`."""

from __future__ import annotations

import pickle

import pytest

from aisio.catalog.entries import NamedSource
from aisio.errors import ConfigError, NotFoundError
from aisio.patterns.name_patterns import NamePatterns
from aisio.sources.catalog_source import CatalogSource
from aisio.sources.filtered import FilteredSource
from aisio.sources.identity import source_identity
from aisio.sources.resolve import source
from aisio.sources.source_set import SourceSet
from tests.sources.files import names


def test_a_source_with_patterns_lists_what_they_take(folder):
    """Also by a prefix or a pattern, also in a worker."""
    found = source(folder, include="*/*", exclude="1")
    assert names(found.list(), folder) == ["train/0", "val/0"]
    assert names(pickle.loads(pickle.dumps(found)).list("x"), folder) == []
    start = folder.removeprefix("file:///")
    assert names(found.select(f"{start}val/"), folder) == ["val/0"]
    assert names(found.select(f"{start}**/[01]"), folder) == ["train/0", "val/0"]
    assert list(found.list_urls()) == [f"{folder}train/0", f"{folder}val/0"]
    assert found.read(next(found.list())) == (source(folder).read(next(found.list())))


def test_without_patterns_a_source_is_what_it_was(folder):
    """No wrapper that others would not know."""
    assert not isinstance(source(folder), FilteredSource)
    with pytest.raises(ConfigError, match="include="):
        source(folder, include=[])


def test_filtered_sources_are_equal_by_their_patterns(folder):
    """As other sources are by their objects."""
    found = source(folder, include=["1", "0"])
    assert found == source(folder, include=["0", "1"])
    assert len({found, source(folder, include="0"), source(folder)}) == 3


def test_the_entry_of_a_catalog_keeps_its_own_ways(folder):
    """Its URLs, and its ETL."""
    entry = NamedSource(tag="t/a", prefix=folder, etl_name=None)
    found = FilteredSource(CatalogSource.of(entry), NamePatterns("0"))
    assert names(found.list(), folder) == ["train/0", "val/0"]
    assert isinstance(found.unpinned, FilteredSource)


def test_patterns_that_take_nothing_are_an_error_that_names_them(folder):
    """In a dataset."""
    with pytest.raises(NotFoundError, match="no name is selected by include='[*].jpg'"):
        list(SourceSet(source(folder, include="*.jpg"), owner="X").list())


def test_patterns_are_part_of_the_identity(client):
    """Two processes with others list other objects."""
    plain, some, others = (
        source_identity(source("ais://b/", client=client, include=one))
        for one in (None, "*.a", "*.b")
    )
    assert None not in (plain, some, others)
    assert len({plain, some, others}) == 3


def test_what_a_source_leaves_out_is_logged(folder, caplog):
    """Where no dataset does."""
    caplog.set_level("INFO", "aisio.sources")
    list(source(folder, exclude="0").list())
    [record] = caplog.records
    assert "exclude='0'): skipped 2 (of exclude=): " in record.getMessage()
