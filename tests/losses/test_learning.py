"""Every loss of conf/loss teaches `experiment=tiny` its task: the loss falls, and the task's metric gets better."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from sklearn.metrics import balanced_accuracy_score, mean_absolute_error
from torch import Tensor

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.datamodule import DataModule
from tandem.factory import make_data, make_module
from tandem.metrics import DiceSweep, MeanAveragePrecisionAtR
from tandem.module import MultiTaskModule

TASK = {
    "binary": "segmentation",
    "multiclass": "classification",
    "regression": "regression",
    "embedding": "embedding",
}
"""What the losses of a kind are tried on."""

STEPS = 9
SETTINGS = ["experiment=tiny", "data.train=18", "data.val=9", "data.test=9", "data.seed=3", "optimizer.lr=3e-3"]


def choices() -> list[str]:
    return [f"{path.parent.name}/{path.stem}" for path in sorted((config_folder() / "loss").glob("*/*.yaml"))]


def configuration(choice: str) -> dict[str, Any]:
    kind, loss = choice.split("/")
    task = TASK[kind]
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("train", [*SETTINGS, f"task={task}", f"loss/{kind}@tasks.{task}.loss={loss}"]))


@cache
def pictures() -> tuple[DataModule, dict[str, Tensor]]:
    """The data, and the whole training split as one batch."""
    data = make_data({**configuration("binary/bce"), "loader": {"batch_size": 18, "workers": 0, "sampling": "uniform"}})
    data.setup()
    (batch,) = data.train_dataloader()
    return data, {key: batch[key] for key in ("image", "label", "mask")}


def best_dice(probability: Tensor, target: Tensor) -> float:
    sweep = DiceSweep()
    sweep.update(probability, target)
    return float(sweep.compute().dice)


def balanced_accuracy(probability: Tensor, target: Tensor) -> float:
    return float(balanced_accuracy_score(target, probability.argmax(1)))


def minus_mae(prediction: Tensor, target: Tensor) -> float:
    return -float(mean_absolute_error(target, prediction))


def map_at_r(unit: Tensor, target: Tensor) -> float:
    metric = MeanAveragePrecisionAtR()
    metric.update(unit, target)
    return float(metric.compute())


METRIC: dict[str, Callable[[Tensor, Tensor], float]] = {
    "binary": best_dice,
    "multiclass": balanced_accuracy,
    "regression": minus_mae,
    "embedding": map_at_r,
}
"""The larger the better."""


def judge(module: MultiTaskModule, batch: dict[str, Tensor], kind: str) -> tuple[float, float]:
    """Loss and metric. Batch norms see the batch, as in training: after few steps their running means lag behind."""
    with torch.no_grad():
        output = module.shared_step(batch, "train")[TASK[kind]]
    return output.loss.item(), METRIC[kind](output.probabilities, output.target)


@pytest.mark.parametrize("choice", choices())
def test_loss_falls_and_metric_gets_better(choice: str) -> None:
    kind = choice.partition("/")[0]
    data, batch = pictures()
    pl.seed_everything(0, verbose=False)
    module = make_module(configuration(choice), data.info)
    module.tasks[TASK[kind]].prepare(data.splits["train"])
    optimizer = module.configure_optimizers()
    before = judge(module, batch, kind)
    for _ in range(STEPS):
        outputs = module.shared_step(batch, "train")
        optimizer.zero_grad()
        module.balance({name: output.loss for name, output in outputs.items()}).backward()
        optimizer.step()
    after = judge(module, batch, kind)
    assert after[0] < before[0]
    assert after[1] > before[1]
