"""Trains, kills, resumes, evaluates, exports and predicts a tiny run, and compares the numbers."""

import logging
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.doctor.section import Line, Section
from tandem.utils.signals import KILL

if TYPE_CHECKING:
    import pytorch_lightning as pl

WORDS = (
    "experiment=tiny", "trainer.max_epochs=2", "data.train=24", "data.val=16", "data.test=16", "logger=none",
    "callbacks.progress=null", "callbacks.panels=null",
)  # fmt: skip
"""A run of a second."""

PATIENCE = 120
"""Seconds until the process that is killed has trained an epoch."""


class StepError(Exception):
    """A step of the self-test gave something else than it should."""


def self_test(folder: Path) -> Section:
    """Returns each step with its seconds; after one that fails, the steps that need it are left out.

    Args:
        folder: an empty one, for the runs.
    """
    steps = _Steps(folder, _configuration(folder))
    lines = []
    for name, step in (
        ("train", steps.train),
        ("kill", steps.kill),
        ("resume", steps.resume),
        ("evaluate", steps.evaluate),
        ("export", steps.export),
        ("predict", steps.predict),
    ):
        start = time.perf_counter()
        fault = _fault(step)
        lines.append(Line(name, f"{time.perf_counter() - start:.1f} s", fault))
        if fault and name in ("train", "kill", "resume"):
            break
    return Section("self-test", lines)


@dataclass
class _Steps:
    """The steps in order; each leaves files that the next one reads."""

    folder: Path
    config: Mapping[str, Any]

    def train(self) -> None:
        """Trains without an interruption."""
        from tandem.train.run import train

        train(self.config, self.folder / "whole")

    def kill(self) -> None:
        """Trains in a process that is killed after an epoch."""
        from tandem.utils.artifacts import LAST, RESULTS

        spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        child = spawn.Process(target=_train_and_die, args=(self.config, self.folder / "killed"))
        child.start()
        child.join(PATIENCE)
        if child.is_alive():
            child.kill()
            raise StepError(f"training did not get through an epoch within {PATIENCE} s")
        killed = self.folder / "killed"
        if not (killed / LAST).exists() or (killed / RESULTS).exists():
            raise StepError(f"exit code {child.exitcode}, and no checkpoint to resume from")

    def resume(self) -> None:
        """Resumes the killed run; its numbers are those of the run without an interruption."""
        from tandem.train.run import train
        from tandem.utils.artifacts import RESULTS
        from tandem.utils.files import read_json

        _compare(train(self.config, self.folder / "killed")["metrics"], read_json(self.folder / "whole" / RESULTS))

    def evaluate(self) -> None:
        """Evaluates the test split; its numbers are those of training."""
        from tandem.evaluate.command import evaluate_run
        from tandem.evaluate.settings import EvaluateSettings
        from tandem.utils.artifacts import RESULTS
        from tandem.utils.files import read_json

        found = evaluate_run(
            EvaluateSettings(
                run=self.folder / "whole", split="test", threshold="stored", batch_size=None, device=None,
                masks=False, cases=0, page=False, samples=100, seed=0, data={},
            )
        )  # fmt: skip
        _compare(found["metrics"], read_json(self.folder / "whole" / RESULTS))

    def export(self) -> None:
        """Exports the network; the command itself compares its probabilities with PyTorch's."""
        from tandem.export.command import export_run

        export_run(self.folder / "whole", "torch", self.folder / "model.pt2")

    def predict(self) -> None:
        """Predicts two images from files."""
        from tandem.predict.command import predict_folder
        from tandem.predict.settings import PredictSettings

        images = self.folder / "images"
        _write_images(self.config["data"], images, 2)
        out = self.folder / "predictions"
        predict_folder(
            PredictSettings(
                runs=(self.folder / "whole",), images=images, out=out, flips=False, overlays=False,
                batch_size=8, device="auto", data={},
            )
        )  # fmt: skip
        rows = (out / "predictions.csv").read_text().splitlines()
        if len(rows) != 3:
            raise StepError(f"{len(rows) - 1} rows for 2 images")


def _configuration(folder: Path) -> dict[str, Any]:
    from tandem.search.overrides import compose_run

    return compose_run([*WORDS, f"runs='{folder}'"])


def _fault(step: Callable[[], None]) -> str:
    try:
        with _quiet():
            step()
    except Exception as error:  # whatever it is, it is the finding
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the log of the steps off the screen: the report has a line for each."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _train_and_die(config: Mapping[str, Any], folder: Path) -> None:
    import pytorch_lightning as pl

    from tandem.train.run import train

    class Kill(pl.Callback):
        """Kills its own process as the second epoch begins."""

        def on_train_epoch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
            if trainer.current_epoch == 1:
                os.kill(os.getpid(), KILL)

    logging.disable(logging.WARNING)
    train(config, folder, [Kill()])


def _compare(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Compares the numbers that both sides have."""
    known = expected["metrics"]
    differing = [key for key in sorted(found.keys() & known.keys()) if not _same(found[key], known[key])]
    if not found.keys() & known.keys():
        raise StepError("no number to compare")
    if differing:
        key = differing[0]
        raise StepError(f"{len(differing)} numbers differ, the first: {key} is {found[key]}, and was {known[key]}")


def _same(one: Any, other: Any) -> bool:
    one, other = (float("nan") if value is None else float(value) for value in (one, other))
    return one == other or (math.isnan(one) and math.isnan(other))


def _write_images(node: Mapping[str, Any], folder: Path, count: int) -> Sequence[Path]:
    from PIL import Image

    from tandem.config.instantiate import build

    folder.mkdir()
    images = build(node, "data").load()["test"].images[:count]
    files = [folder / f"{index}.png" for index in range(count)]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image.movedim(0, -1).squeeze(-1).numpy()).save(file)
    return files
