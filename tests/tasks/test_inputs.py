"""What a task reads, and how its program is told."""

from __future__ import annotations

import pytest

from aisio.errors import NotFoundError
from aisio.tasks.errors import InvalidArguments, ResourceError
from aisio.tasks.inputs import find_inputs, with_mounts
from aisio.tasks.resources.commit import begin
from aisio.tasks.resources.tree import Tree
from aisio.tasks.service.resources import Uploaded
from tests.tasks.places import make_service

NAMES = ("dataset", "model", "pretrain")


def test_any_11_mounts_are_lists_of_quoted_references():
    """Each id is a file of the task, once."""
    params, files = with_mounts({"lr": 1}, NAMES, [["DSET1", "DSET2"], ["MODE1"], []])
    assert params == {"lr": 1, "dataset": ['"$DSET1"', '"$DSET2"'], "model": ['"$MODE1"']}
    assert files == ["DSET1", "DSET2", "MODE1"]


def test_no_name_no_mount():
    """As the vendor has it."""
    assert with_mounts({}, ("", "model", ""), [["DSET1"], ["MODE1"], ["FILE1"]]) == (
        {"model": ['"$MODE1"']},
        ["MODE1"],
    )


def test_a_name_is_taken_once():
    """Else a value would be lost."""
    with pytest.raises(InvalidArguments, match="'dataset'"):
        with_mounts({"dataset": "x"}, NAMES, [["DSET1"], [], []])
    with pytest.raises(InvalidArguments, match="'x'"):
        with_mounts({}, ("x", "x", ""), [["DSET1"], ["MODE1"], []])


def test_urls_are_passed_as_they_are(tmp_path):
    """The program opens them itself."""
    inputs = find_inputs(make_service(tmp_path), "s3://bucket/train/", None, None)
    assert [one.id for one in inputs.datasets] == ["s3://bucket/train/"]
    assert with_mounts({}, NAMES, inputs.placeholders()) == (
        {"dataset": ["s3://bucket/train/"]},
        [],
    )


def test_any_02_one_id_or_several(tmp_path):
    """Each is looked up as what it must be."""
    service = make_service(tmp_path)
    begun, ids = begin(service.resources.store), []
    for kind in ("dataset", "dataset", "model"):
        row = service.resources.create(kind, "x")
        ids.append(service.resources.finish(row, Uploaded(Tree("folder", ()), begun)).id)
    inputs = find_inputs(service, ids[:2], ids[2], ())
    assert [one.id for one in inputs.datasets] == ids[:2]
    assert inputs.models == (ids[2],)
    assert find_inputs(service, ids[0], None, None).datasets[0].name == "x"
    with pytest.raises(NotFoundError, match="it is a model"):
        find_inputs(service, ids[2], None, None)
    with pytest.raises(NotFoundError, match="no train task"):
        find_inputs(service, None, None, "TRAI1")
    unfinished = service.resources.create("dataset", "y")
    with pytest.raises(ResourceError, match="not READY"):
        find_inputs(service, unfinished.id, None, None)
