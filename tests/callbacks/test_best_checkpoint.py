"""A run that goes on in a moved folder still knows its best epoch."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tandem.callbacks import BestCheckpoint
from tandem.errors import DataError
from tandem.utils.artifacts import SCHEMA, SCHEMA_KEY


def test_the_best_value_survives_a_move(tmp_path: Path) -> None:
    before = BestCheckpoint(tmp_path / "old", "val/segmentation/dice", "max")
    score = torch.tensor(0.7)
    path = str(tmp_path / "old" / "best.ckpt")
    before.best_model_path, before.best_model_score, before.current_score = path, score, score
    before.best_k_models, before.kth_best_model_path, before.kth_value = {path: score}, path, score
    after = BestCheckpoint(tmp_path / "new", "val/segmentation/dice", "max")
    after.load_state_dict(before.state_dict())
    moved = str(tmp_path / "new" / "best.ckpt")
    assert after.best_model_score == score
    assert after.best_k_models == {moved: score}
    assert after.best_model_path == after.kth_best_model_path == moved
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    assert not after.check_monitor_top_k(trainer, torch.tensor(0.6))
    assert after.check_monitor_top_k(trainer, torch.tensor(0.8))


class Plateau(pl.LightningModule):
    """Never better than in its first epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.log("val/loss", float(self.current_epoch), on_step=False, on_epoch=True, batch_size=1)
        return (self.weight * batch).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
@pytest.mark.filterwarnings("ignore:.*logging interval")
def test_the_last_epoch_is_kept_on_a_plateau_too(tmp_path: Path) -> None:
    keep = BestCheckpoint(tmp_path, "val/loss", "min")
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, callbacks=[keep], max_epochs=3, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Plateau(), torch.utils.data.DataLoader([1.0, 2.0]))  # type: ignore[arg-type]
    epochs = {name: torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["epoch"] for name in ("best", "last")}
    assert epochs == {"best": 0, "last": 2}


def test_a_state_without_any_checkpoint_is_taken_up(tmp_path: Path) -> None:
    fresh = BestCheckpoint(tmp_path / "old", "val/loss", "min")
    after = BestCheckpoint(tmp_path / "new", "val/loss", "min")
    after.load_state_dict(fresh.state_dict())
    assert after.best_model_path == ""
    assert after.best_k_models == {}


def test_a_checkpoint_of_a_later_version_is_refused_when_a_run_goes_on(tmp_path: Path) -> None:
    keeper = BestCheckpoint(tmp_path, "val/loss", "min")
    trainer: Any = SimpleNamespace(ckpt_path=tmp_path / "last.ckpt")
    checkpoint: dict[str, Any] = {}
    keeper.on_save_checkpoint(trainer, None, checkpoint)  # type: ignore[arg-type]
    keeper.on_load_checkpoint(trainer, None, checkpoint)  # type: ignore[arg-type]
    keeper.on_load_checkpoint(trainer, None, {})  # type: ignore[arg-type]  # one of 0.1.0
    with pytest.raises(DataError, match=r"last\.ckpt was written by a later tandem"):
        keeper.on_load_checkpoint(trainer, None, {SCHEMA_KEY: SCHEMA + 1})  # type: ignore[arg-type]
