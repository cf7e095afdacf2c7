"""The official Dice in real runs: against all probabilities at once, stored, applied, and never fitted on test data."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from tandem.callbacks import ThresholdSweep
from tandem.callbacks.sweep_settings import SweepSettings
from tandem.data.batch import Batch
from tandem.errors import ConfigError
from tandem.metrics import Aggregate, DiceSweep
from tandem.module import MultiTaskModule
from tandem.tasks import SegmentationTask

Make = Callable[..., Any]
GRID = [round(0.1 + 0.01 * index, 9) for index in range(81)]
KEY = "task_modules.segmentation.threshold"


def feed(batches: list[Batch]) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def counts(batches: list[Batch], threshold: float, shift: float = 0.0) -> list[tuple[int, int, int]]:
    """True positives, false positives and false negatives of each image."""
    found = []
    for batch in batches:
        p = torch.sigmoid(batch["image"] + shift).numpy()
        for answer, mask in zip(p >= np.float32(threshold), batch["mask"].numpy(), strict=True):
            found.append((answer & (mask == 1), answer & (mask == 0), ~answer & (mask == 1)))
    return [tuple(int(part.sum()) for part in parts) for parts in found]  # type: ignore[misc]


def dice(batches: list[Batch], threshold: float, aggregate: Aggregate = "global", shift: float = 0.0) -> float:
    rows = counts(batches, threshold, shift)
    if aggregate == "global":
        rows = [tuple(map(sum, zip(*rows, strict=True)))]  # type: ignore[list-item]
    ratios = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn in rows if tp + fn]
    return math.fsum(ratios) / len(ratios)


def best(batches: list[Batch], aggregate: Aggregate = "global", shift: float = 0.0) -> float:
    """The threshold with the highest Dice; of equal ones the nearest to a half, then the lower."""
    scores = {threshold: round(dice(batches, threshold, aggregate, shift), 12) for threshold in GRID}
    top = max(scores.values())
    return min((t for t in GRID if scores[t] == top), key=lambda t: (round(abs(t - 0.5), 6), t))


class Watch(pl.Callback):
    """Keeps the threshold and the metrics that are known when training begins and after each epoch."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.metrics: list[dict[str, float]] = []

    def look(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, MultiTaskModule)
        self.seen.append(round(module.tasks["segmentation"].threshold.item(), 6))
        self.metrics.append({key: float(value) for key, value in trainer.callback_metrics.items()})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.look(trainer, pl_module)


@pytest.mark.parametrize("official", ["global", "per_image"])
def test_an_epoch_gives_what_all_its_probabilities_give(
    official: Aggregate, module: Make, trainer: Make, batches: Make
) -> None:
    val = batches(1, bias=-1.0)
    run, model = trainer(ThresholdSweep(official=official)), module()
    run.fit(model, feed(batches(0)), feed(val))
    found = {key: float(value) for key, value in run.callback_metrics.items()}
    chosen = best(val, official)
    assert found["val/segmentation/threshold"] == pytest.approx(chosen)
    assert model.tasks["segmentation"].threshold.item() == np.float32(chosen)
    assert found["val/segmentation/dice"] == pytest.approx(dice(val, chosen, official), abs=1e-6)
    assert found["val/segmentation/dice_at_0.5"] == pytest.approx(dice(val, 0.5, official), abs=1e-6)
    assert found["val/segmentation/dice"] > found["val/segmentation/dice_at_0.5"]
    assert found["val/segmentation/dice_global"] == pytest.approx(dice(val, chosen), abs=1e-6)
    assert found["val/segmentation/dice_lesion"] == pytest.approx(dice(val, chosen, "per_image"), abs=1e-6)
    assert found["val/segmentation/dice_lesion_at_0.5"] == pytest.approx(dice(val, 0.5, "per_image"), abs=1e-6)
    rows = counts(val, chosen)
    tp, fp, fn = map(sum, zip(*rows, strict=True))
    iou = tp / (tp + fp + fn)
    if official == "per_image":
        ratios = [row[0] / sum(row) for row in rows if row[0] + row[2]]
        iou = sum(ratios) / len(ratios)
    assert found["val/segmentation/iou"] == pytest.approx(iou, abs=1e-6)
    assert found["val/segmentation/precision"] == pytest.approx(tp / (tp + fp), abs=1e-6)
    assert found["val/segmentation/recall"] == pytest.approx(tp / (tp + fn), abs=1e-6)
    clean = [row[1] == 0 for row in rows if row[0] + row[2] == 0]
    assert found["val/segmentation/specificity_empty"] == pytest.approx(np.mean(clean))


