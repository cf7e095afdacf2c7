"""Draws a sheet of original and augmented images."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from tandem.data.batch import MISSING_LABEL, Batch
from tandem.reports.outlines import draw_outlined

SIDE = 1.7  # inches
LONGEST = 28  # maximum number of characters of a name


def sheet(batches: Sequence[Batch], classes: Sequence[str]) -> Figure:
    """Draws a row for each image: the original, then its augmented versions, masks outlined.

    Args:
        batches: batches of the same rows, the first one without augmentation.
        classes: names of the classes.
    """
    original = batches[0]
    rows, columns = len(original["id"]), len(batches)
    figure = Figure(figsize=(SIDE * columns, (SIDE + 0.25) * rows + 0.2), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False)
    for row, name in enumerate(original["id"]):
        for column, batch in enumerate(batches):
            mask = batch["mask"][row] if "mask" in batch else None
            draw_outlined(cells[row, column], batch["image"][row], mask)
            if row == 0 and column:
                cells[row, column].set_title(f"epoch {column - 1}", fontsize=8)
        label = int(original["label"][row])
        shown = name if len(name) <= LONGEST else f"...{name[3 - LONGEST :]}"
        known = f" ({classes[label]})" if label != MISSING_LABEL else ""
        # parse_math=False, because names may contain characters of formulas
        cells[row, 0].set_title(f"{shown}{known}", fontsize=7, parse_math=False, loc="left")
    return figure
