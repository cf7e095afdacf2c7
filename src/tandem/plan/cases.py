"""Draws the worst cases of the test: image, true mask, predicted mask, errors."""

import io
from collections.abc import Sequence
from pathlib import Path

from tandem.plan.outcome import Outcome
from tandem.plan.several import Rows

Drawn = tuple[bytes, str]
"""A PNG image and its caption."""


def worst_cases(outcome: Outcome, folds: Sequence[Rows], runs: Sequence[Path]) -> list[Drawn]:
    """The images with the lowest Dice, as the run that was tested on them drew them.

    Args:
        outcome: of the test.
        folds: the rows of `images.csv` of each run.
        runs: the runs' folders, in the same order.
    """
    from tandem.evaluate.settings import EvaluateSettings
    from tandem.evaluate.split import read_split
    from tandem.runs.restore import restore

    found: dict[str, Drawn] = {}
    captions = {case: f"{case}: Dice {dice:.3f}" for case, dice, *_ in outcome.worst}
    for rows, folder in zip(folds, runs, strict=True):
        files = {row["id"]: row["segmentation.file"] for row in rows if row.get("segmentation.file")}
        mine = [case for case in captions if case in files]
        if not mine:
            continue
        settings = EvaluateSettings(folder, "test", "stored", None, None, False, 0, False, 10, 0, {})
        samples = read_split(restore(folder), settings).samples
        place = {name: number for number, name in enumerate(samples.ids)}
        batch = samples.take([place[case] for case in mine])
        for row, case in enumerate(mine):
            png = _panels(batch["image"][row], batch["mask"][row, 0], settings.folder / files[case])
            found[case] = (png, captions[case])
    return [found[case] for case in captions if case in found]


def _panels(image: object, mask: object, file: Path) -> bytes:
    import numpy as np
    import torch
    from PIL import Image

    from tandem.reports.panels import panel_row

    with Image.open(file) as opened:
        predicted = torch.from_numpy(np.array(opened) > 0)
    buffer = io.BytesIO()
    Image.fromarray(panel_row(image, mask, predicted)).save(buffer, format="png")  # type: ignore[arg-type]
    return buffer.getvalue()
