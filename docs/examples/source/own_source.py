"""A data source: squares, bright or dark, that need no files."""

from collections.abc import Mapping

import torch

from tandem.data.samples import SPLITS, Samples


class Squares:
    """Noise with one square, brighter (class `bright`) or darker (class `dark`) than the noise around it.

    Args:
        size: height and width in pixels.
        count: images of each split.
    """

    name = "squares"
    classes = ("dark", "bright")
    channels = 1

    def __init__(self, size: int = 32, count: int = 12) -> None:
        self.size = size
        self.count = count

    def load(self) -> Mapping[str, Samples]:
        """The three splits."""
        return {split: self._split(split, seed) for seed, split in enumerate(SPLITS)}

    def _split(self, split: str, seed: int) -> Samples:
        random = torch.Generator().manual_seed(seed)
        shape = (self.count, 1, self.size, self.size)
        images = torch.randint(96, 160, shape, dtype=torch.uint8, generator=random)
        labels = torch.arange(self.count) % 2
        masks = torch.zeros(shape, dtype=torch.uint8)
        for row, label in enumerate(labels.tolist()):
            top = int(torch.randint(self.size // 2, (1,), generator=random))
            images[row, :, top : top + 10, 6:18] = 230 if label else 20
            masks[row, :, top : top + 10, 6:18] = 1
        return Samples(images, labels, masks, tuple(f"{split}/{row}" for row in range(self.count)))
