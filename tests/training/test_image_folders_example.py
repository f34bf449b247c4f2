"""The example on class folders: killed and resumed, it learns what ImageFolder teaches."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Subset

from aisio import AISShardDataset
from aisio.gateway import Gateway

TOLERANCE = 0.05
"""Of the accuracy, which has a standard deviation of 0.01 over seeds: 18 of 359 held-out images."""


def started_by(pid: int) -> list[int]:
    """Return a process and all that it started, each before those that it started itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in started_by(int(child)))]


class Page:
    """Runs the commands of the example's page in an empty folder.

    Args:
        root: The project's folder.
        folder: Where the commands run.
        endpoint: The cluster.
    """

    def __init__(self, root: Path, folder: Path, endpoint: str) -> None:
        self.folder = folder
        text = (root / "examples" / "image_folders" / "README.md").read_text()
        text = text.replace("/path/to/aisio", str(root))
        self.commands = re.findall(r"^\$ (.*)", text, re.MULTILINE)
        here = {"AIS_ENDPOINT": endpoint, "AISIO_CACHE_DIR": str(folder / "cache")}
        self.environ = {**os.environ, **here, "OMP_NUM_THREADS": "1"}

    def start(self, part: str) -> subprocess.Popen[str]:
        """Start the one command that has this part."""
        (command,) = [one for one in self.commands if part in one]
        program, *arguments = shlex.split(command)
        modules = {"aisio": ["-m", "aisio"], "torchrun": ["-m", "torch.distributed.run"]}
        if program in modules:
            program, arguments = sys.executable, [*modules[program], *arguments]
        return subprocess.Popen(
            [sys.executable if program == "python" else program, *arguments],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, part: str) -> list[str]:
        """Run a command to its end, and return its lines."""
        with self.start(part) as running:
            printed = running.communicate()[0]
        assert running.returncode == 0, printed
        return printed.splitlines()

    def kill(self, part: str, begin: str) -> list[str]:
        """Run a command, kill all its processes at a line that begins so, and return its lines."""
        lines = []
        with self.start(part) as running:
            assert running.stdout
            for line in running.stdout:
                lines.append(line)
                if line.startswith(begin):
                    break
            for pid in started_by(running.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            lines += running.stdout  # ends when no process is left that could print
        assert running.returncode == -signal.SIGKILL, "".join(lines)
        return lines


def image_folder_accuracy(images: Path, train_keys: set[str]) -> float:
    """Return what the example's network reaches with torchvision's ImageFolder, in one process."""
    transforms = importlib.import_module("torchvision.transforms.functional")
    datasets = importlib.import_module("torchvision.datasets")
    example: Any = importlib.import_module("image_folders.train")
    folder = datasets.ImageFolder(images, lambda image: transforms.pil_to_tensor(image) / 255)
    keys = [str(Path(path).relative_to(images).with_suffix("")) for path, _ in folder.samples]
    train = Subset(folder, [i for i, key in enumerate(keys) if key in train_keys])
    held_out = Subset(folder, [i for i, key in enumerate(keys) if key not in train_keys])
    torch.manual_seed(1)
    network = example.make_network(len(folder.classes))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(3):
        for pixels, labels in DataLoader(train, example.BATCH_SIZE, shuffle=True, drop_last=True):
            loss = torch.nn.functional.cross_entropy(network(pixels), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    ((pixels, labels),) = DataLoader(held_out, len(held_out))
    return float((network(pixels).argmax(1) == labels).float().mean())


def test_it_learns_what_image_folder_teaches(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two processes that are killed, then with three; and from a cluster."""
    for package in ("sklearn", "torchvision", "aiohttp", "PIL"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    monkeypatch.syspath_prepend(root / "examples")
    first = tmp_path / "first"
    for folder in (first, tmp_path / "store"):
        folder.mkdir()
    with Gateway(tmp_path / "store") as gateway:
        page = Page(root, first, gateway.endpoint)
        page.run("cp ")
        assert page.run("data.py") == ["1,797 images in images"]
        lines = page.kill("--nproc-per-node 2", "epoch 0: loss")
        assert [line.split(":")[0] for line in lines[:3]] == [
            "packed 1,438 images",
            "packed 359 images",
            "epoch 0",
        ]
        resumed = page.run("--nproc-per-node 3")
        assert page.run("aisio pack")[-1] == "aisio: 10 classes: 0 0, 1 1, 2 2, ..."
        page.kill("--nproc-per-node 1", "epoch 0: loss")
    assert "resumed in epoch 0" in resumed
    assert [line[:17] for line in resumed if "accuracy" in line] == [
        f"epoch {number}: accuracy" for number in range(3)
    ]
    keys = set(AISShardDataset(first / "shards" / "train", full_key=True).names)
    assert len(keys) == 1438
    peer = image_folder_accuracy(first / "images", keys)
    assert peer > 0.9
    assert float(resumed[-1].split()[-1].rstrip("%")) / 100 > peer - TOLERANCE
