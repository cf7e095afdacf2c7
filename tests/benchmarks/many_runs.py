"""Many finished runs on disk, made from one that was trained: other hyperparameters, hash and numbers in each."""

import copy
import itertools
import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tandem.config.identity import run_hash
from tandem.utils.artifacts import IDENTITY, RESULTS
from tandem.utils.digests import recorded
from tandem.utils.files import write_json

GAMMA, ALPHA, LEARNING_RATE = "tasks.segmentation.loss.gamma", "tasks.segmentation.loss.alpha", "optimizer.lr"

LARGE = ("*.ckpt", "report.html", ".lock")
"""Files that are not copied; lists and studies do not read them."""

Choices = Callable[[int], Iterator[dict[str, Any]]]
"""Values of options by dotted key, for so many runs."""


def grid(count: int) -> Iterator[dict[str, Any]]:
    """Gamma and alpha of a focal loss, ten seeds each."""
    pairs = itertools.product((0.05 * step for step in range(1, 1 + -(-count // 100))), (0.5 * g for g in range(10)))
    every = ({ALPHA: alpha, GAMMA: gamma, "seed": seed} for (alpha, gamma), seed in itertools.product(pairs, range(10)))
    return itertools.islice(every, count)


def drawn(count: int) -> Iterator[dict[str, Any]]:
    """Learning rate and gamma drawn at random, so that no two runs share a value."""
    chance = random.Random(0)  # noqa: S311  # no secret
    for _ in range(count):
        yield {LEARNING_RATE: 10 ** chance.uniform(-4, -2), GAMMA: chance.uniform(0, 5), "seed": 0}


def write_runs(first: Path, place: Path, count: int, choices: Choices) -> None:
    """Writes runs as training leaves them, but for checkpoints and pages.

    Args:
        first: the folder of a finished run.
        place: the folder of the study.
        count: of runs.
        choices: their hyperparameters.
    """
    results = json.loads((first / RESULTS).read_text(encoding="utf-8"))
    chance = random.Random(1)  # noqa: S311  # no secret
    for number, values in enumerate(choices(count)):
        one = changed(results, values, chance)
        folder = place / one["hash"]
        shutil.copytree(first, folder, ignore=shutil.ignore_patterns(*LARGE))
        identity = json.loads((first / IDENTITY).read_text(encoding="utf-8"))
        with recorded(folder):
            write_json(folder / IDENTITY, {**identity, "hash": one["hash"]})
            write_json(folder / RESULTS, one)
        typed = [f"{key}={value}" for key, value in values.items()]
        write_json(folder / "status.json", {"state": "finished", "sweep": "made", "job": number, "overrides": typed})


def changed(results: Mapping[str, Any], values: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """The results of a run with other hyperparameters, whose numbers scatter."""
    one: dict[str, Any] = copy.deepcopy(dict(results))
    for key, value in values.items():
        *parents, last = key.split(".")
        node = one["config"]
        for parent in parents:
            node = node[parent]
        node[last] = value
    one["seed"], one["hash"] = one["config"]["seed"], run_hash(one["config"])
    one["metrics"] = {
        name: value if value is None else value * chance.uniform(0.9, 1.1) for name, value in one["metrics"].items()
    }
    return one
