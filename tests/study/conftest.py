"""Studies made by hand: `results.json` files as a run leaves them, with numbers that one can follow."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

CONFIG: Mapping[str, Any] = {
    "name": "made",
    "seed": 0,
    "runs": "runs",
    "monitor": "val/segmentation/dice",
    "mode": "max",
    "data": {"_target_": "tandem.data.phantom.Phantom", "size": 32, "seed": 0},
    "augment": {},
    "loader": {"batch_size": 8, "workers": 0},
    "network": {"_target_": "tandem.network.make_network", "decoder": "unet", "decoder_options": {"channels": [8, 4]}},
    "tasks": {
        "classification": {"_target_": "tandem.tasks.ClassificationTask", "loss": {"_target_": "x.CrossEntropy"}},
        "segmentation": {
            "_target_": "tandem.tasks.SegmentationTask",
            "loss": {"_target_": "tandem.losses.binary.Focal", "gamma": 2.0, "alpha": 0.25},
        },
    },
    "balance": {"_target_": "tandem.balance.FixedWeights", "weights": {"classification": 1.0, "segmentation": 1.0}},
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.001},
    "trainer": {"max_epochs": 3, "enable_progress_bar": True},
    "callbacks": {"best": {"monitor": "val/segmentation/dice", "mode": "max"}, "progress": {"show": ["val/loss"]}},
    "logger": {"wandb": {"group": "made"}},
}

Make = Callable[..., Path]


class Maker:
    """Makes runs below one folder: `make({"seed": 1, "tasks.segmentation.loss.gamma": 2.0}, {"test/...": 0.5})`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def __call__(self, changes: Mapping[str, Any], metrics: Mapping[str, Any], **more: Any) -> Path:
        """A finished run.

        Args:
            changes: settings by dotted key; None with a key that ends in `!` removes it.
            metrics: of the run.
            more: further parts of `results.json`; `name`: of its folder.
        """
        config = copy.deepcopy(dict(CONFIG))
        for key, value in changes.items():
            *parents, last = key.rstrip("!").split(".")
            node = config
            for parent in parents:
                node = node.setdefault(parent, {})
            if key.endswith("!"):
                del node[last]
            else:
                node[last] = value
        self.count += 1
        folder = self.folder / str(more.pop("name", f"{self.count:012x}"))
        results = {
            "name": config["name"], "hash": f"{self.count:012x}", "seed": config["seed"], "best_epoch": 1, "epochs": 3,
            "monitor": config["monitor"], "mode": config["mode"], "metrics": dict(metrics), "seconds": 1.5,
            "curves": {}, "data": {"fingerprint": {"train": "a", "val": "b", "test": "c"}}, "config": config, **more,
        }  # fmt: skip
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
        self.status(folder, "finished")
        return folder

    def status(self, folder: Path, state: str, overrides: tuple[str, ...] = (), **more: Any) -> Path:
        """What a job says of itself."""
        folder.mkdir(parents=True, exist_ok=True)
        said = {"state": state, "sweep": "s", "job": 0, "overrides": list(overrides), **more}
        (folder / "status.json").write_text(json.dumps(said), encoding="utf-8")
        return folder

    def grid(self, gammas: tuple[float, ...] = (1.0, 2.0), seeds: int = 2, weights: tuple[float, ...] = (1.0,)) -> Path:
        """Runs over gamma, alpha and weight; Dice is `gamma / 10 + alpha / 10 + weight / 100 + seed / 1000`."""
        for gamma in gammas:
            for alpha in (0.25, 0.5, 0.75):
                for weight in weights:
                    for seed in range(seeds):
                        dice = gamma / 10 + alpha / 10 + weight / 100 + seed / 1000
                        run = self(
                            {
                                "seed": seed, "tasks.segmentation.loss.gamma": gamma,
                                "tasks.segmentation.loss.alpha": alpha, "balance.weights.segmentation": weight,
                            },
                            {
                                "val/segmentation/dice": dice, "test/segmentation/dice": dice - 0.01,
                                "test/segmentation/dice_lesion": dice - 0.02, "val/segmentation/threshold": 0.4,
                                "val/classification/balanced_accuracy": 0.9 - dice / 2,
                                "test/classification/balanced_accuracy": 0.9 - dice / 2 - 0.02,
                                "val/loss": 1 - dice, "test/classification/loss": 0.5,
                            },
                            curves={
                                "val/segmentation": {
                                    "thresholds": [0.2, 0.4, 0.6], "dice_global": [dice - 0.1, dice, dice - 0.05],
                                    "dice_lesion": [dice - 0.1, dice, None],
                                }
                            },
                        )  # fmt: skip
                        lines = [f"{epoch},{dice - 0.1 / (epoch + 1)},{1 / (epoch + 1)}" for epoch in range(3)]
                        text = "\n".join(["epoch,val/segmentation/dice,val/loss", *lines])
                        (run / "metrics.csv").write_text(text + "\n", encoding="utf-8")
        return self.folder


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Makes runs below `runs/made` in `tmp_path`."""
    return Maker(tmp_path / "runs" / "made")
