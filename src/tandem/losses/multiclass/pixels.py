"""Multiclass losses that are computed for each row or pixel separately."""

from collections.abc import Sequence
from math import inf
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tandem.errors import ConfigError
from tandem.losses import functional
from tandem.losses.contract import MulticlassLoss
from tandem.losses.data_dependent import DataDependentLoss, balanced_weights
from tandem.losses.reduce import masked_mean, means_are_own
from tandem.losses.validation import class_count, class_weights, number


class ClassWeighted(MulticlassLoss, DataDependentLoss):
    """Base of the losses with a weight for each class: given, none, or `balanced` over the training targets."""

    def take_weights(self, option: str, given: Sequence[float] | str | None) -> None:
        """Keep the option as a buffer, (C,) or None.

        Raises:
            tandem.errors.ConfigError: a string other than `balanced`, or invalid weights.
        """
        if given == "balanced":
            self.defer(option)
        elif isinstance(given, str):
            raise ConfigError(f"{option} = {given!r} is unknown; use balanced, one number for each class, or null")
        else:
            weights = class_weights(option, given)
            # Not in checkpoints: the configuration holds it.
            self.register_buffer(option, None if weights is None else torch.tensor(weights), persistent=False)

    def weights_for(self, option: str, logits: Tensor) -> Tensor | None:
        """The weights in the logits' precision, or None where there are none.

        Raises:
            tandem.errors.ConfigError: their number is not the number of classes, or they have not been computed.
        """
        weights = self.resolved(option) if self.deferred else getattr(self, option)
        if weights is None:
            return None
        class_count(option, weights, logits.shape[1])
        found: Tensor = weights.to(logits)
        return found

    def from_counts(self, counts: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, float]]:
        """The weights n / (C n_c)."""
        return balanced_weights(str(self.deferred), counts, names)


