"""Suggests a learning rate: trains a few steps at increasing rates and finds where the loss falls fastest."""

import contextlib
import csv
import io
import itertools
import logging
import math
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig

from tandem.config.resolve import resolve
from tandem.errors import ConfigError, DataError
from tandem.factory import image_size, make_data, make_module, make_trainer
from tandem.utils.artifacts import FIND_LR
from tandem.utils.commands import spelled
from tandem.utils.files import read_json, write_json, write_text, write_whole
from tandem.utils.lazy_imports import load_libraries

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from torch import Tensor

    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)

CURVE = "curve.csv"
FIGURE = "curve.png"

WINDOW = 4
"""The loss at a rate is averaged with this many rates on either side."""

DIVERGED = 4
"""The curve is cut where the loss exceeds the best one by this factor."""

FEWEST = 20
"""Minimum number of steps; with fewer, no slope can be estimated."""


class Suggestion(NamedTuple):
    """A suggested learning rate and the curve that it comes from.

    Attributes:
        rate: the suggestion, rounded to two digits.
        rates: the rates tried, increasing.
        losses: the loss at each rate.
        smooth: the smoothed loss at each rate, up to the point of divergence.
        data: fingerprint of the data; empty if it is not known.
    """

    rate: float
    rates: list[float]
    losses: list[float]
    smooth: list[float]
    data: Mapping[str, str] = {}


def main() -> None:
    """The command of `scripts/find_lr.py`."""
    from tandem.cli import run

    run(find_lr_job, "find_lr", on_interrupt="interrupted; the same command starts again from the beginning")


def find_lr_job(config: DictConfig, folder: Path) -> float:
    """Runs one range test, unless its result exists; logs the rate as an option, the curve, and the next command.

    Args:
        config: the composed configuration.
        folder: where the files go.
    """
    plain = resolve(config)
    if not (folder / FIND_LR).exists() or not answers(plain, folder):
        write_suggestion(find_lr(plain, folder), folder, plain["optimizer"]["lr"])
    found = read_json(folder / FIND_LR)
    rate = float(found["suggestion"])
    log.info("suggested learning rate: optimizer.lr=%g (currently %g)", rate, plain["optimizer"]["lr"])
    if "lowest" in found:  # not in a search of an earlier version
        log.info(
            "the smoothed training loss falls fastest there, and is lowest at %.2g; one search of %d steps, seed %d",
            found["lowest"], found["steps"], plain["seed"],
        )  # fmt: skip
    log.info("curve: %s and %s", folder / FIGURE, folder / CURVE)
    log.info("next: %s %s", spelled("train"), shlex.join([*_training_words(), f"optimizer.lr={rate:g}"]))
    return rate


def _training_words() -> list[str]:
    """The words that were typed, without those of the search and the rate."""
    from hydra.core.hydra_config import HydraConfig

    typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    return [word for word in typed if not re.match(r"[+~]*(find_lr\.|optimizer\.lr=)", word)]


def answers(config: Mapping[str, Any], folder: Path) -> bool:
    """Whether an earlier result is one of the present data; a warning says why not, or that it was not checked.

    Args:
        config: the resolved configuration.
        folder: with the result.
    """
    before = read_json(folder / FIND_LR).get("data")
    data = make_data(config)
    if getattr(data.source, "formula", False):
        return True
    if before is None:
        log.warning("%s does not say of which data it is: remove it to search again", folder / FIND_LR)
        return True
    try:
        data.setup()
    except DataError as error:
        log.warning("data not checked (%s); the rate is that of an earlier search", " ".join(str(error).split()))
        return True
    if data.fingerprint() == before:
        return True
    log.warning("the data have changed since the search in %s: searching again", folder)
    return False


def find_lr(config: Mapping[str, Any], folder: Path) -> Suggestion:
    """Trains the configured run with Lightning's tuner at rates that increase by a constant factor.

    Initial weights, order and augmentation are those of a run with this configuration. The scheduler is not used, and
    neither are learning-rate factors for parts of the network: all parameters have the rate of the step. There is no
    validation.

    Args:
        config: the resolved configuration as plain containers, with `find_lr`.
        folder: for the tuner's own checkpoint, which it removes.

    Raises:
        ConfigError: the bounds are invalid, the optimiser has no learning rate, or the loss never falls.
        DataError: the data cannot be used.
    """
    low, high, steps = (config["find_lr"][key] for key in ("low", "high", "steps"))
    if not (0 < low < high < math.inf and steps >= FEWEST):
        raise ConfigError(f"find_lr.low={low}, high={high}, steps={steps}: need 0 < low < high and steps >= {FEWEST}")
    if "lr" not in config["optimizer"]:
        raise ConfigError("optimizer has no 'lr', so it has no learning rate; choose another optimizer=...")
    load_libraries()
    import pytorch_lightning as pl

    from tandem.train.checks.shapes import check_shapes
    from tandem.train.class_statistics import prepare
    from tandem.train.run import quieten

    quieten()
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    data = make_data(config)
    module = make_module(config, data.info)
    check_shapes(module, data.info.channels, image_size(config["data"]), config["loader"]["batch_size"])
    trainer = make_trainer(_bare(config, steps), folder)
    data.setup()
    prepare(module, data, folder)
    if config["parameters"]["lr_factors"]:
        log.info("parameters.lr_factors are ignored here: all parameters have the same rate")
    for stray in folder.glob(".lr_find_*.ckpt"):  # left by a search that was killed
        stray.unlink()
    found = suggest(*_search(trainer, module, data, low, high, steps))
    return found._replace(data=data.fingerprint())


