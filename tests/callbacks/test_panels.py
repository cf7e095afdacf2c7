"""Panels in the run's folder and in TensorBoard."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from tandem.callbacks import Panels, ThresholdSweep, Tracking
from tandem.data.batch import Batch
from tandem.errors import ConfigError
from tandem.reports.panels import panel_row, panel_sheet
from tandem.trackers import TensorBoard

Make = Callable[..., Any]


def feed(batches: list[Batch]) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def opened(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


@pytest.mark.parametrize("stage", ["val", "test"])
@pytest.mark.parametrize("count", [1, 4, 50])
def test_the_cases_with_the_lowest_dice_are_kept_worst_first(
    stage: str, count: int, module: Make, trainer: Make, batches: Make, tmp_path: Path
) -> None:
    cases = batches(1)
    cases[0]["mask"][1] = 255
    model = module()
    model.tasks["segmentation"].threshold.fill_(0.7)
    run = trainer(Panels(tmp_path / "panels", count=count))
    evaluate = run.validate if stage == "val" else run.test
    evaluate(model, feed(cases), verbose=False)
    found: list[tuple[float, int, str, Any]] = []
    for batch in cases:
        for image, mask, name in zip(batch["image"], batch["mask"], batch["id"], strict=True):
            predicted, known = torch.sigmoid(image[0]) >= 0.7, mask[0] != 255
            if known.any():
                p, y = predicted[known].numpy(), mask[0][known].numpy()
                dice = 2 * (p * y).sum() / (p.sum() + y.sum()) if p.sum() + y.sum() else float("nan")
                found.append((dice, len(found), name, panel_row(image, mask[0], predicted)))
    assert len(found) == 8
    found = sorted(found, key=lambda case: (np.nan_to_num(case[0], nan=2.0), case[1]))[:count]
    written = tmp_path / "panels" / f"{stage}_segmentation.json"
    assert sorted(path.name for path in written.parent.iterdir()) == [written.name, f"{stage}_segmentation.png"]
    np.testing.assert_array_equal(opened(written.with_suffix(".png")), panel_sheet([case[3] for case in found]))
    listed = json.loads(written.read_text())
    assert [case["id"] for case in listed] == [name for _, _, name, _ in found]
    expected = [None if np.isnan(dice) else pytest.approx(dice, abs=5e-5) for dice, *_ in found]
    assert [case["dice"] for case in listed] == expected


def test_without_any_mask_or_with_no_case_wanted_there_is_no_file(
    module: Make, trainer: Make, batches: Make, tmp_path: Path
) -> None:
    cases = batches(1)
    trainer(Panels(tmp_path / "none", count=0)).test(module(), feed(cases), verbose=False)
    for batch in cases:
        batch["mask"].fill_(255)
    trainer(Panels(tmp_path / "none")).test(module(), feed(cases), verbose=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("every", "steps"), [(1, [3, 6, 9, 12]), (2, [3, 9, 12]), (50, [3, 12])])
def test_trackers_get_panels_and_figures_every_few_epochs_and_at_the_end(
    every: int, steps: list[int], module: Make, trainer: Make, batches: Make, tmp_path: Path
) -> None:
    run = trainer(
        ThresholdSweep(),
        Panels(tmp_path / "panels", count=2, every=every),
        Tracking(every=every),
        max_epochs=4,
        logger=TensorBoard(tmp_path),
        num_sanity_val_steps=2,
    )
    run.fit(module(), feed(batches(0)), feed(batches(1)))
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    assert sorted(events.Tags()["images"]) == [
        "val/segmentation/dice_against_threshold",
        "val/segmentation/panels",
    ]
    for name in events.Tags()["images"]:
        assert [event.step for event in events.Images(name)] == steps
    assert [event.step for event in events.Scalars("lr")] == [0, 3, 6, 9]
    panel = events.Images("val/segmentation/panels")[0]
    assert (panel.height, panel.width) == (6 + 4 + 6, 4 * 5)
    assert not (tmp_path / "panels").exists()


@pytest.mark.parametrize("options", [{"count": -1}, {"every": 0}])
def test_numbers_that_cannot_work_are_refused(options: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="need count >= 0 and every >= 1"):
        Panels(tmp_path, **options)


def test_figures_of_no_epoch_are_refused() -> None:
    with pytest.raises(ConfigError, match="every=0: need every >= 1"):
        Tracking(every=0)
