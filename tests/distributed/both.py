"""What two processes compute together, and one alone: `python -m tests.distributed.both RANK FOLDER`.

Rank 0 first computes everything alone. Both then write what they have found together.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError
from torchmetrics.regression import MeanSquaredError as TorchSquaredError

import tandem.balance
from tandem.distributed.gather import is_distributed
from tandem.distributed.metric_states import told_by_all
from tandem.distributed.rows import shared_mean
from tandem.metrics import (
    R2,
    AreaError,
    BinnedAUROC,
    BinnedCalibrationError,
    BrierScore,
    ClassAUROC,
    ClassDice,
    DiceSweep,
    LesionDetection,
    MeanAbsoluteError,
)
from tandem.tasks.output import TaskOutput
from tandem.tasks.task_metrics import TaskMetrics

Found = dict[str, Any]

BALANCES = [name for name in tandem.balance.__all__ if name not in ("Balance", "TorchJD")]

ROWS = (range(4), range(4, 6))
"""Of each process; the second has no target of one of the tasks."""

CLASSES = ("a", "b", "c")


def mean(values: Tensor, known: Tensor) -> Tensor:
    """Of the known values of all devices."""
    total, count = torch.where(known, values, 0.0).sum(), known.sum()
    return shared_mean(total, count) if is_distributed() else total / count


def steps(name: str, mine: range) -> Tensor:
    """The weights after three steps of two tasks on one shared layer, with some rows of the batch."""
    torch.manual_seed(5)
    images, targets = torch.randn(6, 5), torch.randn(2, 6)
    shared, heads = nn.Linear(5, 4), nn.ModuleList([nn.Linear(4, 1), nn.Linear(4, 1)])
    known = torch.tensor([[True] * 6, [True, False, True, True, False, False]])  # of the second task only rank 0's rows
    balance = getattr(tandem.balance, name)(weights={"a": 1.0, "b": 2.0}, tasks=("a", "b"))
    parameters = [*shared.parameters(), *heads.parameters(), *balance.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)

    def losses() -> dict[str, Tensor]:
        hidden = torch.tanh(shared(images[mine]))
        found = [(head(hidden)[:, 0] - targets[task, mine]) ** 2 for task, head in enumerate(heads)]
        return {task: mean(values, known[place, mine]) for place, (task, values) in enumerate(zip("ab", found))}  # noqa: B905

    for step in range(3):
        torch.manual_seed(step)
        optimizer.zero_grad()
        now = losses()
        balance.backward(balance(now), now, parameters)
        if is_distributed() and not isinstance(balance, tandem.balance.gradient_level.GradientBalance):
            for parameter in parameters:  # what DDP does
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= dist.get_world_size()
        optimizer.step()
        balance.after_step(torch.no_grad()(losses))
        balance.on_epoch_end({task: value.detach() for task, value in now.items()})
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


def measured(meters: TaskMetrics, probabilities: Tensor, target: Tensor, mine: range, masks: bool = False) -> Found:
    """The values of a split in batches of one row; a process without rows adds nothing."""
    for row in mine:
        rows = torch.tensor([0])
        loss = probabilities[row].sum()
        losses = {"one": loss, "two": 2 * loss}
        some = TaskOutput(
            probabilities[[row]], target[[row]], losses, rows, torch.zeros(2), losses, ids=(f"image {row}",)
        )
        meters.update(some, torch.tensor([0.5]) if masks else None)
    return meters.compute("val/task")


def metrics(mine: range) -> dict[str, Found]:
    """Metrics of every kind of state, of tasks of every kind of target."""
    generator = torch.Generator().manual_seed(7)
    classes = torch.rand(6, 3, generator=generator, dtype=torch.float64).softmax(1)
    label, answer = torch.tensor([0, 1, 2, 2, 0, 1]), torch.tensor([[1], [0], [1], [0], [0], [1]])
    pixels = torch.rand(6, 1, 12, 12, generator=generator)
    mask = (pixels + torch.rand(pixels.shape, generator=generator) > 1.2).long()
    several: dict[str, Metric] = {
        "accuracy": MulticlassAccuracy(3),
        "ece": MulticlassCalibrationError(3),
        "auroc": ClassAUROC(3),
        "dice": ClassDice(3),
        "brier": BrierScore(3),
    }
    binary: dict[str, Metric] = {"auroc": BinnedAUROC(), "ece": BinnedCalibrationError()}
    numbers: dict[str, Metric] = {"r2": R2(), "mae": MeanAbsoluteError(), "mse": TorchSquaredError()}
    shapes: dict[str, Metric] = {"area": AreaError(), "lesions": LesionDetection()}
    undefined = classes.clone()
    undefined[[1, 4]] = torch.nan  # a row of each process
    whole = TaskMetrics
    return {
        "classes": measured(whole(several, CLASSES), classes, label, mine),
        "yes or no": measured(whole(binary, ("yes",)), classes[:, :1], answer, mine),
        "numbers": measured(whole(numbers, ("x",)), 5 * classes[:, :1], classes[:, 1:2].float(), mine),
        "masks": measured(whole(shapes, ("lesion",)), pixels, mask, mine, masks=True),
        "nothing": measured(whole(several, CLASSES), classes, label, range(0)),
        "undefined": measured(whole(several, CLASSES), undefined, label, mine),
    }


def swept(mine: range) -> Found:
    """The sum of a sweep's states, and none where there was no row."""
    generator = torch.Generator().manual_seed(9)
    p, truth = torch.rand(6, 2, 8, 8, generator=generator), torch.randint(0, 2, (6, 2, 8, 8), generator=generator)
    found: Found = {}
    for aggregate in ("global", "per_image"):
        sweep = DiceSweep(aggregate=aggregate)
        for row in mine:
            sweep.update(p[[row]], truth[[row]])
        told_by_all({"sweep": sweep})
        result = sweep.compute()
        found[aggregate] = [result.dice, result.threshold, result.curve.dice]
    return found


def everything(mine: range, empty: range) -> Found:
    """What is compared.

    Args:
        mine: rows of this process.
        empty: rows of this process where one process has none.
    """
    return {
        "weights": {name: steps(name, mine) for name in BALANCES},
        "metrics": metrics(mine),
        "one-sided": metrics(empty),
        "sweep": swept(mine),
        "one sweep": swept(empty),
    }


def main() -> None:
    """Computes alone, then together."""
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_default_dtype(torch.float64)
    if rank == 0:
        torch.save(everything(range(6), range(6)), folder / "alone.pt")
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    torch.save(everything(ROWS[rank], range(6) if rank else range(0)), folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
