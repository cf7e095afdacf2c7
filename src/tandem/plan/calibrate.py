"""Seconds of training and validation, measured with the drafted plan on the data themselves."""

import logging
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.image_size import millions

log = logging.getLogger(__name__)

STEPS, A_STEP = (6, 40), 40.0
"""Training steps, at least and at most, and seconds of the budget for each: on a machine that others use, few steps say
little. The first two warm up and do not count."""

BEYOND = 1.15
"""What an epoch takes beyond its steps: the threshold search, checkpoints, tables, and a machine that others use."""


def measured(draft: str, name: str, found: Fingerprint) -> dict[str, Any]:
    """The measured fields of a fingerprint: `speed` and `measured`.

    Args:
        draft: the text of the drafted experiment.
        name: of the experiment.
        found: the fingerprint that it was drafted from.
    """
    from tandem.python.config import compose
    from tandem.utils.files import write_text

    with tempfile.TemporaryDirectory(prefix="tandem-plan-") as folder:
        write_text(Path(folder) / "experiment" / f"{name}.yaml", draft)
        config = compose(
            [f"experiment={name}", "logger=none", "data.on_error=skip"][: 3 if "on_error" in found.options else 2],
            folder,
        )
        train, val, side = time_steps(config, Path(folder), steps_of(found.budget))
    share = found.splits.get("val", 0) / max(1, found.train)
    speed = BEYOND * (train + share * val) / millions(side)
    log.info(
        "calibrated: %.3g ms for a training image of %d pixels, %.3g ms for validation", 1e3 * train, side, 1e3 * val
    )
    return {"speed": speed, "measured": True}


def steps_of(budget: float) -> int:
    """Training steps of a calibration.

    Example:
        >>> steps_of(120), steps_of(600), steps_of(28800)
        (6, 15, 40)
    """
    return int(min(STEPS[1], max(STEPS[0], budget / A_STEP)))


def time_steps(config: Mapping[str, Any], folder: Path, steps: int) -> tuple[float, float, int]:
    """Seconds of an image in training and in validation, and the side of the images.

    Args:
        config: of a run.
        folder: for what training writes.
        steps: of training.
    """
    from tandem.factory import make_data, make_module, make_trainer
    from tandem.train.class_statistics import prepare
    from tandem.train.run import quieten
    from tandem.utils.lazy_imports import load_libraries

    quieten()
    load_libraries()
    import pytorch_lightning as pl

    class Watch(pl.Callback):
        def __init__(self) -> None:
            self.at, self.train, self.val = 0.0, list[float](), list[float]()

        def on_train_batch_start(self, *_: Any) -> None:
            self.at = time.perf_counter()

        def on_train_batch_end(self, _t: Any, _m: Any, _o: Any, batch: Any, *_: Any) -> None:
            self.train.append((time.perf_counter() - self.at) / len(batch["image"]))

        def on_validation_batch_start(self, *_: Any) -> None:
            self.at = time.perf_counter()

        def on_validation_batch_end(self, _t: Any, _m: Any, _o: Any, batch: Any, *_: Any) -> None:
            self.val.append((time.perf_counter() - self.at) / len(batch["image"]))

    watch = Watch()
    quiet = {
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "num_sanity_val_steps": 0,
        "max_epochs": 1,
        "limit_train_batches": steps,
        "limit_val_batches": 2,
        "devices": 1,
    }
    bare = {**config, "trainer": {**config["trainer"], **quiet}, "callbacks": {}, "logger": {}}
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    data = make_data(bare)
    module = make_module(bare, data.info)
    trainer = make_trainer(bare, folder, [watch])
    data.setup()
    prepare(module, data, folder)
    trainer.fit(module, datamodule=data)
    side = int(data.splits["train"].images.shape[-1])
    counted = watch.train[2:] or watch.train
    return statistics.median(counted), statistics.median(watch.val or counted), side
