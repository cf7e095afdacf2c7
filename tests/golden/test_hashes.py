"""The name of a run's folder must not change while the code does: old runs would no longer be found."""

import json
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from tandem.config.identity import run_hash
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder

GOLDEN = Path(__file__).parent / "hashes.json"
PATHS = ["data.root=/data/Dataset_BUSI_with_GT"]
SUBSET = ["data.subset=/data/curated_busi.csv"]
EXPERIMENTS = sorted(path.stem for path in (config_folder() / "experiment").glob("*.yaml"))

OTHERS = {
    "default": [],
    "one task": ["task=[segmentation]"],
    "loss and weight": ["loss/binary@tasks.segmentation.loss=focal", "balance.weights.segmentation=2"],
    "yes/no": ["task=[segmentation,yes_no]", "monitor=val/yes_no/f1", "mode=max"],  # as of the last task, in 0.1.0
    "yes/no first": ["task=[yes_no,segmentation]"],
    "network": ["network=fpn", "network.backbone=resnet18", "augment=light", "scheduler=cosine"],
    "averaged": ["callbacks=ema", "callbacks.average.decay=0.99"],
    "balance": ["balance=upgrad", "penalties=[l1,l2]"],
    "stopped": ["callbacks=early_stopping", "callbacks.collapse.stop=true"],
    "adversary": ["adversary@tasks.segmentation.adversary=non_saturating"],
    "folder": ["data=folder", "data.root=/data/folder"],
    "mixed": [
        "data=mixed",
        "+data.sources.a._target_=tandem.data.folder.Folder",
        "+data.sources.a.root=/data/folder",
    ],
}
"""Further command lines, by a name of their own."""


def overrides() -> dict[str, list[str]]:
    """What is typed, by the name of each golden hash."""
    busi = {name: [*PATHS, *SUBSET] if name.startswith("curated") else PATHS for name in EXPERIMENTS if "busi" in name}
    return {**{f"experiment={name}": [f"experiment={name}", *busi.get(name, [])] for name in EXPERIMENTS}, **OTHERS}


def hash_of(words: list[str]) -> str:
    """The hash of a command line."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return run_hash(resolve(compose("train", words)))


@pytest.mark.parametrize("name", overrides())
def test_a_run_keeps_its_name(name: str) -> None:
    known = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert name in known, "a new experiment: python -m tests.golden.test_hashes adds it"
    assert hash_of(overrides()[name]) == known[name]


if __name__ == "__main__":  # adds what is new; what is there stays as it is
    known = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    added = {name: hash_of(words) for name, words in overrides().items() if name not in known}
    GOLDEN.write_text(json.dumps({**known, **added}, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"added {len(added)}\n")