def tiny_against_large() -> list[Batch]:
    """A large lesion that wants a low threshold, three tiny ones that want a high one."""
    p = torch.full((4, 1, 10, 10), 0.05)
    mask = torch.zeros(4, 1, 10, 10, dtype=torch.uint8)
    mask[0, :, :8] = 1
    p[0, :, :8] = 0.25
    for row in (1, 2, 3):
        mask[row, 0, 0, 0] = 1
        p[row, 0, 0, 0] = 0.85
        p[row, 0, 5, :4] = 0.65
    return [Batch(image=torch.logit(p), mask=mask, id=["a", "b", "c", "d"])]


def test_the_official_aggregate_changes_the_choice(module: Make, trainer: Make, batches: Make) -> None:
    val = tiny_against_large()
    chosen = {}
    official: Aggregate
    for official in ("global", "per_image"):
        model = module()
        trainer(ThresholdSweep(official=official)).fit(model, feed(batches(0)), feed(val))
        chosen[official] = round(model.tasks["segmentation"].threshold.item(), 6)
    assert chosen == {"global": 0.25, "per_image": 0.66} == {kind: best(val, kind) for kind in chosen}


def test_the_sanity_check_counts_for_nothing(module: Make, trainer: Make, batches: Make) -> None:
    watch, val = Watch(), batches(1, bias=-1.0)
    trainer(ThresholdSweep(), watch, num_sanity_val_steps=2).fit(module(), feed(batches(0)), feed(val))
    assert watch.seen[0] == 0.5
    assert watch.metrics[0] == {}
    assert watch.seen[1] == best(val) != 0.5
    assert watch.metrics[1]["val/segmentation/dice"] == pytest.approx(dice(val, watch.seen[1]), abs=1e-6)


def test_the_best_checkpoint_holds_its_own_epoch_s_threshold(
    module: Make, trainer: Make, batches: Make, schedule: Make, tmp_path: Path
) -> None:
    val, shifts, watch = batches(1), [-4.0, -0.7, 4.0], Watch()
    checkpoint = ModelCheckpoint(
        tmp_path, "best", monitor="val/segmentation/dice", mode="max", save_on_train_epoch_end=True
    )
    run = trainer(ThresholdSweep(), watch, schedule(shifts), checkpoint, max_epochs=3, enable_checkpointing=True)
    run.fit(module(), feed(batches(0)), feed(val))
    thresholds = [best(val, shift=shift) for shift in shifts]
    scores = [dice(val, threshold, shift=shift) for threshold, shift in zip(thresholds, shifts, strict=True)]
    assert watch.seen[1:] == thresholds
    assert [each["val/segmentation/dice"] for each in watch.metrics[1:]] == pytest.approx(scores, abs=1e-6)
    saved = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert scores[0] < scores[1] > scores[2]
    assert saved["epoch"] == 1
    assert saved["state_dict"][KEY].tolist() == [np.float32(thresholds[1])]


@pytest.mark.parametrize("other", [{}, {"low": 0.2, "high": 0.8, "step": 0.05}], ids=["same grid", "another grid"])
def test_the_stored_threshold_is_applied_and_never_fitted(
    other: dict[str, Any], module: Make, trainer: Make, batches: Make, tmp_path: Path
) -> None:
    val, test = batches(1, bias=-1.0), batches(2, bias=2.0)
    run = trainer(ThresholdSweep())
    run.fit(module(), feed(batches(0)), feed(val))
    run.save_checkpoint(tmp_path / "last.ckpt")
    stored = best(val)
    assert dice(test, best(test)) > dice(test, stored) + 0.05, "another threshold would be better there"

    model = module()
    sweep = ThresholdSweep(**other)
    for stage, evaluate in (("test", "test"), ("val", "validate")):
        second = trainer(sweep)
        (found,) = getattr(second, evaluate)(
            model, feed(test), ckpt_path=tmp_path / "last.ckpt", weights_only=True, verbose=False
        )
        assert found[f"{stage}/segmentation/threshold"] == pytest.approx(stored)
        assert found[f"{stage}/segmentation/dice"] == pytest.approx(dice(test, stored), abs=1e-6)
        assert found[f"{stage}/segmentation/dice_at_0.5"] == pytest.approx(dice(test, 0.5), abs=1e-6)
        assert model.tasks["segmentation"].threshold.tolist() == [np.float32(stored)]
        curve = sweep.curves[f"{stage}/segmentation"]
        here = curve["thresholds"].index(round(stored, 6))
        assert curve["dice_global"][here] == pytest.approx(dice(test, stored), abs=1e-9)


def test_validation_between_two_fits_changes_no_threshold(module: Make, trainer: Make, batches: Make) -> None:
    val, other, model = batches(1, bias=-1.0), batches(2, bias=2.0), module()
    run = trainer(ThresholdSweep())
    run.fit(model, feed(batches(0)), feed(val))
    run.validate(model, feed(other), verbose=False)
    assert model.tasks["segmentation"].threshold.item() == np.float32(best(val))


