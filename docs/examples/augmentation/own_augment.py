"""An augmentation: one vertical stripe of each image is blanked out (Random Erasing, Zhong et al., 2020)."""

from torch import nn

from tandem.data.batch import Batch


class Stripe(nn.Module):
    """Sets a stripe of columns to 0; where it lies follows from the row's own random number.

    Args:
        width: of the stripe, as a share of the image, in (0, 1).
    """

    def __init__(self, width: float = 0.1) -> None:
        super().__init__()
        self.width = width

    def forward(self, batch: Batch) -> Batch:
        """The batch with blanked images; masks stay."""
        image = batch["image"].clone()
        columns = image.shape[-1]
        width = max(1, round(self.width * columns))
        for row, number in enumerate(batch["draw"][:, 0].tolist()):
            left = int(number * (columns - width))
            image[row, :, :, left : left + width] = 0
        return Batch(**{**batch, "image": image})
