"""Which texts and paths name a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.checkpoint.dcp.place import StoreFinder, can_be_checkpoint, parse_checkpoint_id
from aisio.errors import UrlError


def test_a_url_or_the_path_of_a_folder(tmp_path: Path) -> None:
    """With or without a final slash."""
    for text in ("ais://b/run/1", "ais://b/run/1/", "s3://b/run/"):
        assert str(parse_checkpoint_id(text)) == text.rstrip("/")
    assert str(parse_checkpoint_id(tmp_path / "a")) == f"file://{tmp_path}/a"
    place = StoreFinder(None, None, direct=True).place("s3://b")
    assert str(place.metadata_url) == "s3://b/.metadata"
    assert str(place.file_url("__0_0.distcp")) == "s3://b/__0_0.distcp"


def test_what_names_no_checkpoint_is_refused() -> None:
    """A path joins the slashes of a URL; a name must not lead out of the checkpoint."""
    with pytest.raises(UrlError, match="pass a URL as a string"):
        parse_checkpoint_id(Path("s3://b/run"))
    for text in ("run/1", "ftp://b/run", ""):
        with pytest.raises(UrlError):
            parse_checkpoint_id(text)
    place = StoreFinder(None, None, direct=True).place("s3://b/run")
    with pytest.raises(UrlError):
        place.file_url("../other/__0_0.distcp")


def test_torch_asks_whether_one_can_be_there() -> None:
    """A web server is only read."""
    for one in ("ais://b/run", "file:///a", Path("/a")):
        assert can_be_checkpoint(one)
        assert can_be_checkpoint(one, written=True)
    assert can_be_checkpoint("https://host/run")
    assert not can_be_checkpoint("https://host/run", written=True)
    for wrong in ("run", "", None, 3, "foo://x", Path("s3://b")):
        assert not can_be_checkpoint(wrong)
