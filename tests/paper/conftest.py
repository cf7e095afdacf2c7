"""Papers made by hand: a yaml as plain containers, runs with rows per image that one can follow."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tandem.paper.jobs import PaperJob
from tandem.paper.outcome import Outcome, read_outcome
from tandem.paper.plan import Paper
from tandem.paper.reading import read_paper

COUNTS = "known,area_true,area_predicted,intersection,area_predicted_at_0.5,intersection_at_0.5"

Image = tuple[str, int, int, int, str]
"""True class, pixels of the true mask, pixels that were drawn, pixels that are both, predicted class."""


def node() -> dict[str, Any]:
    """A paper with one table of named rows."""
    return {
        "name": "made",
        "title": "Made",
        "budgets": {"small": {"about": "no budget at all", "overrides": ["trainer.max_epochs=1"]}},
        "studies": {"one": ["experiment=tiny", "seed=0,1"]},
        "refine": {"_target_": "tandem.refine.Consistency", "normal": "normal"},
        "tables": {
            "main": {
                "title": "Main",
                "rows": {
                    "seg": {"label": "Seg", "runs": {"task": "seg"}},
                    "cls": {"label": "Cls", "runs": {"task": "cls"}},
                    "two": {
                        "label": "Two",
                        "runs": {"task": "seg"},
                        "classes_from": {"task": "cls"},
                        "refine": True,
                    },
                },
                "columns": {
                    "dice": {"label": "DSC", "measure": "dice"},
                    "accuracy": {"label": "ACC", "measure": "accuracy"},
                    "loss": {"label": "loss", "metric": "test/loss", "digits": 2},
                },
                "baseline": "seg",
                "published": {"source": "a paper", "n": 4, "rows": {"seg": {"dice": [0.5, 0.1]}}},
            }
        },
        "figures": {"main": {"table": "main", "columns": ["dice"]}},
    }


class Maker:
    """Makes the runs of a paper below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: list[PaperJob] = []

    def job(self, task: str, seed: int) -> PaperJob:
        """A job that has not run."""
        place = f"made/{len(self.jobs):012x}"
        self.jobs.append(
            PaperJob("one", ("experiment=tiny", f"task={task}", f"seed={seed}"), {"data": "phantom"}, place)
        )
        return self.jobs[-1]

    def run(self, task: str, seed: int, images: Sequence[Image], loss: float = 0.5, **settings: float) -> PaperJob:
        """A finished one with its rows per image; the threshold is 0.3, nothing reaches 0.5; settings: of the task."""
        job = self.job(task, seed)
        folder = self.folder / job.place
        (folder / "evaluation" / "test").mkdir(parents=True)
        results = {
            "name": "made", "hash": job.hash, "seed": seed, "monitor": "val/loss", "mode": "min", "seconds": 2.0,
            "metrics": {"test/loss": loss, "test/s/dice": None}, "thresholds": {"s": [0.3]}, "best_epoch": 0,
            "threads": 1, "device": "x86_64", "platform": "linux", "versions": {"torch": "2"},
            "git": {"commit": "c", "changed": False}, "data": {"name": "made", "fingerprint": {"test": "f"}},
            "config": {"seed": seed, "data": {"size": 8}, "tasks": {task: settings}},
        }  # fmt: skip
        (folder / "results.json").write_text(json.dumps(results))
        (folder / "status.json").write_text(json.dumps({"state": "finished", "overrides": list(job.overrides)}))
        with (folder / "evaluation" / "test" / "images.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            masks = [f"s.{name}" for name in ("threshold", *COUNTS.split(","))] if "seg" in task else []
            classes = ["c.true", "c.predicted"] if "cls" in task else []
            writer.writerow(["id", "class", *masks, *classes])
            for number, (label, true, drawn, hits, predicted) in enumerate(images):
                cells = [0.3, 64, true, drawn, hits, 0, 0] if masks else []
                writer.writerow([f"{number}.png", label, *cells, *([label, predicted] if classes else [])])
        return job

    def outcome(self) -> Outcome:
        """What became of all jobs."""
        return read_outcome(self.jobs, self.folder)


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Makes runs below `runs` in `tmp_path`."""
    return Maker(tmp_path / "runs")


@pytest.fixture
def paper() -> Callable[..., Paper]:
    """Reads the paper that was made by hand after a change: `paper(lambda node: ...)`."""

    def read(change: Callable[[dict[str, Any]], object] = lambda node: None) -> Paper:
        made = node()
        change(made)
        return read_paper(made)

    return read


@pytest.fixture
def paper_node() -> dict[str, Any]:
    """The same as plain containers."""
    return node()
