"""Callbacks in a LightningModule that knows nothing of tandem, written in the manner of lightning-hydra-template."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tandem.callbacks import CollapseWatch, MetricsCSV, ThresholdSweep, WeightAverage
from tandem.errors import ConfigError, DataError

GRID = [round(0.1 + 0.01 * index, 9) for index in range(81)]

Make = Callable[..., pl.Trainer]


class LitSegmenter(pl.LightningModule):
    """A network, an optimiser and a loss, as the template has them; the steps return what callbacks need."""

    def __init__(self, answer: Callable[[Tensor, Tensor], Any], channels: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Conv2d(1, channels, 3, padding=1)
        self.criterion = nn.BCEWithLogitsLoss()
        self.optimizer = partial(torch.optim.SGD, lr=0.5)
        self.answer = answer
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.criterion(self(batch[0]), batch[1])
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.seen = []

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        logits = self(batch[0])
        self.log("val/loss", self.criterion(logits, batch[1]))
        self.seen.append((torch.sigmoid(logits).detach(), batch[1]))
        return self.answer(logits, batch[1])

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self.parameters())


def loader(channels: int = 1) -> "DataLoader[Any]":
    """7 images of 6 x 6; the masks follow from the images."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(7, 1, 6, 6, generator=generator)
    masks = (images + 0.3 * torch.rand(7, channels, 6, 6, generator=generator) > 0.9).float()
    return DataLoader(TensorDataset(images, masks), batch_size=3)


def dice(seen: list[tuple[Tensor, Tensor]], threshold: float, channel: int = 0) -> float:
    """Over all pixels, one after the other, in float64."""
    both = said = true = 0.0
    for probabilities, target in seen:
        for p, y in zip(
            probabilities[:, channel].flatten().tolist(), target[:, channel].flatten().tolist(), strict=True
        ):
            yes = float(p >= float(np.float32(threshold)))
            both, said, true = both + yes * y, said + yes, true + y
    return 2 * both / (said + true)


def logits(found: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {"logits": found, "target": target}


def test_threshold_and_dice_are_those_of_a_loop_over_all_pixels_and_come_back(trainer: Make, tmp_path: Path) -> None:
    module, data, sweep = LitSegmenter(logits), loader(), ThresholdSweep()
    fit = trainer(sweep, num_sanity_val_steps=1)
    fit.fit(module, data, data)
    (best,) = sweep.thresholds[""].tolist()
    assert best == pytest.approx(max(GRID, key=lambda t: (dice(module.seen, t), -abs(t - 0.5))))
    logged = {key: float(value) for key, value in fit.callback_metrics.items()}
    assert logged["val/threshold"] == pytest.approx(best)
    assert logged["val/dice"] == pytest.approx(dice(module.seen, best), abs=1e-7)
    assert logged["val/dice_at_0.5"] == pytest.approx(dice(module.seen, 0.5), abs=1e-7)
    assert logged["val/iou"] == pytest.approx(logged["val/dice"] / (2 - logged["val/dice"]), abs=1e-6)
    assert sweep.curves["val"]["thresholds"]
    fit.save_checkpoint(tmp_path / "a.ckpt")

    again = ThresholdSweep(low=0.3, high=0.4)  # another grid: the stored threshold is applied all the same
    for run, stage in (("validate", "val"), ("test", "test")):
        other = LitSegmenter(logits)
        checked = trainer(again)
        (found,) = getattr(checked, run)(other, data, ckpt_path=tmp_path / "a.ckpt", verbose=False, weights_only=True)
        assert found[f"{stage}/threshold"] == pytest.approx(best)
        assert found[f"{stage}/dice"] == pytest.approx(dice(module.seen, best), abs=1e-7)

    fresh = ThresholdSweep()
    (found,) = trainer(fresh).validate(module, data, verbose=False)
    assert found["val/threshold"] == 0.5, "none was chosen yet, and validation alone chooses none"


@pytest.mark.parametrize(
    "answer",
    [
        lambda found, target: {"probabilities": torch.sigmoid(found), "target": target},
        lambda found, target: {"loss": found.mean(), "logits": found.half(), "target": target.long()},
        lambda found, target: {"logits": found, "target": torch.where(target > 2, 255.0, target)},
    ],
)
def test_other_forms_of_the_same_answer(answer: Callable[[Tensor, Tensor], Any], trainer: Make) -> None:
    module, data = LitSegmenter(answer), loader()
    (found,) = trainer(ThresholdSweep()).validate(module, data, verbose=False)
    assert found["val/dice"] == pytest.approx(dice(module.seen, 0.5), abs=0.02)


def test_channels_and_questions_have_their_own_thresholds(trainer: Make) -> None:
    def answer(found: Tensor, target: Tensor) -> dict[str, Any]:
        whole = {"logits": found.amax((2, 3))[:, :1], "target": target.amax((2, 3))[:, :1]}
        return {"mask": logits(found, target), "image": whole}

    module, data, sweep = LitSegmenter(answer, channels=2), loader(2), ThresholdSweep(tasks={"mask": {"step": 0.1}})
    fit = trainer(sweep)
    fit.fit(module, data, data)
    found = {key: float(value) for key, value in fit.callback_metrics.items()}
    assert {name: len(values) for name, values in sweep.thresholds.items()} == {"mask": 2, "image": 1}
    for channel in (0, 1):
        assert found[f"val/mask/{channel}/threshold"] == pytest.approx(round(found[f"val/mask/{channel}/threshold"], 1))
        expected = dice(module.seen, found[f"val/mask/{channel}/threshold"], channel)
        assert found[f"val/mask/{channel}/dice"] == pytest.approx(expected, abs=1e-7)
    assert 0 < found["val/image/f1"] <= 1
    with pytest.raises(ConfigError, match="names no binary task 'mask2'"):
        trainer(ThresholdSweep(tasks={"mask2": {"step": 0.1}})).validate(module, data, verbose=False)


def test_select_reads_what_a_module_returns_and_what_the_batch_holds(trainer: Make) -> None:
    def select(outputs: Any, batch: Any) -> Mapping[str, Tensor]:
        return {"logits": outputs[0], "target": batch[1]}

    module, data = LitSegmenter(lambda found, target: (found, "loss")), loader()
    (found,) = trainer(ThresholdSweep(select=select)).test(module, data, verbose=False)
    assert found["test/dice"] == pytest.approx(dice(module.seen, 0.5), abs=1e-7)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda found, target: None, "the step returned NoneType, but a dict with 'target'"),
        (lambda found, target: found.mean(), "the step returned Tensor"),
        (lambda found, target: {"preds": found, "targets": target}, "a dict with preds, targets, but"),
        (lambda found, target: {"logits": found}, "a dict with logits, but"),
        (
            lambda found, target: {"logits": found, "target": target[:, 0]},
            r"logits \(3, 1, 6, 6\) and target \(3, 6, 6\)",
        ),
        (lambda found, target: {"logits": found, "probabilities": found, "target": target}, "is expected"),
    ],
)
def test_anything_else_is_refused_in_one_line(
    answer: Callable[[Tensor, Tensor], Any], told: str, trainer: Make
) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        trainer(ThresholdSweep()).validate(LitSegmenter(answer), loader(), verbose=False)
    assert str(caught.value).startswith("ThresholdSweep in LitSegmenter: ")
    assert "\n" not in str(caught.value)


