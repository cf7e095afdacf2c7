"""A run that goes on in a moved folder still knows its best epoch."""

from pathlib import Path

import pytorch_lightning as pl
import torch

from tandem.callbacks import BestCheckpoint


def test_the_best_value_survives_a_move(tmp_path: Path) -> None:
    before = BestCheckpoint(tmp_path / "old", "val/segmentation/dice", "max")
    score = torch.tensor(0.7)
    path = str(tmp_path / "old" / "best.ckpt")
    before.best_model_path, before.best_model_score, before.current_score = path, score, score
    before.best_k_models, before.kth_best_model_path, before.kth_value = {path: score}, path, score
    before.last_model_path = str(tmp_path / "old" / "last.ckpt")
    after = BestCheckpoint(tmp_path / "new", "val/segmentation/dice", "max")
    after.load_state_dict(before.state_dict())
    moved = str(tmp_path / "new" / "best.ckpt")
    assert after.best_model_score == score
    assert after.best_k_models == {moved: score}
    assert after.best_model_path == after.kth_best_model_path == moved
    assert after.last_model_path == str(tmp_path / "new" / "last.ckpt")
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    assert not after.check_monitor_top_k(trainer, torch.tensor(0.6))
    assert after.check_monitor_top_k(trainer, torch.tensor(0.8))


def test_a_state_without_any_checkpoint_is_taken_up(tmp_path: Path) -> None:
    fresh = BestCheckpoint(tmp_path / "old", "val/loss", "min")
    after = BestCheckpoint(tmp_path / "new", "val/loss", "min")
    after.load_state_dict(fresh.state_dict())
    assert after.best_model_path == ""
    assert after.best_k_models == {}
