"""What can be asked of the rows of a data set, beside their class."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Names of the targets that a source offers; what is empty, it does not have.

    Attributes:
        mask_channels: of the yes/no questions about each pixel, one channel of the mask each.
        mask_classes: of a mask that gives each pixel one class, background first; such a mask has one channel, and
            `mask_channels` is empty.
        findings: of the yes/no questions about the whole picture (multilabel).
        columns: of the numbers that belong to a picture.
    """

    mask_channels: tuple[str, ...] = ("lesion",)
    mask_classes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def mask_depth(self) -> int:
        """Channels of a mask as a tensor; 0 where there are no masks."""
        return 1 if self.mask_classes else len(self.mask_channels)

    @property
    def mask_values(self) -> int:
        """A mask holds 0 up to below this number, and 255 where unknown."""
        return len(self.mask_classes) or 2


NO_MASKS = Targets(mask_channels=())
"""A class for each picture, and nothing else."""
