"""The threshold sweep: 200 images of 256 x 256 pixels, against torchmetrics, plain comparisons and one read.

The compiled loop reads each value once; how many reads its time amounts to has a bar. All other rows are without it.
"""

from collections.abc import Callable, Iterator
from unittest.mock import patch

import torch
from tests.benchmarks.harness import Row, at_least, at_most, not_measured, seconds
from torch import Tensor
from torchmetrics.classification import BinaryPrecisionRecallCurve

from tandem.metrics import DiceSweep, histogram, logit_thresholds
from tandem.metrics.compiled_counts import CompiledCounts, compiled_loop

IMAGES, SIDE, BATCH = 200, 256, 50
GRID = [round(0.1 + 0.01 * index, 9) for index in range(81)]
FINE = (torch.arange(1, 1002) / 1002).tolist()

READS = 6
"""How often the compiled sweep might have read its inputs in its time, at most."""


def rows() -> list[Row]:
    """Times alternate; each figure is a median, and a sweep ends with the chosen threshold and its Dice."""
    p, target = inputs()
    with patch.object(histogram, "COMPILED", in_blocks()):
        return [*block_rows(p, target), *compiled_rows(p, target)]


def inputs() -> tuple[Tensor, Tensor]:
    """Probabilities and masks."""
    generator = torch.Generator().manual_seed(0)
    shape = (IMAGES, 1, SIDE, SIDE)
    target = (torch.rand(shape, generator=generator) < 0.2).to(torch.uint8)
    # peaked near 0 and 1, as those of a trained network are, which is the harder case for counting
    p = torch.sigmoid(4 * target - 3 + 1.5 * torch.randn(shape, generator=generator))
    return p, target


def in_blocks() -> CompiledCounts:
    """As if numba could not compile."""
    counts = CompiledCounts()
    counts.failed = True
    return counts


def block_rows(p: Tensor, target: Tensor) -> list[Row]:
    """The sweep as tensors do it."""
    wide, yes = target.long(), target.bool()
    taken = seconds(
        {
            "81": lambda: sweep(p, target, GRID),
            "1001": lambda: sweep(p, target, FINE),
            "per image": lambda: sweep(p, target, GRID, "per_image"),
            "exact": lambda: sweep(p, target, logit_thresholds().tolist()),
            "one read": lambda: (p.sum(), target.view(torch.int64).sum()),
            "copy": lambda: (p.clone(), target.clone()),
        },
        repeats=15,
    )
    slow = seconds(
        {
            "torchmetrics' curve": lambda: torchmetrics_curve(p, wide),
            "81 comparisons": lambda: comparisons(p, yes),
            "81": lambda: sweep(p, target, GRID),
        },
        repeats=3,
    )
    ours, again = 1000 * taken["81"], 1000 * slow["81"]
    return [
        at_least("81 thresholds", again, "torchmetrics' curve", 1000 * slow["torchmetrics' curve"], 10),
        at_least("81 thresholds", again, "81 comparisons", 1000 * slow["81 comparisons"], 40),
        at_most("1001 thresholds", 1000 * taken["1001"], {"ours with 81": ours}, 1.5),
        at_most("81 thresholds, images apart", 1000 * taken["per image"], {"ours with 81": ours}, 1.5),
        aim("2401 logit-spaced thresholds", 1000 * taken["exact"], "ours with 81", ours),
        aim("81 thresholds", ours, "one read of the inputs", 1000 * taken["one read"]),
        aim("81 thresholds", ours, "one copy of the inputs", 1000 * taken["copy"]),
        *memory(p, target),
    ]


def compiled_rows(p: Tensor, target: Tensor) -> Iterator[Row]:
    """The compiled loop against tensors, and against one read."""
    what = "81 thresholds, compiled"
    counts = CompiledCounts()
    try:
        counts.loop = compiled_loop()
    except ImportError:
        yield not_measured(what, "blocks", "needs the package numba")
        return

    def compiled(*options: str) -> Callable[[], object]:
        def timed() -> object:
            with patch.object(histogram, "COMPILED", counts):
                return sweep(p, target, GRID, *options)

        return timed

    if compiled()() != sweep(p, target, GRID):
        raise AssertionError("the compiled loop finds another threshold")
    taken = seconds(
        {
            "compiled": compiled(),
            "compiled, images apart": compiled("per_image"),
            "blocks": lambda: sweep(p, target, GRID),
            "one read": lambda: (p.sum(), target.view(torch.int64).sum()),
        },
        repeats=15,
    )
    read = {"one read of the inputs": 1000 * taken["one read"]}
    yield at_least(what, 1000 * taken["compiled"], "blocks", 1000 * taken["blocks"], 1)
    yield at_most(what, 1000 * taken["compiled"], read, READS)
    yield at_most(f"{what}, images apart", 1000 * taken["compiled, images apart"], read, READS)


def sweep(p: Tensor, target: Tensor, thresholds: list[float], aggregate: str = "global") -> tuple[float, float]:
    """The best threshold and its Dice, from batches."""
    metric = DiceSweep(thresholds, aggregate=aggregate)  # type: ignore[arg-type]
    for start in range(0, IMAGES, BATCH):
        metric.update(p[start : start + BATCH], target[start : start + BATCH])
    result = metric.compute()
    return float(result.threshold), float(result.dice)


def torchmetrics_curve(p: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Precision and recall at the same thresholds; checks of its input off."""
    metric = BinaryPrecisionRecallCurve(thresholds=GRID, validate_args=False)
    for start in range(0, IMAGES, BATCH):
        metric.update(p[start : start + BATCH], target[start : start + BATCH])
    return metric.compute()


def comparisons(p: Tensor, yes: Tensor) -> Tensor:
    """Dice at each threshold, one after the other."""
    positives = yes.sum()
    found = []
    for threshold in GRID:
        answer = p >= threshold
        found.append(2 * (answer & yes).sum() / (answer.sum() + positives))
    return torch.stack(found)


def memory(p: Tensor, target: Tensor) -> list[Row]:
    """What is kept after all batches, in KiB."""
    whole, apart = DiceSweep(GRID), DiceSweep(GRID, aggregate="per_image")
    for metric in (whole, apart):
        metric.update(p, target)
    kept = [sum(part.numel() * part.element_size() for part in metric.counted) / 1024 for metric in (whole, apart)]
    inputs = (p.numel() * p.element_size() + target.numel()) / 1024
    return [
        at_most("state", kept[0], {"inputs": inputs}, 0.001, "KiB"),
        at_most("state, images apart", kept[1], {"inputs": inputs}, 0.01, "KiB"),
    ]


def aim(what: str, ours: float, peer: str, theirs: float) -> Row:
    """A ratio ours / theirs without a bar."""
    return Row(what, f"{ours:.3g} ms", f"{peer} {theirs:.3g} ms", ours / theirs)
