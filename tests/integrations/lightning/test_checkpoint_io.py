"""AISCheckpointIO under a Trainer."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import AsyncCheckpointIO

from aisio import Checkpoint, Client, ConfigError, NotFoundError
from aisio.gateway import Gateway
from aisio.integrations.lightning import AISCheckpointIO

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning warns of what it is given


class Model(pl.LightningModule):
    """Learns one number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Return a loss, so that the weight grows by 1 in each step."""
        return -self.weight.sum()

    def configure_optimizers(self) -> Any:
        """Return plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=1.0)


def trainer(steps: int, plugin: Any, callbacks: list[Any], root: Path) -> pl.Trainer:
    """Return a Trainer of a few steps."""
    return pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=bool(callbacks),
        plugins=[plugin],
        callbacks=callbacks,
        default_root_dir=root,
    )


DATA = torch.utils.data.DataLoader(range(4))  # type: ignore[arg-type, var-annotated]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of an empty bucket of the cluster that the environment names."""
    (tmp_path / "served").mkdir()
    with Gateway(tmp_path / "served") as gateway:
        monkeypatch.setenv("AIS_ENDPOINT", gateway.endpoint)
        Client(gateway.endpoint).bucket("models").create()
        yield "ais://models"


def names(bucket: str) -> list[str]:
    """Return the names of the objects in a bucket."""
    return [info.name for info in Client().bucket(bucket.partition("://")[2]).list()]


@pytest.mark.parametrize("wrap", [lambda plugin: plugin, AsyncCheckpointIO])
def test_a_trainer_saves_removes_and_goes_on(bucket: str, tmp_path: Path, wrap: Any) -> None:
    """By ModelCheckpoint, which keeps the newest; also while training goes on."""
    keep = ModelCheckpoint(
        f"{bucket}/run", monitor="step", mode="max", save_top_k=2, every_n_train_steps=2
    )
    plugin = wrap(AISCheckpointIO())
    trainer(8, plugin, [keep], tmp_path).fit(Model(), DATA)
    # AsyncCheckpointIO removes at once, so what is still to be saved then is not removed.
    found = names(bucket)[-2:] if isinstance(plugin, AsyncCheckpointIO) else names(bucket)
    assert found == ["run/epoch=1-step=6.ckpt", "run/epoch=1-step=8.ckpt"]
    assert keep.best_model_path == f"{bucket}/run/epoch=1-step=8.ckpt"
    model = Model()
    second = trainer(10, AISCheckpointIO(), [], tmp_path)
    second.fit(model, DATA, ckpt_path=keep.best_model_path)
    assert (second.global_step, model.weight.item()) == (10, 10)


def test_save_load_and_remove(bucket: str, tmp_path: Path) -> None:
    """By URL, or by path; removing what is not there is no error."""
    plugin = pickle.loads(pickle.dumps(AISCheckpointIO(part_bytes=1000)))
    content: dict[str, Any] = {"a": torch.arange(1000), "step": 3}
    for place in (f"{bucket}/a/b.ckpt", tmp_path / "a.ckpt", f"file://{tmp_path}/b.ckpt"):
        plugin.save_checkpoint(content, place)
        found = plugin.load_checkpoint(place, weights_only=True)
        assert torch.equal(found["a"], content["a"])
        plugin.remove_checkpoint(place)
        plugin.remove_checkpoint(place)
        with pytest.raises(NotFoundError):
            plugin.load_checkpoint(place)
    with pytest.raises(ConfigError, match="takes no storage_options"):
        plugin.save_checkpoint(content, f"{bucket}/a", storage_options={"a": 1})


def test_a_local_folder_is_removed(tmp_path: Path) -> None:
    """A strategy that saves the parts of a model apart has made it."""
    folder = tmp_path / "epoch=1.ckpt"
    folder.mkdir()
    (folder / "__0_0.distcp").write_bytes(b"part")
    AISCheckpointIO().remove_checkpoint(folder)
    assert not folder.exists()


def test_a_path_that_was_a_url_of_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `file://` ModelCheckpoint makes a folder "file:" in the current one."""
    monkeypatch.chdir(tmp_path)
    callback = ModelCheckpoint("file:///data/run-1", every_n_train_steps=1)
    with pytest.raises(ConfigError, match="pass the path /data/run-1/epoch=0-step=1.ckpt"):
        trainer(1, AISCheckpointIO(), [callback], tmp_path).fit(Model(), [1])


def test_a_save_that_fails_leaves_the_former(bucket: str) -> None:
    """It appears whole, or not at all."""
    plugin = AISCheckpointIO()
    plugin.save_checkpoint({"step": 1}, f"{bucket}/a.ckpt")
    with pytest.raises(Exception, match=r"local object"):
        plugin.save_checkpoint({"step": lambda: None}, f"{bucket}/a.ckpt")
    with Checkpoint().reader(f"{bucket}/a.ckpt") as file:
        assert torch.load(file) == {"step": 1}
