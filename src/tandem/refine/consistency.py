"""Refinement by the predicted class: it and the mask must not contradict each other."""

from typing import TYPE_CHECKING, Any, Self

from tandem.refine.predicted import Overlaps, Predicted, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Consistency:
    """Makes class and mask agree: a class "normal" empties the mask; else an empty mask makes the class "normal".

    Both rules read the raw predictions, and never both apply to one image: with n "the class is normal" and e "the mask
    is empty", the mask is emptied where n and not e, the class becomes normal where e and not n. So their order does
    not matter. In particular a class "normal" overrides any mask.

    Source: the refinement ("PR") of Aumente-Maestro et al., Comput. Methods Programs Biomed. 108540, 2024.

    Args:
        normal: name of the class without a lesion.

    Example:
        >>> import torch
        >>> classes = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]])
        >>> masks = torch.tensor([0.7, 0.1, 0.7]).view(3, 1, 1, 1)
        >>> answer, drawn = Consistency("normal")(classes, masks, 0.5, ["normal", "tumour"])
        >>> answer.tolist(), drawn.flatten().tolist()
        ([0, 0, 1], [False, False, True])
    """

    words = "a class 'normal' empties the mask; else an empty mask means 'normal'"

    def __init__(self, normal: str = "normal") -> None:
        self.normal = normal

    @property
    def fitted(self) -> bool:
        """Nothing is chosen on validation data."""
        return False

    def fit(self, rows: Predicted, overlaps: Overlaps) -> Self:
        """The rule itself, which nothing is chosen for."""
        return self

    def apply(self, rows: Predicted) -> tuple[Any, Any]:
        """The final classes, and which masks become empty.

        Args:
            rows: M images.

        Returns:
            (M,) names of classes, and (M,) bool.
        """
        import numpy as np

        emptied, turned = self.decide(rows.answer == self.normal, rows.empty)
        return np.where(turned, self.normal, rows.answer), emptied

    def decide(self, is_normal: Any, is_empty: Any) -> tuple[Any, Any]:
        """Which masks become empty, and which classes become normal.

        Args:
            is_normal: (N,) bool, array or tensor: whether the class is normal.
            is_empty: (N,) bool, of the same type: whether the mask is empty.

        Returns:
            Two of the same shape; never both true for one image.
        """
        return is_normal & ~is_empty, is_empty & ~is_normal

    def __call__(
        self, class_probabilities: "Tensor", mask_probabilities: "Tensor", threshold: float, classes: "Sequence[str]"
    ) -> "tuple[Tensor, Tensor]":
        """The final classes and masks.

        Args:
            class_probabilities: (N, C).
            mask_probabilities: (N, 1, H, W).
            threshold: of the mask, in (0, 1); a pixel with a probability of at least this is foreground.
            classes: names of the C classes.

        Returns:
            (N,) class indices, and (N, 1, H, W) bool masks.

        Raises:
            ConfigError: no class has the name `normal`.
        """
        place = place_of(self.normal, classes)
        answer, drawn = class_probabilities.argmax(1), mask_probabilities >= threshold
        emptied, turned = self.decide(answer == place, ~drawn.flatten(1).any(1))
        return answer.masked_fill(turned, place), drawn & ~emptied.view(-1, 1, 1, 1)
