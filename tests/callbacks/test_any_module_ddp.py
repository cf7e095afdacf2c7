"""Two processes, each with its own batches: the threshold and the Dice are those of one process over all images."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import pytorch_lightning as pl, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tandem.callbacks import ThresholdSweep
from tandem.metrics import DiceSweep

class Lit(pl.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Conv2d(1, 1, 3, padding=1)
        self.dice = DiceSweep(value="dice")
    def training_step(self, batch, batch_idx):
        return nn.functional.binary_cross_entropy_with_logits(self.net(batch[0]), batch[1]) * 0
    def validation_step(self, batch, batch_idx):
        logits = self.net(batch[0])
        self.dice.update(torch.sigmoid(logits), batch[1])
        self.log("val/logged", self.dice)
        return {"logits": logits, "target": batch[1]}
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)

random = torch.Generator().manual_seed(1)
images = torch.rand(8, 1, 6, 6, generator=random)
masks = (images + 0.5 * torch.rand(8, 1, 6, 6, generator=random) > 0.9).float()
data = DataLoader(TensorDataset(images, masks), batch_size=2)
sweep = ThresholdSweep()
devices = int(sys.argv[1])
trainer = pl.Trainer(
    max_epochs=1, accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", callbacks=[sweep],
    logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
)
trainer.fit(Lit(), data, data)
found = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
with open(f"{sys.argv[2]}/{devices}_{trainer.global_rank}.json", "w") as file:
    json.dump({**found, "stored": sweep.thresholds[""].tolist()}, file)
"""


@pytest.mark.full
def test_two_processes_are_as_one(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    for devices in ("1", "2"):
        subprocess.run(
            [sys.executable, "script.py", devices, str(tmp_path)],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
            timeout=300,
        )
    one, *ranks = (json.loads((tmp_path / name).read_text()) for name in ("1_0.json", "2_0.json", "2_1.json"))
    assert one["val/logged"] == pytest.approx(one["val/dice"])
    for rank in ranks:
        assert rank["stored"] == one["stored"]
        for key, value in one.items():
            if key != "stored" and value == value:  # nan where no image is empty
                assert rank[key] == pytest.approx(value, abs=1e-6), key
