"""Running losses and metrics of a task over one split."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from tandem.tasks.output import TaskOutput


class RowMean(Metric):
    """Mean over rows of what is given as means over batches; nan if one of them is nan.

    Torchmetrics' own mean leaves nan out, so that a diverged loss looks healthy, and waits for the device to do so.
    """

    full_state_update = False
    total: Tensor
    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), "sum")
        self.add_state("rows", torch.tensor(0), "sum")

    def update(self, mean: Tensor, rows: int) -> None:
        """Adds a batch of so many rows by its mean, a scalar."""
        self.total = self.total + mean * rows  # not in place: Lightning's inference mode may have made the tensor
        self.rows = self.rows + rows

    def compute(self) -> Tensor:
        """A scalar."""
        return self.total / self.rows


class Meters(nn.Module):
    """Adds up batches. Metrics are counted over the split and divided once.

    Losses are the batches' means weighted by their rows: where a loss is not itself a mean over rows (Dice over a
    batch, class weights, partly missing masks) they depend a little on the batch size, as the training loss does.
    A value that no row contributed to is absent, not 0.

    Args:
        terms: names of the loss's terms.
        metrics: metrics by name; clones are kept.
        class_names: names of the entries of a metric that gives one value for each class.
    """

    def __init__(self, terms: Sequence[str], metrics: Mapping[str, Metric], class_names: Sequence[str]) -> None:
        super().__init__()
        self.losses = nn.ModuleDict({name: RowMean() for name in ("loss", *(f"loss/{term}" for term in terms))})
        self.metrics = MetricCollection(
            {name: metric.clone() for name, metric in metrics.items()}, compute_groups=False
        )
        self.class_names = tuple(class_names)

    def update(self, output: TaskOutput) -> None:
        """Adds a batch."""
        values = {"loss": output.loss, **{f"loss/{name}": term for name, term in output.losses.items() if name}}
        for name, meter in self._loss_meters():
            meter.update(values[name].detach(), len(output.rows))
        self.metrics.update(output.probabilities, output.target)

    def compute(self) -> dict[str, Tensor]:
        """The values by name; empty if nothing was added. Starts anew."""
        found: dict[str, Tensor] = {}
        if all(meter.update_called for _, meter in self._loss_meters()):
            found = {name: meter.compute() for name, meter in self._loss_meters()}
            for name, value in self.metrics.compute().items():
                found |= self._named(name, value)
        self.reset()
        return found

    def reset(self) -> None:
        """Forgets what was added."""
        for _, meter in self._loss_meters():
            meter.reset()
        self.metrics.reset()

    def _loss_meters(self) -> Iterator[tuple[str, RowMean]]:
        for name, meter in self.losses.items():
            yield name, cast("RowMean", meter)

    def _named(self, name: str, value: Tensor) -> dict[str, Tensor]:
        if value.ndim == 0:
            return {name: value}
        return {f"{name}/{label}": entry for label, entry in zip(self.class_names, value, strict=True)}