def _bare(config: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Returns the configuration without anything that writes or validates, and with enough epochs for all steps."""
    quiet = {
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "num_sanity_val_steps": 0,
        "max_epochs": -1,
        "check_val_every_n_epoch": steps + 1,
        "devices": 1,  # several devices share the batches of one, so the result is the same
    }
    return {**config, "trainer": {**config["trainer"], **quiet}, "callbacks": {}, "logger": {}}


def _search(
    trainer: "pl.Trainer", module: "MultiTaskModule", data: "DataModule", low: float, high: float, steps: int
) -> tuple[list[float], list[float]]:
    """Returns the rates tried, and the mean loss of the batches of each step."""
    from pytorch_lightning.tuner.tuning import Tuner

    seen: dict[float, list[float]] = {}

    def note(_module: Any, _losses: Any, loss: "Tensor") -> None:
        if loss.requires_grad:  # in a training step; the tuner's own values are smoothed and lag behind
            seen.setdefault(trainer.optimizers[0].param_groups[0]["lr"], []).append(float(loss.detach()))

    handle = module.balance.register_forward_hook(note)
    hidden = contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
    try:
        with hidden:  # in a log file, the tuner's progress bar would fill a hundred lines
            tuner = Tuner(trainer)
            # the tuner's early stopping would end a search at the first batch that is harder than the previous ones
            tuner.lr_find(
                module,
                datamodule=data,
                min_lr=low,
                max_lr=high,
                num_training=steps,
                early_stop_threshold=None,
                update_attr=False,
            )
    finally:
        handle.remove()
    return list(seen), [sum(losses) / len(losses) for losses in seen.values()]


def suggest(rates: Sequence[float], losses: Sequence[float]) -> Suggestion:
    """Finds the rate at which the smoothed loss falls fastest, before its minimum.

    The slope is taken with respect to the logarithm of the rate, since the rates increase by a constant factor; with
    respect to the rate itself, as in Lightning 2.6, noise at the smallest rates would dominate. Source: Smith, Cyclical
    Learning Rates, 2017.

    Args:
        rates: the rates tried, increasing by a constant factor.
        losses: the loss at each rate.

    Raises:
        ConfigError: the loss never falls, or there are too few finite losses.

    Example:
        >>> rates = [10 ** (k / 10 - 5) for k in range(50)]
        >>> suggest(rates, [1 / (1 + (rate / 1e-3) ** 2) for rate in rates]).rate
        0.001
    """
    smooth = _smooth(losses)
    if len(smooth) < FEWEST // 2:
        raise ConfigError(f"the loss was finite for only {len(smooth)} steps; lower find_lr.low")
    end = min(range(len(smooth)), key=smooth.__getitem__)
    slopes = {k: smooth[k + 1] - smooth[k - 1] for k in range(WINDOW, end)}  # from the first complete window on
    steepest = min(slopes, key=slopes.__getitem__, default=None)
    if steepest is None or slopes[steepest] >= 0:
        raise ConfigError(
            f"the loss did not fall between find_lr.low={rates[0]:.3g} and {rates[len(smooth) - 1]:.3g}; "
            "change find_lr.low and find_lr.high, or increase find_lr.steps"
        )
    return Suggestion(float(f"{rates[steepest]:.2g}"), list(rates), list(losses), smooth)


def _smooth(losses: Sequence[float]) -> list[float]:
    """Averages over a window around each loss, until it is not finite or exceeds `DIVERGED` times its best value."""
    known = next((k for k, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    windows = (losses[max(0, k - WINDOW) : min(known, k + WINDOW + 1)] for k in range(known))
    means = [sum(window) / len(window) for window in windows]
    best = itertools.accumulate(means, min)
    end = next((k for k, (mean, low) in enumerate(zip(means, best, strict=True)) if 0 < DIVERGED * low < mean), known)
    return means[:end]


def write_suggestion(found: Suggestion, folder: Path, present: float | None = None) -> None:
    """Writes the curve as figure and table, then `find_lr.json`, which marks the search as finished.

    Args:
        found: the suggestion.
        folder: where the files go.
        present: the learning rate of the configuration, for the figure.
    """
    from tandem.find_lr.figure import lowest_at, lr_figure

    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["rate", "loss", "smooth"])
    rest = [math.nan] * (len(found.rates) - len(found.smooth))
    rows.writerows(zip(found.rates, found.losses, [*found.smooth, *rest], strict=True))
    write_text(folder / CURVE, table.getvalue())
    figure = lr_figure(found.rates, found.losses, found.smooth, found.rate, present)
    write_whole(folder / FIGURE, lambda file: figure.savefig(file, format="png", dpi=110, metadata={"Software": None}))
    known = {"suggestion": found.rate, "low": found.rates[0], "high": found.rates[-1]}
    known |= {"lowest": lowest_at(found.rates, found.smooth), "steps": len(found.rates)}
    write_json(folder / FIND_LR, {**known, **({"data": dict(found.data)} if found.data else {})})
