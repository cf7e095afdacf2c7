"""Running losses and metrics of a task over one split."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from tandem.tasks.kinds.binary import reached
from tandem.tasks.output import TaskOutput
from tandem.tasks.undefined import UndefinedRows


def no_cross_rank_sync() -> bool:
    """What a metric is told of other devices: none, since every device is given the rows of all."""
    return False


class RowMean(Metric):
    """Mean over rows of what is given as means over batches; nan if one of them is nan.

    Torchmetrics' own mean leaves nan out, so that a diverged loss looks healthy, and waits for the device to do so.
    """

    full_state_update = False
    total: Tensor
    rows: Tensor

    def __init__(self) -> None:
        super().__init__(distributed_available_fn=no_cross_rank_sync)
        self.add_state("total", torch.tensor(0.0), "sum")
        self.add_state("rows", torch.tensor(0), "sum")

    def update(self, mean: Tensor, rows: int) -> None:
        """Adds a batch of so many rows by its mean, a scalar, or by several, (K,), in the same order each time."""
        self.total = self.total + mean * rows  # not in place: Lightning's inference mode may have made the tensor
        self.rows = self.rows + rows

    def compute(self) -> Tensor:
        """A scalar, or (K,)."""
        return self.total / self.rows


class TaskMetrics(nn.Module):
    """Adds up batches. Metrics are counted over the split and divided once.

    Losses are the batches' means weighted by their rows: where a loss is not itself a mean over rows (Dice over a
    batch, class weights, partly missing masks) they depend a little on the batch size, as the training loss does.
    A value that no row contributed to is absent, not 0. If a probability of the split is nan, every metric is nan: an
    answer that is not a number is neither right nor wrong.

    Args:
        metrics: metrics by name; clones are kept. One with `needs_mask` sees answers of yes or no, and only where the
            threshold is settled.
        class_names: names of the entries of a metric that gives one value for each class.
    """

    def __init__(self, metrics: Mapping[str, Metric], class_names: Sequence[str]) -> None:
        super().__init__()
        self.losses = RowMean()
        self.names: tuple[str, ...] = ()
        self.undefined = UndefinedRows()
        self.metrics = MetricCollection(
            {name: metric.clone() for name, metric in metrics.items()}, compute_groups=False
        )
        self.class_names = tuple(class_names)
        for part in self.metrics.modules():  # a metric may be made of others
            if isinstance(part, Metric):
                part.distributed_available_fn = no_cross_rank_sync

    def update(self, output: TaskOutput, threshold: Tensor | None = None) -> None:
        """Adds a batch, of the same terms as those before it.

        Args:
            output: of a task.
            threshold: (C,), where it is settled; None while training still moves it.
        """
        values = _losses(output)
        if self.losses.update_called:
            values = {name: values[name] for name in self.names}
        self.names = tuple(values)
        self.losses.update(torch.stack(list(values.values())), len(output.rows))
        self.undefined.see(output)
        probabilities = output.probabilities.nan_to_num(0.0)  # of other libraries' metrics some would raise an error
        for metric in self._metrics().values():
            if not getattr(metric, "needs_mask", False):
                metric.update(probabilities, output.target)
            elif threshold is not None:
                metric.update(reached(probabilities, threshold), output.target)

    def compute(self, where: str = "") -> dict[str, Tensor]:
        """The values by name; empty if nothing was added. Starts anew.

        Args:
            where: `<stage>/<task>`, for a warning of probabilities that are nan.
        """
        found: dict[str, Tensor] = {}
        if self.losses.update_called:
            means = self.losses.compute().view(-1)  # torchmetrics gives one mean of one as a scalar
            found = dict(zip(self.names, means.unbind(), strict=True))
            undefined = self.undefined.found(where)
            for name, metric in self._metrics().items():
                if metric.update_called:
                    value = metric.compute()
                    found |= self._named(name, torch.full_like(value, torch.nan) if undefined else value)
        self.reset()
        return found

    def reset(self) -> None:
        """Forgets what was added."""
        self.losses.reset()
        self.metrics.reset()
        self.undefined.reset()

    def _metrics(self) -> dict[str, Metric]:
        return dict(self.metrics.items())

    def _named(self, name: str, value: Tensor) -> dict[str, Tensor]:
        if value.ndim == 0:
            return {name: value}
        return {f"{name}/{label}": entry for label, entry in zip(self.class_names, value, strict=True)}


def _losses(output: TaskOutput) -> dict[str, Tensor]:
    """The loss, and each of its named terms with and without its weight, under the names that are logged."""
    named = {f"loss/{name}": term.detach() for name, term in output.losses.items() if name}
    bare = {f"loss/{name}/unweighted": term for name, term in output.unweighted.items() if name}
    return {"loss": output.loss.detach(), **named, **bare}
