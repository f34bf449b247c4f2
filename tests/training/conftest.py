"""What several tests of the datasets need."""

from __future__ import annotations

import pytest


@pytest.fixture
def folder(tmp_path):
    """Return a folder with twenty files, as the URL of a prefix."""
    for number in range(20):
        name = f"obj{number:02d}"
        (tmp_path / name).write_bytes(name.encode())
    return f"file://{tmp_path}/"


@pytest.fixture
def in_worker():
    """Return a function that makes this process DataLoader worker w of n."""
    import torch
    from torch.utils.data import _utils

    info = _utils.worker

    def pretend(worker: int, workers: int) -> None:
        info._worker_info = info.WorkerInfo(
            id=worker, num_workers=workers, seed=0, dataset=torch.utils.data.TensorDataset()
        )

    yield pretend
    info._worker_info = None
