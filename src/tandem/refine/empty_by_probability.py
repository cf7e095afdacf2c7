"""Refinement by a probability: a mask is empty where the class without a lesion is probable enough."""

from typing import TYPE_CHECKING, Any, Self

from tandem.errors import ConfigError
from tandem.refine.predicted import Overlaps, Predicted, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class EmptyByProbability:
    r"""Makes class and mask agree by the probability of the class "normal", not by the most probable class.

    With p its probability and t the cut, the image is normal where \(p \ge t\) or the mask is empty. There the class
    becomes "normal" and the mask empty; elsewhere the class becomes the most probable one with a lesion, and the mask
    stays. With t = 0.5 and two classes this is `Consistency`.

    The cut is chosen on validation data: it gives the highest mean Dice of all images, where an image without a lesion
    has 1 if its mask is empty, else 0. Candidates are the midpoints between probabilities that occur, one below all of
    them, and "never". Of equally good cuts the one nearest to 0.5 counts, and "never" only if it is the only best one.

    Args:
        normal: name of the class without a lesion.
        cut: t, in (0, 1), or above 1 for "never"; None: chosen by `fit` on validation data.

    Raises:
        ConfigError: the cut is not above 0.

    Example:
        >>> import numpy as np
        >>> p = np.array([[0.4, 0.6], [0.1, 0.9]])
        >>> rows = Predicted(np.array(["tumour", "tumour"]), p, ("normal", "tumour"), np.array([False, False]))
        >>> rule = EmptyByProbability().fit(rows, Overlaps(np.array([0.0, 0.8]), np.array([False, True])))
        >>> rule.cut, [part.tolist() for part in rule.apply(rows)]
        (0.25, [['normal', 'tumour'], [True, False]])
    """

    words = (
        "a probability of 'normal' above a cut, chosen on validation data, empties the mask; else an empty mask means "
        "'normal', and another mask a lesion"
    )

    def __init__(self, normal: str = "normal", cut: float | None = None) -> None:
        number = isinstance(cut, int | float) and not isinstance(cut, bool)
        if cut is not None and not (number and cut > 0):
            raise ConfigError(
                f"refine.cut is {cut!r}, but must be a number above 0, or null: chosen on validation data"
            )
        self.normal, self.cut = normal, cut

    @property
    def fitted(self) -> bool:
        """Whether validation data are needed before it is applied."""
        return self.cut is None

    def fit(self, rows: Predicted, overlaps: Overlaps) -> Self:
        """The rule with the cut that is best on validation data.

        Args:
            rows: M validation images.
            overlaps: of these images.

        Raises:
            ConfigError: no class has the name `normal`, or there is no image.
        """
        import numpy as np

        p = rows.probability_of(self.normal)
        if not len(p):
            raise ConfigError(
                "refine.cut is chosen on validation data, but there is no validation image; set refine.cut"
            )
        values = np.unique(p)
        cuts = np.append((values[1:] + values[:-1]) / 2, [values[0] / 2, NEVER])
        cuts = cuts[cuts > 0]
        emptied = p[None, :] >= cuts[:, None]
        means = np.where(emptied, ~overlaps.lesion, overlaps.kept).mean(1)
        best = cuts[means >= means.max() - ROUNDING]
        return type(self)(self.normal, float(min(best, key=lambda cut: (abs(cut - 0.5), cut))))

    def apply(self, rows: Predicted) -> "tuple[Any, Any]":
        """The final classes, and which masks become empty.

        Args:
            rows: M images.

        Returns:
            (M,) names of classes, and (M,) bool.

        Raises:
            ConfigError: no cut was given or chosen, or no class has the name `normal`.
        """
        import numpy as np

        normal = (rows.probability_of(self.normal) >= self._cut()) | rows.empty
        return np.where(normal, self.normal, rows.best_but(self.normal)), normal & ~rows.empty

    def __call__(
        self, class_probabilities: "Tensor", mask_probabilities: "Tensor", threshold: float, classes: "Sequence[str]"
    ) -> "tuple[Tensor, Tensor]":
        """The final classes and masks; see `Consistency.__call__`.

        Args:
            class_probabilities: (N, C).
            mask_probabilities: (N, 1, H, W).
            threshold: of the mask, in (0, 1).
            classes: names of the C classes.

        Returns:
            (N,) class indices, and (N, 1, H, W) bool masks.

        Raises:
            ConfigError: no cut was given or chosen, or no class has the name `normal`.
        """
        place, drawn = place_of(self.normal, classes), mask_probabilities >= threshold
        normal = (class_probabilities[:, place] >= self._cut()) | ~drawn.flatten(1).any(1)
        others = class_probabilities.clone()
        others[:, place] = -1
        return others.argmax(1).masked_fill(normal, place), drawn & ~normal.view(-1, 1, 1, 1)

    def _cut(self) -> float:
        if self.cut is None:
            raise ConfigError("refine.cut is null: choose it by fit on validation data, or set a number")
        return self.cut


NEVER = 1.5
"""A cut that no probability reaches."""

ROUNDING = 1e-12
"""Means that differ by less are equal."""
