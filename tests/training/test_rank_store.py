"""The names of what ranks keep in the store of their process group."""

from __future__ import annotations

import pytest
import torch  # noqa: F401 - the module needs it

from aisio.training.rank_store import short_digest, store_key


def test_ranks_that_were_started_again_use_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """An elastic launcher keeps the store, with what the ranks before them have left there."""
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    assert store_key("listing", "ais://b", 2) == "aisio/listing/0/ais://b/2"
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "3")
    assert store_key("listing", "ais://b", 2) == "aisio/listing/3/ais://b/2"


def test_a_digest_is_short_and_of_its_text() -> None:
    """Whatever the length."""
    assert len(short_digest("")) == len(short_digest("1," * 4096)) == 32
    assert short_digest("0,1") != short_digest("0,2")
