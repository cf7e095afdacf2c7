"""Fewer targets: what would a network learn if only some training images had a mask, or a label?"""

from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.loading.counter_rng import keys, uniform
from tandem.data.loading.storage import join, pick
from tandem.data.samples import Samples, without_mask
from tandem.errors import ConfigError, DataError

INCOMPLETE = ("keep", "drop")


@dataclass(frozen=True)
class KeptTargets:
    r"""The share of training images that keep their mask, and that keep their label.

    Of the \(n_c\) images of class c that have the target, \(\max(1, \mathrm{round}(s\,n_c))\) keep it for a share
    \(s > 0\), so that no class disappears. Masks and labels are drawn independently, by the seed of the run. A larger
    share keeps the same ones and more.

    Attributes:
        masks: share of the images with a mask, in [0, 1].
        labels: share of the images with a label, in [0, 1].
        incomplete: `keep`, or `drop`: images that lost a target are left out.

    Raises:
        ConfigError: a share is out of range, `incomplete` is another word, or it has no effect.

    Example:
        >>> KeptTargets(masks=0.25).reduces
        True
    """

    masks: float = 1.0
    labels: float = 1.0
    incomplete: str = "keep"

    def __post_init__(self) -> None:
        """Checks the options before any file is read."""
        for key in ("masks", "labels"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
                raise ConfigError(f"loader.{key} is {value!r}, but must be a number from 0 to 1")
        if self.incomplete not in INCOMPLETE:
            raise ConfigError(f"loader.incomplete is {self.incomplete!r}, but must be one of {', '.join(INCOMPLETE)}")
        if self.incomplete == "drop" and not self.reduces:
            raise ConfigError(
                "loader.incomplete is drop without effect: set loader.masks or loader.labels below 1, or leave it out"
            )

    @property
    def reduces(self) -> bool:
        """Whether any target is taken away."""
        return self.masks < 1 or self.labels < 1

    def apply(self, samples: Samples, seed: int) -> Samples:
        """Takes targets away from a training split.

        Args:
            samples: the split, as it was read.
            seed: of the draw.

        Raises:
            DataError: the data have no masks or no labels at all, or no image is left.
        """
        labelled = samples.labels != MISSING_LABEL
        masked = ~without_mask(samples.masks)
        for key, share, has in (("masks", self.masks, masked), ("labels", self.labels, labelled)):
            if share < 1 and not has.any():
                raise DataError(f"loader.{key}={share:g}, but no training image has a {key[:-1]}; leave the option out")
        with_mask = _draw(masked, samples.labels, self.masks, keys(seed, "kept masks", np.arange(len(samples))))
        with_label = _draw(labelled, samples.labels, self.labels, keys(seed, "kept labels", np.arange(len(samples))))
        reduced = samples
        if self.masks < 1:
            nothing = torch.full((1, *samples.masks.shape[1:]), MISSING_PIXEL, dtype=torch.uint8)
            lost = masked & ~with_mask
            rows = torch.arange(len(samples)).where(~lost, torch.tensor(len(samples)))
            whole = None if samples.whole is None else replace(samples.whole, hidden=lost)
            reduced = replace(reduced, masks=pick(join([samples.masks, nothing]), rows), whole=whole)
        if self.labels < 1:
            labels = samples.labels.where(with_label, torch.tensor(MISSING_LABEL))
            reduced = replace(reduced, labels=labels)
        if self.incomplete == "keep":
            return reduced
        complete = ((with_mask == masked) & (with_label == labelled)).nonzero()[:, 0]
        if not len(complete):
            raise DataError(
                "loader.incomplete=drop leaves no training image; give loader.masks or loader.labels a larger share"
            )
        return reduced.pick(complete)


ALL = KeptTargets()
"""Every target that was read."""


def _draw(has: Tensor, labels: Tensor, share: float, row_keys: "np.ndarray[tuple[int], np.dtype[np.uint64]]") -> Tensor:
    """(N,) bool: which images keep a target that they have, class by class."""
    order = torch.from_numpy(uniform(row_keys, 0, 1)[:, 0])
    kept = torch.zeros_like(has)
    for label in sorted(set(labels.tolist())):
        rows = ((labels == label) & has).nonzero()[:, 0]
        count = max(1, round(share * len(rows))) if share > 0 and len(rows) else 0
        kept[rows[order[rows].argsort()[:count]]] = True
    return kept
