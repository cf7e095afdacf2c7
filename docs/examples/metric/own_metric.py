"""A metric: volumetric similarity of the predicted and the true foreground (Taha and Hanbury, 2015)."""

import torch
from torch import Tensor
from torchmetrics import Metric


class VolumetricSimilarity(Metric):
    """`1 - |P - T| / (P + T)` with the sums P of probabilities and T of foreground over the whole split."""

    higher_is_better = True
    full_state_update = False
    predicted: Tensor
    true: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predicted", torch.tensor(0.0, dtype=torch.float64), "sum")
        self.add_state("true", torch.tensor(0.0, dtype=torch.float64), "sum")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch; 255 marks an unknown pixel."""
        known = target != 255
        self.predicted = self.predicted + probabilities[known].double().sum()
        self.true = self.true + target[known].double().sum()

    def compute(self) -> Tensor:
        """A scalar; nan where nothing is foreground and nothing was predicted."""
        return 1 - (self.predicted - self.true).abs() / (self.predicted + self.true)
