"""The targets that a data set offers besides the class."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Names of the targets that a source offers; an empty tuple means that it has none of that kind.

    Attributes:
        mask_channels: names of the yes/no questions about each pixel, one mask channel each.
        mask_classes: names of the classes of a multiclass mask, background first; such a mask has one channel, and
            `mask_channels` is empty.
        findings: names of the yes/no questions about the whole image (multilabel).
        columns: names of the numbers that belong to an image.
    """

    mask_channels: tuple[str, ...] = ("lesion",)
    mask_classes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def mask_depth(self) -> int:
        """Number of channels of a mask tensor; 0 if there are no masks."""
        return 1 if self.mask_classes else len(self.mask_channels)

    @property
    def mask_values(self) -> int:
        """Number of values of a mask: it holds 0 to this number - 1, and 255 where unknown."""
        return len(self.mask_classes) or 2


NO_MASKS = Targets(mask_channels=())
"""A class for each image and no other target."""
