"""Fits the decisions of a run on its validation data, once training has ended."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.decisions.asked import Asked, read_asked
from tandem.utils.artifacts import BEST

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule


def check_decide(config: Mapping[str, Any], module: "MultiTaskModule") -> None:
    """Raises before the data are read if no task can be decided as the option `decide` says.

    Args:
        config: the resolved configuration.
        module: the module of the run.

    Raises:
        ConfigError: it needs masks, probabilities or thresholds that no task has, or a library is missing.
    """
    from tandem.runs.decisions import check_asked, wanted_of

    asked = _asked(config)
    check_asked(module, asked, wanted_of(module, asked, None))


def fit_decisions(
    config: Mapping[str, Any], trainer: "pl.Trainer", module: "MultiTaskModule", data: "DataModule", folder: Path
) -> dict[str, Any]:
    """Fits the decisions, and stores them in the best checkpoint; by default there are none.

    Args:
        config: the resolved configuration.
        trainer: the trainer of the run.
        module: with the best checkpoint's weights and thresholds, which stay.
        data: the data module; its validation split is read.
        folder: the run's folder, with the checkpoint.

    Returns:
        What `results.json` says of them: `decisions` by task, and in words `decided`; empty if there are none.
    """
    from tandem.callbacks import ThresholdSweep
    from tandem.callbacks.checkpoint_files import CheckpointFiles
    from tandem.data.loading.loading import loader
    from tandem.runs.decisions import KEY, Validation, fit, plain, wanted_of

    asked = _asked(config)
    if asked == Asked():
        return {}
    val, size = data.splits["val"], config["loader"]["batch_size"]

    def batches() -> Iterable[Mapping[str, Any]]:
        return loader(val, size, workers=0, seed=0, train=False)

    sweeps = [one for one in trainer.callbacks if isinstance(one, ThresholdSweep)]  # type: ignore[attr-defined]
    module.to(trainer.strategy.root_device)
    sweep = sweeps[0] if sweeps else ThresholdSweep()
    validation = Validation(batches, len(val), sweep, trainer.precision_plugin.forward_context)
    decisions = fit(module, validation, asked, wanted_of(module, asked, None), {})
    found = plain(decisions)
    files = CheckpointFiles()
    checkpoint = files.load_checkpoint(folder / BEST)
    files.save_checkpoint({**checkpoint, KEY: found}, folder / BEST)
    said = {name: str(decisions[name]) for name in found}
    return {"decisions": found, "decided": said} if found else {}


def _asked(config: Mapping[str, Any]) -> Asked:
    return read_asked(config.get("decide", "threshold"), stored=False) or Asked()
