"""tandem: multi-task learning on images with one shared network, configured through Hydra config groups."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # keeps `import tandem` fast, so that --help prints at once
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tandem.predict.predictor import Predictor


DISTRIBUTION = "tandem-mtl"
"""The name on the package index."""


def __getattr__(name: str) -> Any:
    """Looks the version up when it is asked for, which takes a moment."""
    if name == "__version__":
        from importlib.metadata import version

        return version(DISTRIBUTION)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(
    run: "str | Path | Sequence[str | Path]",
    flips: bool = False,
    device: str = "auto",
    data: "Mapping[str, Any] | None" = None,
    mixed: bool = False,
) -> "Predictor":
    """Loads a finished run, or several runs as an ensemble, for prediction: `tandem.load(run).predict(images)`.

    Several runs, such as folds, must have the same tasks and classes. Their probabilities and thresholds are averaged.

    Args:
        run: one run folder, a list of run folders, or a pattern such as `runs/folds/*`.
        flips: whether to average over each image and its flipped copies (left-right, top-down, both).
        device: `auto`, `cpu`, `cuda` or `mps`.
        data: data options that override those of the runs: `size`, `grey_range`, `background`, `window`.
        mixed: whether runs are averaged although their data, version of tandem, device or precision differ.

    Raises:
        ConfigError: if a run is not finished, runs differ in tasks or classes, or the device is not available.
        DataError: if the files of a run do not belong together.

    Example:
        >>> def example(folder: str) -> None:
        ...     (prediction,) = load(folder).predict("image.png")
        ...     print(prediction["classification"].name, prediction["classification"].probabilities)
        ...     print(prediction["segmentation"].mask.shape)  # (1, height, width) of the image
    """
    from tandem.predict.predictor import load

    return load(run, flips, device, data, mixed)