def test_mistakes_in_the_answers_are_told(trainer: Make) -> None:
    wrong = LitSegmenter(lambda found, target: {"probabilities": found * 9, "target": target})
    with pytest.raises(DataError, match="pass probabilities, not logits"):
        trainer(ThresholdSweep()).validate(wrong, loader(), verbose=False)
    with pytest.raises(ConfigError, match="select is 'mask', but must be a function"):
        ThresholdSweep(select="mask")  # type: ignore[arg-type]
    sweep = ThresholdSweep()
    sweep.load_state_dict({"thresholds": {"": [0.3, 0.4]}})
    with pytest.raises(ConfigError, match="has 1 channels, but the checkpoint has 2 thresholds"):
        trainer(sweep).validate(LitSegmenter(logits), loader(), verbose=False)


def test_callbacks_of_tandems_own_module_say_so(trainer: Make) -> None:
    with pytest.raises(ConfigError, match="CollapseWatch reads the tasks of tandem's own module, but LitSegmenter"):
        trainer(CollapseWatch()).fit(LitSegmenter(logits), loader(), loader())


def test_rows_of_every_epoch_are_written(trainer: Make, tmp_path: Path) -> None:
    module, data = LitSegmenter(logits), loader()
    callbacks = (ThresholdSweep(), MetricsCSV(tmp_path / "metrics.csv"))
    trainer(*callbacks, max_epochs=2, check_val_every_n_epoch=2).fit(module, data, data)
    head, first, second = (line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines())
    rows = [dict(zip(head, row, strict=True)) for row in (first, second)]
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert rows[0]["lr"] == "0.5"
    assert rows[0]["val/dice"] == "", "this epoch was not validated"
    assert float(rows[1]["val/dice"]) == pytest.approx(dice(module.seen, float(rows[1]["val/threshold"])), abs=1e-6)
    assert float(rows[1]["train/loss"]) > 0


def test_the_average_of_the_weights_is_validated_saved_and_tested(trainer: Make, tmp_path: Path) -> None:
    module, data = LitSegmenter(logits), loader()
    seen: list[Tensor] = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *rest: Any) -> None:
            seen.append(pl_module.net.weight.detach().double().clone())

    fit = trainer(ThresholdSweep(), Look(), WeightAverage(decay=0.5))
    fit.fit(module, data, data)
    average = seen[0]
    for step, weights in enumerate(seen[1:], start=1):
        keep = min(0.5, (1 + step) / (10 + step))
        average = keep * average + (1 - keep) * weights
    validated = float(fit.callback_metrics["val/dice"])
    fit.save_checkpoint(tmp_path / "a.ckpt")
    stored = torch.load(tmp_path / "a.ckpt", weights_only=True)["state_dict"]["net.weight"]
    torch.testing.assert_close(stored.double(), average, rtol=0, atol=1e-6)
    fresh = LitSegmenter(logits)
    callbacks = (ThresholdSweep(), WeightAverage(decay=0.5))
    options = {"ckpt_path": tmp_path / "a.ckpt", "verbose": False, "weights_only": True}
    (found,) = trainer(*callbacks).test(fresh, data, **options)  # type: ignore[arg-type]
    assert found["test/dice"] == pytest.approx(validated, abs=1e-7)
    assert not math.isclose(found["test/dice"], 0)
