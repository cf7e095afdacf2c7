"""Growth: the exponent b of cost = a x^b, for sizes, classes, tasks, thresholds, images and runs; 1 is linear.

Costs of training are milliseconds of an image in the fastest epoch, and what torch's allocator holds at most; those of
data and studies are seconds of a command or call. Each is measured on its own, so that a busy minute can bend a curve.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from tests.benchmarks import growth_data, growth_studies, growth_training
from tests.benchmarks.harness import Row, growth, seconds

from tandem.metrics import DiceSweep

THRESHOLDS = (11, 101, 1001, 10001)
SHAPE = (50, 1, 128, 128)


def rows() -> list[Row]:
    """All curves."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            *growth_training.rows(folder / "training"),
            *threshold_rows(),
            *growth_data.rows(folder),
            *growth_studies.rows(folder),
        ]


def threshold_rows() -> Iterator[Row]:
    """The search for the best threshold on one batch."""
    chance = torch.Generator().manual_seed(0)
    target = (torch.rand(SHAPE, generator=chance) < 0.2).to(torch.uint8)
    p = torch.sigmoid(4 * target - 3 + 1.5 * torch.randn(SHAPE, generator=chance))

    def best(count: int) -> object:
        metric = DiceSweep((torch.arange(1, count + 1) / (count + 1)).tolist())
        metric.update(p, target)
        return metric.compute()

    taken = seconds({str(count): lambda count=count: best(count) for count in THRESHOLDS}, repeats=5)  # type: ignore[misc]
    points = [(count, 1000 * taken[str(count)]) for count in THRESHOLDS]
    yield growth("thresholds: time of a sweep by thresholds", points, "ms", growth_training.LIMIT)
