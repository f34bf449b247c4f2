"""The values of a request."""

from __future__ import annotations

import pytest

from aisio.tasks.errors import InvalidArguments
from aisio.tasks.server.form import Form

FORM = Form({"id": "TRAI1", "limit": "10", "metric": "1e-3", "empty": "", "list": "[1]"})


def test_values_have_types() -> None:
    """Missing and empty ones are None where they may be left out."""
    assert FORM.text("id") == "TRAI1"
    assert FORM.text("missing", "default") == "default"
    assert (FORM.optional("empty"), FORM.optional("missing")) == (None, None)
    assert (FORM.integer("limit"), FORM.integer("missing", 3)) == (10, 3)
    assert FORM.number("metric") == 0.001
    assert (FORM.json("list", None), FORM.json("empty", {})) == ([1], {})
    assert FORM.given("id", "missing") == {"id": "TRAI1"}


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("True", True), ("0", False), ("", False), ("None", False)]
)
def test_truth_values_are_those_that_clients_send(text, expected) -> None:
    """A missing one is false."""
    assert Form({"public": text}).flag("public") is expected
    assert Form({}).flag("public") is False


@pytest.mark.parametrize(
    "read",
    [
        lambda: FORM.text("missing"),
        lambda: FORM.integer("id"),
        lambda: FORM.number("id"),
        lambda: FORM.json("id", None),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(read) -> None:
    """The error has its name."""
    with pytest.raises(InvalidArguments, match=r"missing|id="):
        read()


def test_a_digest_is_that_of_all_values() -> None:
    """In any order; and of further texts."""
    one, other = Form({"a": "1", "b": "2"}), Form({"b": "2", "a": "1"})
    assert one.digest("ada") == other.digest("ada")
    others = [one.digest(), one.digest("eve"), Form({"a": "1"}).digest("ada"),
              Form({"a": "1", "b": "", "c": "2"}).digest("ada")]  # fmt: skip
    assert len({one.digest("ada"), *others}) == 5
