"""Losses for embeddings, on pairs and triplets of a batch; they need the extra `embedding`.

See `EmbeddingLoss` for the shapes. All take pytorch-metric-learning's kernels, which normalise the embeddings to length
1 and average over the pairs, triplets or rows with a loss above 0.
"""

from math import inf
from typing import Any

from torch import Tensor

from tandem.losses.contract import EmbeddingLoss
from tandem.losses.validation import inside, number
from tandem.utils.optional import load


class _Kernel(EmbeddingLoss):
    """A loss of pytorch-metric-learning."""

    def __init__(self, loss: str, name: str, **options: Any) -> None:
        super().__init__()
        self.kernel = getattr(load("pytorch_metric_learning.losses", "embedding", f"the {loss} loss"), name)(**options)

    def compute(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of all pairs or triplets of the batch."""
        value = self.kernel(embeddings, labels)
        assert isinstance(value, Tensor)
        return value


class Contrastive(_Kernel):
    """Contrastive loss: mean of max(0, d - m_pos) over pairs of one class, plus that of max(0, m_neg - d) over others.

    d: Euclidean distance of the two embeddings, each of length 1, so in [0, 2]. m_pos, m_neg: `pos_margin`,
    `neg_margin`. Each mean is over the pairs with a loss above 0; it is 0 if there are none. Shapes and errors:
    `EmbeddingLoss`.

    Source: Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, 2006, there with squares;
    pytorch-metric-learning.

    Args:
        pos_margin: distance up to which a pair of one class is close enough, in [0, 2].
        neg_margin: distance from which on a pair of two classes is far enough, above 0, at most 2.

    Raises:
        tandem.errors.ConfigError: when built without pytorch-metric-learning, or for other margins.
    """

    def __init__(self, pos_margin: float = 0.0, neg_margin: float = 1.0) -> None:
        super().__init__(
            "contrastive",
            "ContrastiveLoss",
            pos_margin=number("pos_margin", pos_margin, 0.0, 2.0, "0 is usual"),
            neg_margin=inside("neg_margin", neg_margin, 0.0, 2.0, {0.0: "push no classes apart"}, "1 is usual"),
        )


class Triplet(_Kernel):
    """Triplet loss: the mean of max(0, d(a, p) - d(a, n) + m) over the triplets of the batch where it is above 0.

    a: anchor. p: another row of its class. n: a row of another class. d: Euclidean distance of embeddings of length 1.
    m: `margin`. The time and memory grow with the third power of the batch. Shapes and errors: `EmbeddingLoss`.

    Source: Schroff et al., FaceNet, 2015, there with squared distances; the mean: Hermans et al., In Defense of the
    Triplet Loss, 2017; pytorch-metric-learning.

    Args:
        margin: by how much other classes must be farther away, above 0, at most 2.

    Raises:
        tandem.errors.ConfigError: when built without pytorch-metric-learning, or for another margin.
    """

    def __init__(self, margin: float = 0.2) -> None:
        asked = inside("margin", margin, 0.0, 2.0, {0.0: "be met by embeddings that are all the same"}, "0.2 is usual")
        super().__init__("triplet", "TripletMarginLoss", margin=asked)


class SupCon(_Kernel):
    """Supervised contrastive loss: the mean over anchors of the mean over p of -log(e^(a.p / t) / sum_k e^(a.k / t)).

    a: anchor. p: the other rows of its class. k: all rows but the anchor. a.p: cosine of the two. t: `temperature`. The
    mean is over the anchors that have a p. Shapes and errors: `EmbeddingLoss`.

    Source: Khosla et al., Supervised Contrastive Learning, 2020 (its L_out); pytorch-metric-learning.

    Args:
        temperature: t, above 0; a small one makes the nearest rows count most.

    Raises:
        tandem.errors.ConfigError: when built without pytorch-metric-learning, or for another temperature.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        asked = inside("temperature", temperature, 0.0, inf, {0.0: "divide by 0"}, "0.1 is usual")
        super().__init__("supcon", "SupConLoss", temperature=asked)
