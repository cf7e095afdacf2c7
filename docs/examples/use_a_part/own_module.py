"""tandem's losses, metric and threshold sweep in a LightningModule of your own; nothing else of tandem is needed."""

from collections.abc import Callable, Iterator
from functools import partial

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tandem.callbacks import MetricsCSV, ThresholdSweep
from tandem.losses import BCE, Dice
from tandem.metrics import DiceSweep

Batch = tuple[Tensor, Tensor]
MakeOptimizer = Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]


class LitSegmenter(pl.LightningModule):
    """Segments one kind of lesion.

    Args:
        net: maps (N, 1, H, W) images to (N, 1, H, W) logits.
        optimizer: makes an optimiser from parameters.
    """

    def __init__(self, net: nn.Module, optimizer: MakeOptimizer) -> None:
        super().__init__()
        self.net, self.make_optimizer = net, optimizer
        self.dice, self.bce = Dice(), BCE()
        self.train_dice = DiceSweep(value="dice")  # one number, so that self.log takes it

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Logits and a mask with the values 0, 1 and 255 (unknown), or a soft mask in [0, 1], go into the losses."""
        image, mask = batch
        logits = self.net(image)
        loss: Tensor = self.dice(logits, mask) + self.bce(logits, mask)
        self.train_dice.update(torch.sigmoid(logits), mask)
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        self.log("train/dice", self.train_dice, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Returns what ThresholdSweep reads; it logs `val/dice`, `val/iou`, `val/threshold`, `val/dice_at_0.5`, ..."""
        image, mask = batch
        return {"logits": self.net(image), "target": mask}

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As usual."""
        return self.make_optimizer(self.parameters())


def squares(count: int, seed: int) -> "DataLoader[tuple[Tensor, ...]]":
    """Noise with one brighter square in each image, and its mask."""
    random = torch.Generator().manual_seed(seed)
    images, masks = torch.rand(count, 1, 32, 32, generator=random), torch.zeros(count, 1, 32, 32)
    for row in range(count):
        top, left = torch.randint(0, 20, (2,), generator=random).tolist()
        images[row, :, top : top + 10, left : left + 10] += 0.7
        masks[row, :, top : top + 10, left : left + 10] = 1
    return DataLoader(TensorDataset(images, masks), batch_size=8)


def main(epochs: int = 5) -> dict[str, float]:
    """Trains, and tests the best checkpoint at the threshold that it was validated with."""
    pl.seed_everything(0, verbose=False)
    net = nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 1, 5, padding=2))
    module = LitSegmenter(net, partial(torch.optim.Adam, lr=0.01))
    best = ModelCheckpoint("checkpoints", monitor="val/dice", mode="max")
    sweep = ThresholdSweep()  # fits on validation data, stores the threshold in the checkpoint, applies it in test
    trainer = pl.Trainer(
        max_epochs=epochs, callbacks=[sweep, best, MetricsCSV("metrics.csv")], logger=False, accelerator="cpu"
    )
    trainer.fit(module, squares(48, 0), squares(16, 1))
    (found,) = trainer.test(module, squares(16, 2), ckpt_path=best.best_model_path, weights_only=True)
    threshold = sweep.thresholds[""].item()
    print(f"test Dice {found['test/dice']:.3f} at the threshold {threshold:.2f} of the validation data")  # noqa: T201
    return dict(found)


if __name__ == "__main__":
    main()