def test_without_any_mask_there_is_no_dice_and_no_choice(module: Make, trainer: Make, batches: Make) -> None:
    val = [Batch(image=batch["image"], mask=torch.full_like(batch["mask"], 255), id=[]) for batch in batches(1)]
    run, model = trainer(ThresholdSweep()), module()
    run.fit(model, feed(batches(0)), feed(val))
    assert not [key for key in run.callback_metrics if key.startswith("val/")]
    assert "train/segmentation/loss" in run.callback_metrics
    assert model.tasks["segmentation"].threshold.tolist() == [0.5]


def test_without_any_lesion_dice_is_unknown(module: Make, trainer: Make, batches: Make) -> None:
    val = [Batch(image=batch["image"], mask=torch.zeros_like(batch["mask"]), id=[]) for batch in batches(1)]
    run, model = trainer(ThresholdSweep()), module()
    run.fit(model, feed(batches(0)), feed(val))
    assert run.callback_metrics["val/segmentation/dice"].isnan()
    assert model.tasks["segmentation"].threshold.tolist() == [0.5]


def test_of_a_diverged_network_all_is_nan_and_the_threshold_stays(
    module: Make, trainer: Make, batches: Make, caplog: pytest.LogCaptureFixture
) -> None:
    val = batches(1)
    val[1]["image"][0] = math.nan
    run, model = trainer(ThresholdSweep(), num_sanity_val_steps=0), module()
    model.tasks["segmentation"].threshold.fill_(0.3)
    run.fit(model, feed(batches(0)), feed(val))
    names = ("dice", "iou", "threshold", "dice_at_0.5", "precision", "recall")
    assert all(run.callback_metrics[f"val/segmentation/{name}"].isnan() for name in names)
    assert model.tasks["segmentation"].threshold.tolist() == [pytest.approx(0.3)]
    warned = [message for message in caplog.messages if "are not a number" in message]
    assert len(warned) == 1
    assert warned[0].startswith("val/segmentation: the probabilities of ")


def test_each_channel_has_its_own_threshold(
    module: Make, trainer: Make, batches: Make, mirror_task: type[SegmentationTask]
) -> None:
    class Two(mirror_task):  # type: ignore[misc, valid-type]
        @property
        def channels(self) -> int:
            return 2

        @property
        def class_names(self) -> Sequence[str]:
            return ["core", "rim"]

    def both(core: list[Batch], rim: list[Batch]) -> list[Batch]:
        return [
            Batch(image=torch.cat([a["image"], b["image"]], 1), mask=torch.cat([a["mask"], b["mask"]], 1), id=[])
            for a, b in zip(core, rim, strict=True)
        ]

    core, rim = batches(1, bias=-1.0), batches(2, bias=0.5)
    run, model = trainer(ThresholdSweep()), module(task=Two)
    run.fit(model, feed(both(batches(0), batches(0))), feed(both(core, rim)))
    for name, alone in (("core", core), ("rim", rim)):
        threshold = best(alone)
        assert run.callback_metrics[f"val/segmentation/{name}/threshold"].item() == pytest.approx(threshold)
        found = run.callback_metrics[f"val/segmentation/{name}/dice"].item()
        assert found == pytest.approx(dice(alone, threshold), abs=1e-6)
    assert model.tasks["segmentation"].threshold.tolist() == [np.float32(best(core)), np.float32(best(rim))]
    mean = (dice(core, best(core)) + dice(rim, best(rim))) / 2
    assert run.callback_metrics["val/segmentation/dice"].item() == pytest.approx(mean, abs=1e-6)
    assert "val/segmentation/threshold" not in run.callback_metrics


@pytest.mark.parametrize(
    ("options", "grid"),
    [
        ({}, GRID),
        ({"low": 0.3, "high": 0.3}, [0.3]),
        ({"step": 0.3}, [0.1, 0.4, 0.7]),
        ({"low": 0.2, "high": 0.8, "step": 0.25}, [0.2, 0.45, 0.7]),
        ({"step": 2.0}, [0.1]),
        ({"low": 0.05, "high": 0.95, "step": 0.05}, [round(0.05 * index, 9) for index in range(1, 20)]),
    ],
)
def test_the_grid_ends_at_or_below_its_highest(options: dict[str, Any], grid: list[float]) -> None:
    settings = SweepSettings(**options)
    assert settings.grid(dense=True).tolist() == np.array(grid, dtype=np.float32).tolist()
    assert settings.changed("mask", {"exact": False}).grid(dense=False).equal(settings.grid(dense=True))


