"""A run that cannot go on says where and why in one line, and never ends as finished."""

import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tandem.callbacks import NonFinite

TINY = ("experiment=tiny", "data.train=24", "data.val=12", "data.test=12", "data.seed=3", "logger=none", "name=one")


@pytest.mark.parametrize("rate", ["1e30", "1e12"])
def test_a_diverged_classification_is_not_finished(rate: str, tandem_train: Any, tmp_path: Path) -> None:
    done = tandem_train(*TINY, "task=classification", f"optimizer.lr={rate}", "callbacks.panels=null")
    assert done.code == 1
    assert "not finite" in done.error
    (folder,) = (tmp_path / "runs" / "one").iterdir()
    assert not (folder / "results.json").exists()
    assert json.loads((folder / "status.json").read_text())["state"] == "failed"


def test_out_of_memory_names_what_to_lower(tandem_train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: NonFinite, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(NonFinite, "on_before_backward", full)
    error = tandem_train(*TINY).error
    assert error.startswith("out of memory (CUDA out of memory. Tried to allocate 2.00 GiB); lower loader.batch_size")
    assert "data.size" in error
    assert (tmp_path / "runs" / "one").is_dir(), "training had begun"
