"""What a refinement reads: the classes and masks that a run predicts for M images, as plain arrays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from tandem.config.suggest import nearest
from tandem.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt


def place_of(normal: str, classes: "Sequence[str]") -> int:
    """Index of the class without a lesion.

    Raises:
        ConfigError: no class has this name.
    """
    if normal not in classes:
        raise ConfigError(f"refine.normal is '{normal}', but must be a class: {nearest(normal, classes)}")
    return list(classes).index(normal)


@dataclass(frozen=True)
class Predicted:
    """Predicted classes and masks of M images.

    Attributes:
        answer: (M,) names of the predicted classes.
        probabilities: (M, C) of each class; None if they are not known.
        classes: names of the C classes.
        empty: (M,) bool, whether the mask is empty.
    """

    answer: "npt.NDArray[np.str_]"
    probabilities: "npt.NDArray[np.float64] | None"
    classes: tuple[str, ...]
    empty: "npt.NDArray[np.bool_]"

    def probability_of(self, normal: str) -> "npt.NDArray[np.float64]":
        """(M,) probability of the class without a lesion.

        Raises:
            ConfigError: no class has this name.
            DataError: the run has no probabilities of classes.
        """
        if self.probabilities is None:
            raise DataError("refine needs the probabilities of the classes, which this run does not have")
        return self.probabilities[:, place_of(normal, self.classes)]

    def best_but(self, normal: str) -> "npt.NDArray[np.str_]":
        """(M,) the most probable class with a lesion."""
        import numpy as np

        others = [place for place in range(len(self.classes)) if place != place_of(normal, self.classes)]
        assert self.probabilities is not None
        found: npt.NDArray[np.str_] = np.array(self.classes)[np.array(others)[self.probabilities[:, others].argmax(1)]]
        return found


class Overlaps(NamedTuple):
    """What emptying a mask changes, for each of M validation images.

    Attributes:
        kept: (M,) Dice with the mask as it is predicted; without a lesion 1 if it is empty, else 0.
        lesion: (M,) bool, whether the image has a lesion.
    """

    kept: "npt.NDArray[np.float64]"
    lesion: "npt.NDArray[np.bool_]"


class Refinement(Protocol):
    """A rule that makes class and mask agree.

    Attributes:
        words: the rule, for the note below a table.
    """

    words: str

    @property
    def fitted(self) -> bool:
        """Whether validation data are needed before it is applied."""

    def fit(self, rows: Predicted, overlaps: Overlaps) -> Self:
        """The rule that is best on validation data."""

    def apply(self, rows: Predicted) -> "tuple[npt.NDArray[np.str_], npt.NDArray[np.bool_]]":
        """(M,) the final classes, and (M,) which masks become empty."""
