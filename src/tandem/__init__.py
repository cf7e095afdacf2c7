"""tandem: multi-task learning on images with one shared network, configured through Hydra config groups."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # keeps `import tandem` fast, so that --help prints at once
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from tandem.predict.predictor import Predictor
    from tandem.python.config import Config
    from tandem.python.find import Runs
    from tandem.python.run import Run

__all__ = ["Config", "Run", "Runs", "compose", "find_runs", "fit", "load"]

DISTRIBUTION = "tandem-mtl"
"""The name on the package index."""

_HOME = {"Config": "tandem.python.config", "Run": "tandem.python.run", "Runs": "tandem.python.find"}
"""Public classes, by the module that they come from."""


def __getattr__(name: str) -> Any:
    """Imports a public class, or looks the version up, when it is asked for, which takes a moment."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version(DISTRIBUTION)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def compose(overrides: "Sequence[str]" = (), config_dir: "str | Path | None" = None) -> "Config":
    """Composes and checks the configuration of one run, as `tandem-train` does: the same options, errors and hash.

    It works in any working directory, in a notebook, and in a program that uses Hydra itself. Relative paths, such as
    `data.root` and `runs`, begin in the working directory, as on the command line.

    Args:
        overrides: what one would type behind `tandem-train`: `["data=busi", "data.root=PATH", "seed=1"]`.
        config_dir: folder of your own options, as `--config-dir` names it. Its code is admitted by `TANDEM_ALLOW`.

    Raises:
        ConfigError: an override is wrong, options do not fit together, or they describe several runs.

    Example:
        >>> config = compose(["experiment=tiny", "optimizer.lr=0.01"])
        >>> config["optimizer"]["lr"]
        0.01
        >>> compose(["experiment=tiny"]).hash == compose(["experiment=tiny", "seed=0", "name=other"]).hash
        True
    """
    from tandem.python.config import compose

    return compose(overrides, config_dir)


def fit(config: "Config") -> "Run":
    """Trains a run, as `tandem-train` does: the same folder, files and numbers.

    A finished run is answered from its folder, an interrupted one is resumed. Random states and other settings of the
    process are as before when it returns.

    Args:
        config: what `compose` returned.

    Raises:
        ConfigError: options do not fit the data, or the folder holds a run with other settings.
        DataError: data cannot be used, or changed since the run was trained.
        TrainingError: training failed, for instance because memory ran out.

    Example:
        >>> def example() -> None:
        ...     run = fit(compose(["experiment=tiny"]))
        ...     print(run.metrics["val/segmentation/dice"])
    """
    from tandem.python.fit import fit

    return fit(config)


def find_runs(
    folders: "str | Path | Sequence[str | Path]" = "runs",
    name: str | None = None,
    state: str | None = "finished",
    where: "Sequence[str] | Mapping[str, Any]" = (),
) -> "Runs":
    """Finds runs at any depth below folders.

    Args:
        folders: a folder, a pattern such as `runs/focal_*`, or several.
        name: the name that the runs were given, or a pattern.
        state: `finished`, `failed`, `interrupted`, `running`, `killed`, ...; None: all of them.
        where: options that the runs have, typed or by default, as `["seed=0,1", "gamma=2"]` or `{"seed": 0}`;
            the rule is that of `tandem-list-runs`: the end of a dotted key will do.

    Raises:
        ConfigError: there is no such folder, or a filter is not `key=value`.

    Example:
        >>> def example() -> None:
        ...     best = max(find_runs(where=["seed=0"]), key=lambda run: run.metrics["val/segmentation/dice"])
        ...     print(best.overrides)
    """
    from tandem.python.find import find_runs

    return find_runs(folders, name, state, where)


def load(
    run: "str | PathLike[str] | Sequence[str | PathLike[str]]",
    flips: bool = False,
    device: str = "auto",
    data: "Mapping[str, Any] | None" = None,
    mixed: bool = False,
    threshold: "Any" = "stored",
    decide: "Any" = "stored",
    windows: "Any" = "none",
) -> "Predictor":
    """Loads a finished run, or several runs as an ensemble, for prediction: `tandem.load(run).predict(images)`.

    Several runs, such as folds, must have the same tasks and classes. Their probabilities and thresholds are averaged.

    Args:
        run: one run folder or `Run`, a list of them, or a pattern such as `runs/folds/*`.
        flips: whether to average over each image and its flipped copies (left-right, top-down, both).
        device: `auto`, `cpu`, `cuda` or `mps`.
        data: data options that override those of the runs: `size`, `grey_range`, `background`, `window`.
        mixed: whether runs are averaged although their data, version of tandem, device or precision differ.
        threshold: `stored`, a number, such as `sensitivity:0.95` (chosen on the run's validation data), or one of these
            by task.
        decide: `stored`, `threshold`, `rankdice`, ... as of `tandem-predict`, or a file of decisions.
        windows: `none`, `auto`, or the overlap of windows that pass over the whole image, as of `tandem-predict`.

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

    return load(run, flips, device, data, mixed, threshold, decide, windows)
