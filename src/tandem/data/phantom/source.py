"""The phantom as a data set."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tandem.data.loading.counter_rng import uniform
from tandem.data.phantom.params import CLASSES, PhantomParams, share, whole
from tandem.data.phantom.render import image_keys, render
from tandem.data.phantom.streams import Stream
from tandem.errors import ConfigError

if TYPE_CHECKING:  # torch is imported with the first images, so that a finished run answers without it
    from tandem.data.samples import Samples


class Phantom:
    """Synthetic greyscale images that resemble breast ultrasound, drawn from a formula; a `Source` without files.

    There are three classes: normal (an empty mask), benign (a smooth oval) and malignant (an irregular contour with
    spicules), in layered tissue with multiplicative Rayleigh speckle, attenuation with depth, posterior shadows, and
    distractors: shadows, dark lobules and bright spots that are not lesions. The mean grey of an image has the same
    distribution for all classes, and so have area, position and darkness of benign and malignant lesions; the contour
    distinguishes them.

    Image `i` of a split is a pure function of (seed, split, i) and the parameters: it has the same bits on every
    machine and does not depend on other images, so a larger split begins with the images of a smaller one.

    Targets are removed from the training split only, since evaluation needs them. A random draw for each row decides
    which targets are removed: it does not change the image, is independent for mask and label, and with a larger share
    the same rows and further ones lose their target.

    Args:
        size: height and width in pixels, 32 to 1024.
        train: number of training images, at least 1.
        val: number of validation images, at least 1.
        test: number of test images, at least 1.
        class_probabilities: of normal, benign and malignant; each in [0, 1], summing to one.
        lesion_area: smallest and largest lesion, as a share of the image; at least 30 pixels, at most 0.2.
        contrast: how much darker than the tissue around it a lesion may be, in [0, 1]: 0 not at all, 1 black.
        noise: share of speckle in the echo's amplitude, in [0, 1]: 0 none, 1 fully developed.
        images_each: consecutive images of a split that show one person, at least 1; above 1, they are a group. They
            share tissue, shadows, class and lesion; speckle, attenuation and gain differ.
        without_mask: share of training rows without a mask (255 everywhere), in [0, 1].
        without_label: share of training rows without a label (-100), in [0, 1].
        seed: seed of the images, 0 to 2^63 - 1.

    Attributes:
        name: "phantom".
        classes: "normal", "benign", "malignant".
        channels: 1.
        formula: true: the images follow from the options alone.
        params: how the images look.
        counts: number of images of each split.

    Raises:
        ConfigError: an option is out of range; one line names it.
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
        images_each: int = 1,
        without_mask: float = 0.0,
        without_label: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.name = "phantom"
        self.classes: tuple[str, ...] = CLASSES
        self.channels = 1
        self.formula = True
        self.params = PhantomParams(size, class_probabilities, lesion_area, contrast, noise, images_each)
        given = {"train": train, "val": val, "test": test}
        self.counts = {split: whole(split, count, 1) for split, count in given.items()}
        self._without_mask = share("without_mask", without_mask)
        self._without_label = share("without_label", without_label)
        self._seed = whole("seed", seed, 0, 2**63 - 1)

    def load(self) -> "dict[str, Samples]":
        """Draws all images of the splits `train`, `val` and `test`."""
        return {split: self.draw(split, range(count)) for split, count in self.counts.items()}

    def draw(self, split: str, indices: Sequence[int]) -> "Samples":
        """Draws some images of a split, in the given order; bit for bit the rows that `load` returns.

        Args:
            split: train, val or test.
            indices: whole numbers from 0; they may exceed the split's count, since the sequence of images is infinite.

        Raises:
            ConfigError: the split is unknown.
            ValueError: an index is below 0.
        """
        import torch

        from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
        from tandem.data.samples import Samples

        if split not in self.counts:
            raise ConfigError(f"split is {split!r}, but must be one of {', '.join(self.counts)}")
        rows = np.asarray(indices, dtype=np.int64)
        each = self.params.images_each
        images, masks, labels = render(self._seed, split, rows, self.params)
        if split == "train":
            keys = image_keys(self._seed, split, rows)
            masks[uniform(keys, Stream.WITHOUT_MASK, 1)[:, 0] < self._without_mask] = MISSING_PIXEL
            labels[uniform(keys, Stream.WITHOUT_LABEL, 1)[:, 0] < self._without_label] = MISSING_LABEL
        return Samples(
            images=torch.from_numpy(images),
            labels=torch.from_numpy(labels),
            masks=torch.from_numpy(masks),
            ids=tuple(f"phantom/{split}/{i:06d}" for i in rows.tolist()),
            groups=tuple(f"phantom/{split}/person {i // each:06d}" for i in rows.tolist()) if each > 1 else (),
        )
