"""Retrieval metrics: how often the nearest images have the same class."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Retrieval(Metric):
    """Base of the retrieval metrics: each image is a query for those of its class among all others of the split.

    Others are ranked by cosine similarity; ties are ranked by position. Images that are the only one of their class are
    not queries. Memory and time grow with the square of the split.
    """

    full_state_update = False
    embeddings: list[Tensor]
    labels: list[Tensor]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("embeddings", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, embeddings: Tensor, labels: Tensor) -> None:
        """Adds a batch.

        Args:
            embeddings: (N, D) unit vectors.
            labels: (N,) classes.
        """
        self.embeddings.append(embeddings)
        self.labels.append(labels)

    def hits(self) -> Tensor:
        """(Q, N - 1) bool for Q queries: whether the image at rank k is of the query's class."""
        places, labels = dim_zero_cat(self.embeddings).double(), dim_zero_cat(self.labels)
        count = len(labels)
        near = (places @ places.T).fill_diagonal_(-torch.inf)
        ranked = near.argsort(dim=1, descending=True, stable=True)[:, : count - 1]
        hits = labels[ranked] == labels.unsqueeze(1)
        return hits[hits.any(dim=1)]


class PrecisionAt1(Retrieval):
    """Share of images whose nearest one is of their class; nan if no two images share a class."""

    higher_is_better = True

    def compute(self) -> Tensor:
        """A scalar in [0, 1]."""
        return self.hits()[:, 0].double().mean()


class MeanAveragePrecisionAtR(Retrieval):
    """MAP@R: the mean over images of `1/R sum_{k <= R} [k-th is of the class] * precision among the first k`.

    R is the number of others in the image's class. Unlike recall at k it rewards a good ranking of all of them
    (Musgrave et al., A Metric Learning Reality Check, 2020). nan if no two images share a class.
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """A scalar in [0, 1]."""
        hits = self.hits().double()
        wanted = hits.sum(dim=1, keepdim=True)
        rank = torch.arange(1, hits.shape[1] + 1, device=hits.device)
        precision = hits.cumsum(dim=1) / rank
        return (precision * hits * (rank <= wanted)).sum(dim=1).div(wanted.squeeze(1)).mean()
