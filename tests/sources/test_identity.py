"""source_identity: equal only where two processes list the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aisio.catalog import NamedSource
from aisio.client.client import Client
from aisio.sources.identity import source_identity
from aisio.sources.kinds import PrefixSource
from aisio.sources.resolve import source
from aisio.stores import AisStore, DirectSettings

ONE, OTHER = Client("http://one:8080"), Client("http://other:8080")


def identity(what: Any, client: Client = ONE, **options: Any) -> str | None:
    """Return the identity of a source of a cluster."""
    return source_identity(source(what, client=client, **options))


@pytest.mark.parametrize(
    ("what", "differs"),
    [
        ("ais://b/train/", "ais://b/val/"),
        ("ais://b/train/", "ais://b/train"),
        ("ais://b/*.jpg", "ais://b/*.png"),
        (["ais://b/1", "ais://b/2"], ["ais://b/1", "ais://b/3"]),
        (ONE.bucket("b").objects(["1", "2"]), ONE.bucket("b").objects(["1", "3"])),
        (
            ONE.bucket("b").objects(template="s-{0..2}"),
            ONE.bucket("b").objects(template="s-{1..3}"),
        ),
        (NamedSource(tag="t/a", tar="ais://b/1.tar"), NamedSource(tag="t/a", tar="ais://b/2.tar")),
        (
            NamedSource(tag="t/a", template="ais://b/{0..2}"),
            NamedSource(tag="t/a", template="ais://b/{0..3}"),
        ),
    ],
)
def test_it_changes_with_what_is_listed(what: Any, differs: Any) -> None:
    """And is the same for the same."""
    assert identity(what) is not None
    assert identity(what) == identity(what)
    assert identity(what) != identity(differs)


def test_it_changes_with_the_server() -> None:
    """Another cluster has other objects under the same names; and so has each machine's own."""
    assert identity("ais://b/") != identity("ais://b/", OTHER)
    local = identity("ais://b/", Client("http://127.0.0.1:8080"))
    assert local is not None
    assert len(local) > len("PrefixSource ais://b/ http://127.0.0.1:8080 ")
    settings = DirectSettings(endpoint="https://minio")
    assert identity("s3://b/", direct=settings) != identity("s3://b/", direct=True)


def test_what_may_be_another_elsewhere_has_none(tmp_path: Path) -> None:
    """Local files, objects in memory, and sources that a program defines."""

    class Own(PrefixSource):
        pass

    own = Own(AisStore(ONE), ONE.bucket("b").url)
    assert identity(tmp_path) is identity("memory://b/") is source_identity(own) is None
