"""numpy and torch read their own formats from an open object."""

from __future__ import annotations

import io
import random
import zipfile

import numpy as np
import torch

from aisio.client.client import Bucket


def test_numpy_loads_an_array_and_an_archive_of_them(bucket: Bucket) -> None:
    """Of more than a window, so that it takes several reads."""
    array = np.random.default_rng(1).integers(0, 1 << 30, 500_000)
    for save, name in ((np.save, "a.npy"), (np.savez, "a.npz")):
        buffer = io.BytesIO()
        save(buffer, array)
        bucket.object(name).put(buffer.getvalue())
    with bucket.object("a.npy").open() as file:
        assert np.array_equal(np.load(file), array)
    with bucket.object("a.npz").open() as file, np.load(file) as loaded:
        assert np.array_equal(loaded["arr_0"], array)


def test_torch_loads_a_state(bucket: Bucket) -> None:
    """It reads the end, the index, and then each tensor straight into its place."""
    weights = {f"w{number}": torch.randn(300, 1000) for number in range(6)}
    state = weights | {"step": 7}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    assert zipfile.is_zipfile(buffer)
    bucket.object("state.pt").put(buffer.getvalue())
    with bucket.object("state.pt").open() as file:
        loaded = torch.load(file, weights_only=True)
    assert loaded["step"] == 7
    keys = random.Random(1).sample(sorted(weights), 6)
    assert all(torch.equal(loaded[key], weights[key]) for key in keys)
