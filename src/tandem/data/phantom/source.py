"""The phantom as a data set."""

from collections.abc import Sequence

import numpy as np
import torch

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.loading.counter_rng import uniform
from tandem.data.phantom.params import CLASSES, PhantomParams, share, whole
from tandem.data.phantom.render import picture_keys, render
from tandem.data.phantom.streams import Stream
from tandem.data.samples import SPLITS, Samples
from tandem.errors import ConfigError


class Phantom:
    """Grey-scale pictures in the manner of breast ultrasound, drawn from a formula; a `Source` without files.

    Three classes: normal (an empty mask), benign (a smooth oval) and malignant (an irregular contour with spicules),
    in layered tissue with multiplicative Rayleigh speckle, attenuation with depth, posterior shadows, and
    distractors: shadows, dark lobules and bright spots that are no lesion. Every picture's mean grey is drawn alike
    for all classes, and benign and malignant lesions share the distributions of area, place and darkness; the contour
    tells them apart.

    Picture `i` of a split is a pure function of (seed, split, i) and the knobs: the same bits on every machine, and
    whatever other pictures are drawn, so the first pictures of a larger split are those of a smaller one.

    Targets are taken away from the training split only, since evaluation needs them. Which rows lose theirs is drawn
    per row: it changes no picture, is independent for mask and label, and a larger share takes from the same rows and
    more.

    Args:
        size: height and width in pixels, 32 to 1024.
        train: pictures of the training split, at least 1.
        val: pictures of the validation split, at least 1.
        test: pictures of the test split, at least 1.
        class_probabilities: of normal, benign and malignant; each in [0, 1], summing to one.
        lesion_area: smallest and largest lesion, as a share of the picture; at least 30 pixels, at most 0.2.
        contrast: how much darker than the tissue around it a lesion may be, in [0, 1]: 0 not at all, 1 black.
        noise: share of speckle in the echo's amplitude, in [0, 1]: 0 none, 1 fully developed.
        without_mask: share of training rows without a mask (255 everywhere), in [0, 1].
        without_label: share of training rows without a label (-100), in [0, 1].
        seed: of the pictures, 0 to 2^63 - 1.

    Attributes:
        name: "phantom".
        classes: "normal", "benign", "malignant".
        channels: 1.
        knobs: what the pictures look like.
        counts: pictures of each split.

    Raises:
        ConfigError: a value out of its range; one line that names the key.
    """

    def __init__(
        self,
        *,
        size: int = 64,
        train: int = 600,
        val: int = 150,
        test: int = 150,
        class_probabilities: Sequence[float] = (1 / 3, 1 / 3, 1 / 3),
        lesion_area: Sequence[float] = (0.04, 0.15),
        contrast: float = 0.8,
        noise: float = 0.6,
        without_mask: float = 0.0,
        without_label: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.name = "phantom"
        self.classes: tuple[str, ...] = CLASSES
        self.channels = 1
        self.knobs = PhantomParams(size, class_probabilities, lesion_area, contrast, noise)
        self.counts = {split: whole(split, count, 1) for split, count in zip(SPLITS, (train, val, test), strict=True)}
        self._without_mask = share("without_mask", without_mask)
        self._without_label = share("without_label", without_label)
        self._seed = whole("seed", seed, 0, 2**63 - 1)

    def load(self) -> dict[str, Samples]:
        """The splits `train`, `val` and `test`, drawn whole."""
        return {split: self.draw(split, range(count)) for split, count in self.counts.items()}

    def draw(self, split: str, indices: Sequence[int]) -> Samples:
        """Some pictures of a split, in the order asked for; bit for bit the rows that `load` gives.

        Args:
            split: train, val or test.
            indices: whole numbers from 0; past the split's count too, since the pictures have no end.

        Raises:
            ConfigError: an unknown split.
            ValueError: an index below 0.
        """
        if split not in SPLITS:
            raise ConfigError(f"split is {split!r}, but must be one of {', '.join(SPLITS)}")
        rows = np.asarray(indices, dtype=np.int64)
        images, masks, labels = render(self._seed, split, rows, self.knobs)
        if split == "train":
            keys = picture_keys(self._seed, split, rows)
            masks[uniform(keys, Stream.WITHOUT_MASK, 1)[:, 0] < self._without_mask] = MISSING_PIXEL
            labels[uniform(keys, Stream.WITHOUT_LABEL, 1)[:, 0] < self._without_label] = MISSING_LABEL
        return Samples(
            images=torch.from_numpy(images),
            labels=torch.from_numpy(labels),
            masks=torch.from_numpy(masks),
            ids=tuple(f"phantom/{split}/{i:06d}" for i in rows.tolist()),
        )
