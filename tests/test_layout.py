"""tests/ mirrors aisio/: whoever changes a module finds its tests by its path."""

from __future__ import annotations

from pathlib import Path

# Modules that have no test file of their name yet; those of others run them. Only shrinks.
WITHOUT = frozenset(
    {
        "batch_dataset",
        "datasets",
        "listing_digest",
        "packing",
    }
)
NOT_MIRRORED = ("acceptance", "benchmarks", "integration", "reliability")


def modules(root: Path) -> set[str]:
    """Return aisio's modules that have something to test, as in "wire/batch"."""
    paths = (path.relative_to(root / "aisio") for path in root.glob("aisio/**/[!_]*.py"))
    return {str(path.with_suffix("")) for path in paths if path.name != "version.py"}


def files_by_module(root: Path) -> dict[str, Path]:
    """Return the test files by what they should test, as in "wire/batch"."""
    files = (path.relative_to(root / "tests") for path in root.glob("tests/**/test_*.py"))
    return {
        str(file.parent / file.stem.removeprefix("test_")): file
        for file in files
        if file.parts[0] not in NOT_MIRRORED
    }


def test_every_module_has_tests_of_its_name(root: Path) -> None:
    """Or is in the list above, which only shrinks."""
    assert sorted(modules(root) - files_by_module(root).keys()) == sorted(WITHOUT)


def test_every_folder_of_tests_is_one_of_aisio(root: Path) -> None:
    """A test of a package as a whole stands in that package's folder."""
    folders = {file.parent for file in files_by_module(root).values()}
    assert [str(one) for one in sorted(folders) if not (root / "aisio" / one).is_dir()] == []
