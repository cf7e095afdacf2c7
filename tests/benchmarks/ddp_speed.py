"""Seconds of an epoch of training in the processes that are there: tandem, and a plain Lightning module, in turns.

`python -m tests.benchmarks.ddp_speed FOLDER TURNS`, alone or under torchrun, waits for FOLDER/go0, go1 and so on, and
answers each with FOLDER/took0.json and so on: so processes of other numbers can take their turns in between.
"""

import json
import logging
import statistics
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from hydra import compose, initialize_config_dir
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.distributed.gather import is_distributed
from tandem.distributed.world import environment, joined, world
from tandem.factory import make_data, make_module, make_trainer
from tandem.module import MultiTaskModule

IMAGES, EPOCHS = 384, 3

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


def main(folder: Path, turns: int) -> None:
    """Takes turns; the mean of the epochs but for the first, which warms up."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("train", WORDS))
    with joined(config["trainer"]), TemporaryDirectory() as runs:
        for turn in range(turns):
            wait_for(folder / f"go{turn}")
            took = {name: statistics.mean(side(config, Path(runs) / name)[1:]) for name, side in SIDES.items()}
            if world().rank == 0:
                file = folder / "writing"
                file.write_text(json.dumps(took))
                file.replace(folder / f"took{turn}.json")


def wait_for(file: Path) -> None:
    """Sleeps until rank 0 sees a file, so that a waiting process takes no time from the others."""
    while world().rank == 0 and not file.exists():
        time.sleep(0.05)
    if is_distributed():
        dist.barrier()


SIDES = {"tandem": tandem, "plain": plain}

if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
