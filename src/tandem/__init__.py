"""tandem: one network, several questions about an image, chosen through Hydra config groups."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # an import of tandem is light: entry points answer --help at once
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tandem.predict.predictor import Predictor


def load(
    run: "str | Path | Sequence[str | Path]",
    flips: bool = False,
    device: str = "auto",
    data: "Mapping[str, Any] | None" = None,
    mixed: bool = False,
) -> "Predictor":
    """A finished run, or several as an ensemble, ready to answer: `tandem.load(run).predict(images)`.

    Several runs, such as folds, must have the same tasks and classes; probabilities and thresholds are their means.

    Args:
        run: a run's folder; several; or a pattern such as `runs/folds/*`.
        flips: whether to average over each picture and its mirror images (left-right, top-down, both).
        device: `auto`, `cpu`, `cuda` or `mps`.
        data: settings of the data that differ from the runs' own: `size`, `grey_range`.
        mixed: whether runs are averaged although their data, version of tandem, device or precision differ.

    Raises:
        ConfigError: no finished run, runs that differ in tasks or classes, a device that is not there.
        DataError: files of a run that do not belong together.

    Example:
        >>> def example(folder: str) -> None:
        ...     (prediction,) = load(folder).predict("picture.png")
        ...     print(prediction["classification"].name, prediction["classification"].probabilities)
        ...     print(prediction["segmentation"].mask.shape)  # (1, height, width) of the picture
    """
    from tandem.predict.predictor import load

    return load(run, flips, device, data, mixed)
