"""Objectives of discriminator and network: losses of the discriminator's scores."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from tandem.losses.validation import number

Score = Callable[[Tensor], Tensor]
"""A discriminator with its images given: masks (N, C, H, W) to scores (N, 1, h, w), high for masks judged true."""


class Objective(ABC):
    """Two losses of scores, both to be minimised: the discriminator's and the network's.

    Scores are logits, (N, 1, h, w), one for each patch of an image; losses are means over patches and images.
    """

    @abstractmethod
    def discriminator(self, true: Tensor, predicted: Tensor) -> Tensor:
        """What the discriminator minimises.

        Args:
            true: scores of the true masks.
            predicted: scores of the predicted masks of the same images.

        Returns:
            A scalar.
        """

    @abstractmethod
    def network(self, predicted: Tensor) -> Tensor:
        """What the network minimises, a scalar; only the predicted masks' scores depend on it."""

    def penalty(self, score: Score, true: Tensor, predicted: Tensor) -> Tensor:
        """What is added to the discriminator's loss to keep it smooth, a scalar; by default 0.

        Args:
            score: the discriminator.
            true: true masks, (N, C, H, W).
            predicted: predicted masks of the same images, in [0, 1].
        """
        return true.new_zeros(())


class Standard(Objective):
    """The minimax objective of the first GANs.

    discriminator: mean of -log D(true) - log(1 - D(predicted)); network: mean of log(1 - D(predicted)), with D the
    sigmoid of the score. Where the discriminator wins, the network's gradient vanishes. The network's value is at most
    0, and falls without bound while the discriminator is fooled.

    Source: Goodfellow et al., Generative Adversarial Nets, 2014; on masks: Luc et al., Semantic Segmentation using
    Adversarial Networks, 2016.

    Example:
        >>> undecided = torch.zeros(1, 1, 1, 1)
        >>> Standard().discriminator(undecided, undecided), Standard().network(undecided)
        (tensor(1.3863), tensor(-0.6931))
    """

    def discriminator(self, true: Tensor, predicted: Tensor) -> Tensor:
        """Mean of -log D(true) - log(1 - D(predicted))."""
        return F.softplus(-true).mean() + F.softplus(predicted).mean()

    def network(self, predicted: Tensor) -> Tensor:
        """Mean of log(1 - D(predicted))."""
        return -F.softplus(predicted).mean()


class NonSaturating(Standard):
    """The usual objective: the network's gradient is largest where the discriminator wins.

    discriminator: as in `Standard`; network: mean of -log D(predicted).

    Source: Goodfellow et al., Generative Adversarial Nets, 2014, section 3; recommended for masks by Luc et al., 2016.

    Example:
        >>> NonSaturating().network(torch.zeros(1, 1, 1, 1))
        tensor(0.6931)
    """

    def network(self, predicted: Tensor) -> Tensor:
        """Mean of -log D(predicted)."""
        return F.softplus(-predicted).mean()


class WassersteinGP(Objective):
    """Wasserstein distance with a gradient penalty: the discriminator is a critic whose scores have no scale.

    discriminator: mean of D(predicted) - D(true), plus the mean over images of lambda (||g|| - 1)^2, where g is the
    gradient of an image's mean score to its mask, at e * true + (1 - e) * predicted with one uniform e in [0, 1] for
    each image. network: mean of -D(predicted). D is the score itself. The critic must not normalise over a batch.

    Source: Gulrajani et al., Improved Training of Wasserstein GANs, 2017; the image, which is the same on both
    sides, is not part of the gradient.

    Args:
        penalty_weight: lambda, at least 0; the paper's is 10.

    Raises:
        tandem.errors.ConfigError: for another weight.

    Example:
        >>> WassersteinGP().discriminator(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
        tensor(-1.)
    """

    def __init__(self, penalty_weight: float = 10.0) -> None:
        self.penalty_weight = number("penalty_weight", penalty_weight, 0.0, inf, "10 is usual")

    def discriminator(self, true: Tensor, predicted: Tensor) -> Tensor:
        """Mean of D(predicted) - D(true)."""
        return predicted.mean() - true.mean()

    def network(self, predicted: Tensor) -> Tensor:
        """Mean of -D(predicted)."""
        return -predicted.mean()

    def penalty(self, score: Score, true: Tensor, predicted: Tensor) -> Tensor:
        """Mean over images of lambda (||g|| - 1)^2."""
        share = torch.rand(len(true), 1, 1, 1, dtype=true.dtype, device=true.device)
        between = (share * true + (1 - share) * predicted).detach().requires_grad_()
        total = score(between).flatten(1).mean(1).sum()  # images do not interact, so each has its own gradient
        (slope,) = torch.autograd.grad(total, between, create_graph=True)
        steepness = torch.linalg.vector_norm(slope.flatten(1), dim=1)
        return self.penalty_weight * F.mse_loss(steepness, torch.ones_like(steepness))
