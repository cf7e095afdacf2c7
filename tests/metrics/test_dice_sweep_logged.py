"""`DiceSweep` as one number: in `self.log`, in a MetricCollection, cloned, and over several ranks."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection

from tandem.errors import ConfigError
from tandem.metrics import DiceSweep

GRID = [0.25, 0.5, 0.75]


def case(seed: int, channels: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(5, channels, 4, 4, generator=generator)
    return p, ((p + torch.rand(p.shape, generator=generator)) > 1).long()


def dice(p: Tensor, target: Tensor, threshold: float) -> float:
    both = said = true = 0.0
    for probability, truth in zip(p.flatten().tolist(), target.flatten().tolist(), strict=True):
        yes = float(probability >= float(np.float32(threshold)))
        both, said, true = both + yes * truth, said + yes, true + truth
    return 2 * both / (said + true)


def test_the_number_is_that_of_a_loop() -> None:
    p, target = case(0)
    best = max(GRID, key=lambda threshold: dice(p, target, threshold))
    found = {value: DiceSweep(GRID, value=value)(p, target) for value in ("dice", "threshold", "dice_at_0.5", "iou")}
    assert all(number.shape == () and number.dtype == torch.float32 for number in found.values())
    assert found["dice"].item() == pytest.approx(dice(p, target, best), abs=1e-6)
    assert found["threshold"].item() == best
    assert found["dice_at_0.5"].item() == pytest.approx(dice(p, target, 0.5), abs=1e-6)
    assert found["iou"].item() == pytest.approx(dice(p, target, best) / (2 - dice(p, target, best)), abs=1e-6)


def test_channels_are_averaged_where_they_are_defined() -> None:
    p, target = case(1, channels=3)
    target[:, 2] = 0  # no foreground: nan
    found = DiceSweep(GRID, value="dice")(p, target).item()
    each = [max(dice(p[:, c], target[:, c], threshold) for threshold in GRID) for c in (0, 1)]
    assert found == pytest.approx(sum(each) / 2, abs=1e-6)


class Logged(pl.LightningModule):
    """A plain module that logs the metric object, as Lightning's documentation shows."""

    def __init__(self, **metrics: DiceSweep) -> None:
        super().__init__()
        self.metrics = MetricCollection(dict(metrics), prefix="val/")
        self.alone = DiceSweep(GRID, value="dice")
        self.scale = nn.Parameter(torch.ones(()))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.scale**2

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.alone.update(*batch)
        self.log("val/alone", self.alone)
        self.metrics.update(*batch)
        self.log_dict(self.metrics)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_self_log_takes_the_metric_and_a_collection(trainer: Callable[..., pl.Trainer]) -> None:
    p, target = case(2)
    module = Logged(dice=DiceSweep(GRID, value="dice"), threshold=DiceSweep(GRID, value="threshold"))
    data = DataLoader(TensorDataset(p, target), batch_size=2)
    fit = trainer(max_epochs=2)
    fit.fit(module, data, data)
    best = max(GRID, key=lambda threshold: dice(p, target, threshold))
    found = {key: float(value) for key, value in fit.callback_metrics.items()}
    expected = {"val/alone": dice(p, target, best), "val/dice": dice(p, target, best), "val/threshold": best}
    assert found == pytest.approx(expected, abs=1e-6), "the second epoch begins with empty counts"


def test_a_collection_shares_counts_and_keeps_values_apart() -> None:
    p, target = case(3)
    both = MetricCollection({"dice": DiceSweep(GRID, value="dice"), "threshold": DiceSweep(GRID, value="threshold")})
    for start in range(0, 5, 2):
        both.update(p[start : start + 2], target[start : start + 2])
    assert len(both.compute_groups) == 1, "one update for both"
    whole = {name: DiceSweep(GRID, value=name)(p, target).item() for name in ("dice", "threshold")}
    assert {name: value.item() for name, value in both.compute().items()} == whole
    other = both.clone(prefix="test/")
    other.reset()
    assert both.compute()["dice"].item() == whole["dice"], "a clone has counts of its own"


@pytest.mark.parametrize("copied", [DiceSweep.clone, copy.deepcopy])
def test_a_copy_counts_alone(copied: Callable[[DiceSweep], DiceSweep]) -> None:
    p, target = case(4)
    first = DiceSweep(GRID, value="dice")
    first.update(p[:2], target[:2])
    second = copied(first)
    second.update(p[2:], target[2:])
    assert second.compute().item() == DiceSweep(GRID, value="dice")(p, target).item()
    assert first.compute().item() == DiceSweep(GRID, value="dice")(p[:2], target[:2]).item()


@pytest.mark.parametrize("aggregate", ["global", "per_image"])
def test_ranks_are_summed_before_the_division(aggregate: Any) -> None:
    """Two ranks in one process: what `dist_sync_fn` would gather are the states of both."""
    p, target = case(5)
    options = {"aggregate": aggregate, "value": "dice"}
    other = DiceSweep(GRID, **options)
    other.update(p[3:], target[3:])
    theirs = [other.channels, other.faults, torch.cat(other.counted)]

    def gather(mine: Tensor, group: Any) -> list[Tensor]:
        same = [state for state in theirs if state.dtype == mine.dtype and state.ndim == mine.ndim]
        (found,) = [state for state in same if mine.ndim == 0 or (len(state) == 3) == (len(mine) == 3)]
        return [mine, found]

    first = DiceSweep(GRID, **options, dist_sync_fn=gather, distributed_available_fn=lambda: True)
    first.update(p[:3], target[:3])
    assert first.compute().item() == DiceSweep(GRID, **options)(p, target).item()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"value": "dise"}, "value is 'dise', but must be one of score, dice, iou, threshold, dice_at_0.5"),
        ({"value": "dice_at_0.5", "thresholds": [0.3]}, "0.5 is not among the thresholds"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        DiceSweep(**options)
