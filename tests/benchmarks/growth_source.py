"""A source of noise with any number of classes and of mask channels or mask classes, for `bench_growth`."""

from collections.abc import Mapping

import torch

from tandem.data.samples import SPLITS, Samples
from tandem.data.targets import Targets


class Noise:
    """Noise; image i has class i modulo the number of classes, and each pixel one of the mask's classes.

    Args:
        size: height and width in pixels.
        train: images for training; the other splits have half as many, at least one for each class.
        count: classes of images, at least 2.
        mask_count: classes of a pixel, background included; 2: one yes/no channel.
    """

    name = "noise"
    channels = 1
    formula = True

    def __init__(self, size: int = 64, train: int = 32, count: int = 2, mask_count: int = 2) -> None:
        self.size, self.train, self.mask_count = size, train, mask_count
        self.classes = tuple(f"class {place}" for place in range(count))
        several = tuple(f"part {place}" for place in range(mask_count))
        self.targets = Targets(mask_channels=(), mask_classes=several) if mask_count > 2 else Targets()

    def load(self) -> Mapping[str, Samples]:
        """The three splits."""
        half = max(self.train // 2, len(self.classes))
        return {split: self._split(split, self.train if split == "train" else half) for split in SPLITS}

    def _split(self, split: str, count: int) -> Samples:
        chance = torch.Generator().manual_seed(SPLITS.index(split))
        shape = (count, 1, self.size, self.size)
        images = torch.randint(256, shape, dtype=torch.uint8, generator=chance)
        masks = torch.randint(self.mask_count, shape, dtype=torch.uint8, generator=chance)
        labels = torch.arange(count) % len(self.classes)
        return Samples(images, labels, masks, tuple(f"{split}/{row}" for row in range(count)))
