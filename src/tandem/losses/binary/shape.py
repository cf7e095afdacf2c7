"""Binary losses on the shape of a mask: its border, its skeleton. They need the extra `shape` (MONAI)."""

from collections.abc import Callable
from math import inf

import torch
from torch import Tensor

from tandem.errors import ConfigError
from tandem.losses import checks, functional
from tandem.losses.contract import BinaryLoss
from tandem.losses.reduce import overlap
from tandem.losses.validation import inside, number
from tandem.utils.optional import load

Kernel = Callable[[Tensor, Tensor], Tensor]
"""A loss of MONAI: probabilities and masks (cells, 1, *spatial) to the loss of each cell."""


class ShapeLoss(BinaryLoss):
    """Base of the losses on shape: the mean over cells of MONAI's loss.

    A cell is one channel of one image. A cell without any target is left out of the mean. A cell whose target is empty
    has neither border nor skeleton; it costs log(1 + P) / log(1 + n) as in `OverlapLoss`, so that false positives are
    penalised.

    Shapes: as in `BinaryLoss`, but (N, C, H, W) or (N, C, D, H, W) only.

    Args:
        kernel: the loss of each cell.

    Raises:
        tandem.errors.DataError: also for logits that are not (N, C, H, W) or (N, C, D, H, W), and for a mask of which
            some pixels are missing: MONAI cannot leave pixels out, and would read them as background.
    """

    needs_maps = True
    hard = "it measures borders or skeletons, which a soft mask does not have"

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self.kernel = kernel

    by_rows = True  # each image has cells of its own

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """Measure each cell, and average."""
        name = f"{type(self).__name__} loss"
        checks.map_shapes(logits, name)
        checks.whole_cells(valid, name)
        probability = torch.sigmoid(logits)
        cells = (-1, 1, *logits.shape[2:])
        costs = self.kernel(probability.reshape(cells), target.reshape(cells)).reshape(logits.shape[:2])
        return functional.overlap_mean(overlap(probability, target, valid, "image"), lambda _: costs)


class Boundary(ShapeLoss):
    """Boundary loss: the mean over cells of (1 / n) sum of p d.

    p: sigmoid of the logit. d: signed distance of the pixel to the lesion's border, in pixels: positive outside,
    negative inside, 0 on the border's own pixels. n: number of pixels. It is below 0 for a good prediction, and has a
    small gradient while little is found, so use it together with a loss such as `Dice` in a composite. A target without
    any background has no border: it costs 0. Distances are computed on the CPU, or on the GPU with cuCIM. What a cell
    is, shapes and errors: `ShapeLoss`.

    Source: Kervadec et al., Boundary Loss for Highly Unbalanced Segmentation, 2019; MONAI.

    Raises:
        tandem.errors.ConfigError: when built without MONAI.
    """

    def __init__(self) -> None:
        super().__init__(load("monai.losses", "shape", "the boundary loss").BoundaryLoss(reduction="none"))


class Hausdorff(ShapeLoss):
    """Hausdorff loss by distance transforms: the mean over cells of (1 / n) sum of (p - y)^2 (d_p^alpha + d_y^alpha).

    p: sigmoid of the logit. y: target. d_y: distance of the pixel to the border of the target, in pixels; d_p: to that
    of the prediction p > 0.5, taken as constant. n: number of pixels. A mask that is all lesion has no border: its
    distances are 0. Wrong pixels are weighted by their distance to the border, so distant specks dominate; give it a
    small weight beside other terms in a composite. Distances are computed on the CPU, or on the GPU with cuCIM. What a
    cell is, shapes and errors: `ShapeLoss`.

    Source: Karimi & Salcudean, Reducing the Hausdorff Distance in Medical Image Segmentation with Convolutional Neural
    Networks, 2019; MONAI.

    Args:
        alpha: exponent of the distances, at least 0; the paper's best are 1 to 3.

    Raises:
        tandem.errors.ConfigError: when built without MONAI, or for another alpha.
    """

    def __init__(self, alpha: float = 2.0) -> None:
        exponent = number("alpha", alpha, 0.0, inf, "2 is usual")
        monai = load("monai.losses", "shape", "the hausdorff loss")
        super().__init__(monai.HausdorffDTLoss(alpha=exponent, include_background=True, reduction="none"))


class CenterlineDice(ShapeLoss):
    """clDice: the mean over cells of 1 - 2 a b / (a + b), for thin and branching structures such as vessels.

    a = (sum of S(p) y + s) / (sum of S(p) + s): how much of the predicted skeleton lies in the target. b = (sum of S(y)
    p + s) / (sum of S(y) + s): how much of the target's skeleton is found. p: sigmoid of the logit. y: target. s:
    `smooth`. S: soft skeleton, by `iterations` rounds of erosion and opening. It compares skeletons only: combine it
    with `Dice` in a composite. What a cell is, shapes and errors: `ShapeLoss`.

    Source: Shit et al., clDice: a Novel Topology-Preserving Loss Function for Tubular Structure Segmentation, 2021;
    MONAI.

    Args:
        iterations: rounds of erosion, at least half the width of the widest structure in pixels.
        smooth: s, in pixels of skeleton, above 0; it sets the loss of a prediction without any skeleton.

    Raises:
        tandem.errors.ConfigError: when built without MONAI, or for another value.
    """

    def __init__(self, iterations: int = 3, smooth: float = 0.1) -> None:
        if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1:
            raise ConfigError(f"iterations = {iterations!r} is not a whole number of at least 1; 3 is usual")
        little = inside("smooth", smooth, 0.0, inf, {0.0: "divide by 0 where there is no skeleton"}, "use 0.1")
        monai = load("monai.losses", "shape", "the cldice loss")
        super().__init__(
            monai.SoftclDiceLoss(iter_=iterations, smooth_nr=little, smooth_dr=little, smooth=1e-7, reduction="none")
        )
