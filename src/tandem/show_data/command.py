"""Shows what training sees: original and augmented images, masks outlined."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tandem.config.suggest import nearest
from tandem.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from tandem.data.augment import Augment
    from tandem.data.batch import Batch
    from tandem.data.samples import Samples

log = logging.getLogger(__name__)

LIMITS = {"images": (1, 50), "versions": (0, 20), "seed": (0, 2**32 - 1)}


def main() -> None:
    """The command of `scripts/show_data.py`."""
    from tandem.cli import run_tool

    run_tool(show_job, "show_data")


def show_job(config: Mapping[str, Any]) -> None:
    """Draws the figure and logs its path.

    Args:
        config: the resolved configuration of `conf/show_data.yaml`.

    Raises:
        ConfigError: a number is out of range, or the split does not exist.
        DataError: the data cannot be read.
    """
    _check(config)
    from tandem.config.instantiate import build
    from tandem.data.samples import SPLITS, describe_split
    from tandem.show_data.figure import sheet
    from tandem.utils.files import write_whole
    from tandem.utils.outputs import check_file, named
    from tandem.utils.written import writing

    file = check_file(named(config))
    if file.suffix.lower() != ".png":
        raise ConfigError(f"out={file} is to be a figure in PNG; give a name that ends with .png")
    if config["split"] not in SPLITS:
        raise ConfigError(f"split is '{config['split']}': {nearest(config['split'], SPLITS)}")
    with writing(file.parent, "show_data", config["overwrite"], file.name):
        augment = build(config["augment"], "augment") if config["augment"] else None
        source = build(config["data"], "data")
        samples = source.load()[config["split"]]
        log.info("%s, %s", source.name, describe_split(config["split"], samples, source.classes))
        rows = evenly(len(samples), config["images"])
        drawn = sheet(versions(samples, rows, config["versions"], config["seed"], augment), source.classes)
        write_whole(file, lambda place: drawn.savefig(place, format="png", dpi=100, metadata={"Software": None}))
    log.info("%s", file)


def versions(samples: "Samples", rows: "Tensor", count: int, seed: int, augment: "Augment | None") -> "list[Batch]":
    """Returns the batch of some rows without augmentation, then as augmented in each of the first training epochs.

    Args:
        samples: a split.
        rows: indices into it.
        count: number of epochs.
        seed: seed of the run.
        augment: the augmentation; None for none.
    """
    from tandem.data.loading.loading import VisitDataset

    visits = VisitDataset(samples, seed, random=True)
    epochs = [visits.__getitems__((epoch * len(samples) + rows).tolist()) for epoch in range(count)]
    return [samples.take(rows), *(augment(batch) if augment else batch for batch in epochs)]


def evenly(total: int, count: int) -> "Tensor":
    """Returns up to `count` of `total` row indices, evenly spaced, in order.

    Example:
        >>> evenly(10, 5).tolist()
        [1, 3, 5, 7, 9]
        >>> evenly(2, 5).tolist()
        [0, 1]
    """
    import torch

    count = min(total, count)
    return (torch.arange(count) * 2 + 1) * total // (2 * count)


def _check(config: Mapping[str, Any]) -> None:
    for key, (low, high) in LIMITS.items():
        if not low <= config[key] <= high:
            raise ConfigError(f"{key} is {config[key]}, but must lie in {low} to {high}")