def test_a_half_is_counted_but_not_chosen_where_it_is_not_on_the_grid(
    module: Make, trainer: Make, batches: Make
) -> None:
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    val = [Batch(image=torch.logit(0.46 + 0.05 * mask), mask=mask.to(torch.uint8), id=["a"])]
    run, model = trainer(ThresholdSweep(low=0.2, high=0.8, step=0.25)), module()
    run.fit(model, feed(batches(0)), feed(val))
    assert run.callback_metrics["val/segmentation/dice_at_0.5"] == 1.0
    assert run.callback_metrics["val/segmentation/dice"].item() == pytest.approx(2 / 3)
    assert model.tasks["segmentation"].threshold.item() == np.float32(0.45)


@pytest.mark.parametrize(
    "options", [{"low": 0.0}, {"high": 1.0}, {"low": 0.6, "high": 0.4}, {"step": 0.0}, {"step": -0.1}, {"step": 1e-9},
              {"step": math.nan}, {"low": math.nan}]
)  # fmt: skip
def test_a_grid_that_cannot_be_scanned_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"need 0 < low <= high < 1 and step >= 0\.0001"):
        ThresholdSweep(**options)


def test_an_unknown_aggregate_is_refused() -> None:
    with pytest.raises(ConfigError, match="official is 'batch', but must be 'global' or 'per_image'"):
        ThresholdSweep(official="batch")  # type: ignore[arg-type]


def test_the_curve_falls_to_its_ends_and_holds_the_logged_value(module: Make, trainer: Make, batches: Make) -> None:
    sweep = ThresholdSweep()
    run = trainer(sweep)
    run.fit(module(), feed(batches(0)), feed(batches(1)))
    curve = sweep.curves["val/segmentation"]
    assert curve["thresholds"] == GRID
    assert all(low < high for low, high in pairwise(curve["thresholds"]))
    assert max(curve["dice_global"]) == pytest.approx(run.callback_metrics["val/segmentation/dice"].item(), abs=1e-6)
    assert curve["dice_lesion"][40] == pytest.approx(dice(batches(1), 0.5, "per_image"), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "goal", "extra"),
    [
        ({"objective": "iou", "official": "per_image"}, {"objective": "iou", "aggregate": "per_image"}, "iou"),
        ({"objective": "fbeta", "beta": 2.0}, {"objective": "fbeta", "beta": 2.0}, "fbeta"),
        ({"tasks": {"segmentation": {"objective": "youden", "step": 0.05}}}, {"objective": "youden"}, "youden"),
        ({"official": "per_image", "empty": "score"}, {"aggregate": "per_image", "empty": "score"}, "dice"),
        ({"exact": True}, {"thresholds": "exact"}, "dice"),
    ],
    ids=str,
)
def test_another_objective_chooses_by_it_and_is_logged(
    options: dict[str, Any], goal: dict[str, Any], extra: str, module: Make, trainer: Make, batches: Make
) -> None:
    val = batches(1, bias=-1.0)
    run, model = trainer(ThresholdSweep(**options)), module()
    run.fit(model, feed(batches(0)), feed(val))
    thresholds = [round(0.1 + 0.05 * index, 9) for index in range(17)] if "tasks" in options else GRID
    sweep = DiceSweep(**{"thresholds": thresholds, **goal})
    for batch in val:
        sweep.update(torch.sigmoid(batch["image"]), batch["mask"])
    expected = sweep.compute()
    assert model.tasks["segmentation"].threshold.item() == np.float32(float(expected.threshold))
    found = {key.removeprefix("val/segmentation/"): float(value) for key, value in run.callback_metrics.items()}
    assert found[extra] == pytest.approx(float(expected.score), abs=1e-6)
    assert found["dice"] == pytest.approx(float(expected.dice), abs=1e-6)
    assert found["dice_lesion"] == pytest.approx(dice(val, float(expected.threshold), "per_image"), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "dise"}, "objective is 'dise': did you mean 'dice'"),
        ({"objective": "youden", "official": "per_image"}, "'youden' is global and has no mean per image"),
        ({"objective": "fbeta", "beta": -1.0}, "beta is -1"),
        ({"tasks": {"mask": {"hihg": 0.5}}}, "tasks.mask has no 'hihg': did you mean 'high'"),
        ({"tasks": {"mask": {"high": 1.5}}}, r"tasks\.mask: low=0\.1, high=1\.5"),
    ],
    ids=str,
)
def test_invalid_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ThresholdSweep(**options)


def test_settings_of_a_task_that_there_is_not_are_refused(module: Make, trainer: Make, batches: Make) -> None:
    with pytest.raises(ConfigError, match="names no binary task 'segmentaton': did you mean 'segmentation'"):
        trainer(ThresholdSweep(tasks={"segmentaton": {}})).fit(module(), feed(batches(0)), feed(batches(1)))