class CrossEntropy(ClassWeighted):
    """Softmax cross-entropy: sum of [-(1 - e) w_y log p_y - (e / C) sum_c w_c log p_c] / sum of w_y.

    Both sums run over what has a target. p: softmax of the logits over the C classes. y: target. w: class weights, 1
    if none. e: label smoothing. As in torch, the weighted sum is divided by the weights of the targets, not by their
    number; if these weights are all 0, the value is 0. Shapes and errors: `MulticlassLoss`.

    Source: Good, Rational Decisions, 1952 (the logarithmic score); label smoothing: Szegedy et al., Rethinking the
    Inception Architecture, 2016.

    Args:
        weight: one weight for each class, none below 0; None for none. A number of weights that is not the number of
            classes is refused in the first call. `balanced`: n / (C n_c) for the n training targets, n_c of class c,
            once `resolve` was called.
        label_smoothing: share of the target that is spread over all classes, in [0, 1].

    Example:
        >>> CrossEntropy()(torch.zeros(2, 4), torch.tensor([1, -100]))
        tensor(1.3863)
    """

    weight: Tensor | None

    def __init__(
        self, weight: Sequence[float] | Literal["balanced"] | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.take_weights("weight", weight)
        self.label_smoothing = number("label_smoothing", label_smoothing, 0.0, 1.0, "0 is none, 0.1 is usual")

    by_rows = True  # a ratio of two means

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """The weighted mean."""
        weight = self.weights_for("weight", logits)
        if valid is None and target.numel() and weight is None and means_are_own():
            # torch's own mean is the fastest; of nothing it would be NaN, and so with weights that are all 0
            return F.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
        if weight is None and self.label_smoothing == 0:
            return masked_mean(functional.cross_entropy(logits, target), valid)
        element = F.cross_entropy(logits, target, weight, reduction="none", label_smoothing=self.label_smoothing)
        mean = masked_mean(element, valid)
        return mean if weight is None else _ratio(mean, masked_mean(weight[target], valid))


def _ratio(mean: Tensor, weight: Tensor) -> Tensor:
    # A mean weight of 0 means that nothing counts: 0 / 1 rather than torch's 0 / 0.
    return mean / torch.where(weight > 0, weight, 1.0)


class Focal(ClassWeighted):
    """Softmax focal loss: the mean of -a_y (1 - p_y)^gamma log p_y over what has a target.

    p: softmax of the logits over the C classes (not one sigmoid for each class, as in some libraries). y: target. a:
    class weights, 1 if none; unlike in `CrossEntropy` the mean is over the number of targets, as in the binary focal
    loss. gamma = 0 without alpha is the cross-entropy. Value and gradient are finite for every gamma, also where p_y
    rounds to 1. Shapes and errors: `MulticlassLoss`.

    Source: Lin et al., Focal Loss for Dense Object Detection (RetinaNet), 2017, with softmax for sigmoid.

    Args:
        gamma: focusing, at least 0.
        alpha: one weight for each class, none below 0; None for none. A number of weights that is not the number of
            classes is refused in the first call. `balanced`: see `CrossEntropy`.

    Example:
        >>> Focal(gamma=1)(torch.zeros(1, 2), torch.tensor([1]))
        tensor(0.3466)
    """

    alpha: Tensor | None

    def __init__(self, gamma: float = 2.0, alpha: Sequence[float] | Literal["balanced"] | None = None) -> None:
        super().__init__()
        self.gamma = number("gamma", gamma, 0.0, inf, "0 is plain cross-entropy, 2 is usual")
        self.take_weights("alpha", alpha)

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """-a_y (1 - p_y)^gamma log p_y."""
        focal = functional.softmax_focal(logits, target, self.gamma)
        alpha = self.weights_for("alpha", logits)
        return focal if alpha is None else focal * alpha[target]


class Poly(MulticlassLoss):
    """PolyLoss (Poly-1): the mean of -log p_y + epsilon (1 - p_y) over what has a target.

    p: softmax of the logits over the C classes. y: target. The cross-entropy is the sum over j of (1 - p_y)^j / j;
    epsilon changes the weight of its first term. epsilon = 0 is the cross-entropy; above 0, answers that are right but
    uncertain get a larger gradient. Shapes and errors: `MulticlassLoss`.

    Source: Leng et al., PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions, 2022.

    Args:
        epsilon: at least -1; below, correct answers would be penalised where p_y is near 1. The paper uses 2 for
            images.

    Example:
        >>> Poly(epsilon=1)(torch.zeros(1, 2), torch.tensor([1]))
        tensor(1.1931)
    """

    def __init__(self, epsilon: float = 2.0) -> None:
        super().__init__()
        self.epsilon = number("epsilon", epsilon, -1.0, inf, "0 is cross_entropy, 2 is usual")

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """-log p_y + epsilon (1 - p_y)."""
        cost = functional.cross_entropy(logits, target)
        return cost - self.epsilon * torch.expm1(-cost)


class Hinge(MulticlassLoss):
    """Multiclass hinge loss: the mean of max(0, 1 + max over c != y of z_c - z_y) over what has a target.

    z: logits. y: target. An answer that beats every other class by a margin of 1 has the loss 0 and no gradient;
    the probabilities are thus not calibrated. Shapes and errors: `MulticlassLoss`.

    Source: Crammer & Singer, On the Algorithmic Implementation of Multiclass Kernel-Based Vector Machines, 2001.

    Example:
        >>> Hinge()(torch.tensor([[0.5, 0.25, -1.0]]), torch.tensor([0]))
        tensor(0.7500)
    """

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """max(0, 1 + max over c != y of z_c - z_y)."""
        answer = target.unsqueeze(1)
        classes = torch.arange(logits.shape[1], device=logits.device).view(-1, *[1] * (logits.ndim - 2))
        rival = torch.where(classes == answer, -torch.inf, logits).amax(1)
        return torch.relu(1 + rival - logits.gather(1, answer).squeeze(1))
