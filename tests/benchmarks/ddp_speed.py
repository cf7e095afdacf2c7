"""Images per second of training, in the processes that are there: tandem, and a plain Lightning module, in turns.

`python -m tests.benchmarks.ddp_speed FILE`, alone or under torchrun; writes the seconds of each epoch to FILE.
"""

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.distributed.gather import is_distributed
from tandem.distributed.world import environment, joined, world
from tandem.factory import make_data, make_module, make_trainer
from tandem.module import MultiTaskModule

IMAGES, EPOCHS, ROUNDS = 384, 3, 2

WORDS = [
    *("experiment=demo", f"data.train={IMAGES}", "data.val=32", "data.test=32", "trainer.sync_batchnorm=false"),
    *("logger=none", "callbacks.collapse=null", "callbacks.panels=null", "trainer.enable_progress_bar=false"),
    f"trainer.max_epochs={EPOCHS}",
]


class Clock(pl.Callback):
    """Seconds of each epoch's training steps, without its validation."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self.start = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Starts with the first step."""
        if batch_idx == 0:
            self.start = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stops with the last."""
        if trainer.is_last_batch:
            self.epochs.append(time.perf_counter() - self.start)


class Plain(pl.LightningModule):
    """What a person would write: the losses of this process's rows, added up; no metric."""

    def __init__(self, module: MultiTaskModule) -> None:
        super().__init__()
        self.network, self.heads = module.network, torch.nn.ModuleDict(module.tasks)
        self.tasks, self.make_optimizer = module.tasks, module.make_optimizer

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The sum of the losses."""
        features, total = self.network(batch["image"]), torch.zeros(())
        for name, task in self.tasks.items():
            loss = task.loss(self.heads[name](features), task.read_target(batch))
            terms = loss if isinstance(loss, dict) else {"": loss}
            weights = task.weights()
            total = total + sum(weights.get(key, 1.0) * term for key, term in terms.items())
        self.log("train/loss", total.detach())
        return total

    def configure_optimizers(self) -> Any:
        """The optimiser of the configuration."""
        return self.make_optimizer(self.named_parameters())


def tandem(config: dict[str, Any], folder: Path) -> list[float]:
    """Seconds of tandem's epochs."""
    pl.seed_everything(0, verbose=False)
    clock, data = Clock(), make_data(config)
    module = make_module(config, data.info)
    make_trainer(config, folder, [clock]).fit(module, datamodule=data)
    return clock.epochs


def plain(config: dict[str, Any], folder: Path) -> list[float]:
    """Seconds of the plain module's epochs, with the same network, losses, data and optimiser."""
    pl.seed_everything(0, verbose=False)
    clock, data = Clock(), make_data(config)
    module = Plain(make_module(config, data.info))
    several: dict[str, Any] = {"devices": 1}
    if is_distributed():
        several = {"strategy": DDPStrategy(cluster_environment=environment()), "devices": world().here}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=EPOCHS, logger=False, enable_checkpointing=False, callbacks=[clock],
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder, limit_val_batches=0,
        use_distributed_sampler=False, **several,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    return clock.epochs


def main(file: Path) -> None:
    """Both in turns."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("train", WORDS))
    found: dict[str, list[float]] = {"tandem": [], "plain": []}
    with joined(config["trainer"]), TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            found["tandem"] += tandem(config, Path(folder) / "tandem")[1:]  # the first epoch warms up
            found["plain"] += plain(config, Path(folder) / "plain")[1:]
        if world().rank == 0:
            file.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
