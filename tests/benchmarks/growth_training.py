"""How the cost of training grows: seconds of an image and memory, by size, classes and tasks."""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.benchmarks.harness import Row, growth
from tests.benchmarks.memory import Peak
from tests.benchmarks.step_peers import Clock

import tandem
from tandem.train.run import train

SIZES = (32, 64, 128, 256, 512)
CLASSES = (2, 5, 10, 20, 50, 100)
TASKS = (1, 2, 4, 8)
IMAGES, BATCH, EPOCHS = 32, 8, 4
"""Of one run: its first epoch is not counted, and in its last one memory is measured."""

NOISE = "tests.benchmarks.growth_source"
LIMIT = 1.1


def rows(folder: Path) -> Iterator[Row]:
    """Growth with pixels, classes and tasks.

    Args:
        folder: for the runs.
    """
    with patch.dict(os.environ, {"TANDEM_ALLOW": NOISE}):
        bench = Training(folder)
        yield from grown("size", "pixels", SIZES, [bench.cost(sized(side)) for side in SIZES], squared=True)
        yield from grown("classes of images", "classes", CLASSES, [bench.cost(classes(n)) for n in CLASSES])
        yield from grown("classes of pixels", "classes", CLASSES[1:], [bench.cost(parts(n)) for n in CLASSES[1:]])
        yield from grown("tasks", "tasks", TASKS, [bench.cost(tasks(n)) for n in TASKS])


Cost = tuple[float, float]
"""Milliseconds of an image, and MiB."""


def grown(what: str, unit: str, values: Sequence[int], costs: Sequence[Cost], squared: bool = False) -> Iterator[Row]:
    """A row for time and one for memory."""
    x = [float(value**2 if squared else value) for value in values]
    for place, (name, of) in enumerate((("time of an image", "ms"), ("peak memory", "MiB"))):
        points = [(at, cost[place]) for at, cost in zip(x, costs, strict=True)]
        yield growth(f"{what}: {name} by {unit}", points, of, LIMIT)


class Training:
    """Runs on noise with the network of `experiment=demo`, whatever their configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, count()

    def cost(self, config: Mapping[str, Any]) -> Cost:
        """Of one run: its fastest epoch, since each is short, and the peak of its last one."""
        peak = Peak()
        clock = Clock(peak)
        train(config, self.folder / f"run{next(self.number)}", [clock])
        seconds = min(train for train, _ in clock.epochs[1:-1])
        return 1000 * seconds / int(config["data"].get("train", IMAGES)), peak.mib


def composed(*words: str) -> dict[str, Any]:
    """The configuration of a short run without figures."""
    common = (
        "experiment=tiny", "network.backbone=test_resnet", "augment=none", "callbacks.panels=null",
        f"trainer.max_epochs={EPOCHS}", f"loader.batch_size={BATCH}",
    )  # fmt: skip
    return dict(tandem.compose([*common, *words]))


def noise(size: int, *words: str, **options: int) -> dict[str, Any]:
    """A run on noise."""
    config = composed(*words)
    config["data"] = {"_target_": f"{NOISE}.Noise", "size": size, "train": IMAGES, **options}
    return config


def sized(side: int) -> dict[str, Any]:
    """Both tasks at a size; small images in larger number, since a step has costs of its own."""
    return noise(side, train=max(IMAGES, IMAGES * 128 // side))


def classes(number: int) -> dict[str, Any]:
    """Both tasks with so many classes of images."""
    return noise(64, train=max(IMAGES, 2 * number), count=number)


def parts(number: int) -> dict[str, Any]:
    """A class for each pixel."""
    return noise(64, "task=semantic", mask_count=number)


def tasks(number: int) -> dict[str, Any]:
    """So many segmentations of the same image."""
    config = noise(64, "task=segmentation")
    one = config["tasks"]["segmentation"]
    others = {f"other{place}": copy.deepcopy(one) for place in range(1, number)}
    config["tasks"] |= others
    config["balance"]["weights"] |= dict.fromkeys(others, 1.0)
    return config
