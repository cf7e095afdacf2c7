"""Panels in the run's folder and in TensorBoard."""

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
def test_the_first_cases_with_a_mask_are_kept_as_png(
    stage: str, count: int, module: Make, trainer: Make, batches: Make, tmp_path: Path
) -> None:
    cases = batches(1)
    cases[0]["mask"][1] = 255
    model = module()
    model.tasks["segmentation"].threshold.fill_(0.7)
    run = trainer(Panels(tmp_path / "panels", count=count))
    evaluate = run.validate if stage == "val" else run.test
    evaluate(model, feed(cases), verbose=False)
    rows = [
        panel_row(image, mask[0], torch.sigmoid(image[0]) >= 0.7)
        for batch in cases
        for image, mask in zip(batch["image"], batch["mask"], strict=True)
        if (mask != 255).any()
    ]
    assert len(rows) == 8
    assert [path.name for path in (tmp_path / "panels").iterdir()] == [f"{stage}_segmentation.png"]
    np.testing.assert_array_equal(opened(tmp_path / "panels" / f"{stage}_segmentation.png"), panel_sheet(rows[:count]))


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
