"""What a balance is: named task losses to one number, and that number's gradients."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn


class Balance(nn.Module, ABC):
    """Weighs tasks against each other, by their losses or by their gradients.

    A balance sees the tasks that have a target in a step, and no others. What it learns or remembers is a parameter or
    a buffer, so that it is in the checkpoint and a resumed run is an unbroken one.
    """

    @abstractmethod
    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Named scalar losses to the scalar that is logged and, at the level of losses, minimised.

        Args:
            losses: of the tasks that have a target in this step; at least one.
        """

    def backward(self, loss: Tensor, losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]) -> None:
        """Adds this step's gradients to `.grad` of every parameter.

        Args:
            loss: what `forward` gave, times whatever Lightning scales it by (accumulation, half precision).
            losses: what `forward` was given.
            shared: the network's parameters; those that more than one task reaches are where tasks can be in conflict.
        """
        loss.backward()  # type: ignore[no-untyped-call]
