"""Yes or no by a threshold for each channel."""

from torch import Tensor


def reached(probabilities: Tensor, threshold: Tensor) -> Tensor:
    """Returns whether each probability reaches its channel's threshold, bool.

    Args:
        probabilities: (N, C) or (N, C, *spatial).
        threshold: (C,).

    Example:
        >>> import torch
        >>> reached(torch.tensor([[0.3, 0.3]]), torch.tensor([0.3, 0.4])).tolist()
        [[True, False]]
    """
    return probabilities >= threshold.view(1, -1, *[1] * (probabilities.ndim - 2))
