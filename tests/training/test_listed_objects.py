"""ListedObjects: what a map dataset knows of its objects; see also test_object_datasets."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import torch  # noqa: F401 - the datasets need it

from aisio import AISMapDataset


def test_objects_of_the_dataset_can_be_had(folder: str) -> None:
    """By the official package's name; nothing is read for it."""
    dataset = AISMapDataset(folder)
    objects = dataset.get_obj_list()
    assert [one.name[-5:] for one in objects] == [f"obj{number:02d}" for number in range(20)]
    assert [one.props_cached.size for one in objects] == [5] * 20
    assert dataset.stats()["requests"] == dataset.stats()["bytes_read"] == 0
    assert objects[-1].read() == b"obj19"


def test_infos_are_what_was_listed(folder: str) -> None:
    """With sizes, and without a request; they pickle with the dataset."""
    dataset = AISMapDataset(folder)
    infos = pickle.loads(pickle.dumps(dataset)).infos
    assert isinstance(infos, Sequence)
    assert [info.name for info in infos] == list(dataset.names)
    assert (len(infos), infos[-1].url[-5:], infos[3].size_bytes) == (20, "obj19", 5)
    assert dataset.stats()["requests"] == 0


def test_a_dataset_shows_what_it_is_and_how_much(folder: str) -> None:
    """By its listing; a notebook too."""
    dataset = AISMapDataset(folder)
    assert repr(dataset) == f"<AISMapDataset of 20 objects, 100 bytes: {folder}>"
    html = dataset._repr_html_()
    for cell in (folder, "20 objects", "100 bytes"):
        assert f"<td>{cell}</td>" in html
    named = AISMapDataset.from_objects([f"{folder}obj00"])
    assert repr(named) == "<AISMapDataset of 1 object: UrlListSource(1 object)>"
    some = AISMapDataset(folder, {folder: folder[8:] + "obj1"})
    assert repr(some) == f"<AISMapDataset of 10 objects, 50 bytes: {folder} [{folder[8:]}obj1]>"
