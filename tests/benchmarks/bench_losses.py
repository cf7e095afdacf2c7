"""Losses, forward + backward on the CPU in float32, against the fastest counterpart: time, and peak of memory.

Binary losses at 16 x 1 x 256 x 256, multiclass ones at 16 x 4 x 128 x 128. Ours are those of conf/loss with their
defaults, and check their target in every call; the counterparts check nothing. A counterpart does the same job, if not
with all details (SMP's Dice is one for the batch); where a composite has none, it is the sum of the fastest parts.

Masks are 0 and 1 in uint8, as the data module gives them: what is made of them is made inside the measured call, ours
or theirs. With float masks, which nobody has to convert, the price of looking for values such as 0.5 is plain to see:
these rows have no bar. Neither has a loss whose only counterpart is put together from torch's functions.

Memory is what the allocator holds at most at one time, counted from the call on, the gradient included.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import kornia.losses as kornia
import monai.losses as monai
import segmentation_models_pytorch.losses as smp
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from tests.benchmarks.harness import Row, at_most, seconds
from tests.benchmarks.memory import peak
from timm.loss import AsymmetricLossMultiLabel, PolyCrossEntropy
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from tandem.config.shipped import config_folder
from tandem.losses.data_dependent import resolve

LIMIT = 1.1
SECONDS = 1.5  # for the rounds of one loss and its counterparts

Peers = Mapping[str, Callable[[Tensor, Tensor], Tensor]]

BINARY = (16, 1, 256, 256)
MULTICLASS = (16, 4, 128, 128)


def focal(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    value: Tensor = sigmoid_focal_loss(logits, target, alpha=-1, gamma=gamma, reduction="mean")
    return value


def weighted_bce(logits: Tensor, target: Tensor) -> Tensor:
    return 0.1 * F.binary_cross_entropy_with_logits(logits, target, pos_weight=torch.tensor(9.0))


def unified_focal(logits: Tensor, target: Tensor) -> Tensor:
    value: Tensor = monai.AsymmetricUnifiedFocalLoss()(torch.sigmoid(logits), target)
    return value


def of_rows(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Tensor:
    """A loss of (N, C) on dense logits."""
    return loss(logits.movedim(1, -1).flatten(0, -2), target.flatten())


def with_channel(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Tensor:
    return loss(logits, target.unsqueeze(1))


def plus(*losses: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda logits, target: torch.stack([loss(logits, target) for loss in losses]).sum()


bce = F.binary_cross_entropy_with_logits

PEERS: Mapping[str, Peers] = {
    "binary/bce": {"torch": bce, "SMP": smp.SoftBCEWithLogitsLoss()},
    "binary/balanced_bce": {
        "torch": weighted_bce,
        "kornia": kornia.BinaryFocalLossWithLogits(alpha=0.9, gamma=0.0, reduction="mean"),
    },
    "binary/focal": {
        "torchvision": focal,
        "MONAI": monai.FocalLoss(gamma=2.0),
        "SMP": smp.FocalLoss("binary", gamma=2.0),
        "kornia": kornia.BinaryFocalLossWithLogits(alpha=None, gamma=2.0, reduction="mean"),
    },
    "binary/bce_focal": {
        "torch + torchvision": plus(bce, partial(focal, gamma=3.0)),
        "torch + MONAI": plus(bce, monai.FocalLoss(gamma=3.0)),
        "torch + kornia": plus(bce, kornia.BinaryFocalLossWithLogits(alpha=None, gamma=3.0, reduction="mean")),
    },
    "binary/dice": {"MONAI": monai.DiceLoss(sigmoid=True), "SMP": smp.DiceLoss("binary")},
    "binary/jaccard": {"MONAI": monai.DiceLoss(sigmoid=True, jaccard=True), "SMP": smp.JaccardLoss("binary")},
    "binary/tversky": {
        "MONAI": monai.TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7),
        "SMP": smp.TverskyLoss("binary", alpha=0.3, beta=0.7),
    },
    "binary/focal_tversky": {"SMP": smp.TverskyLoss("binary", alpha=0.3, beta=0.7, gamma=0.75)},
    "binary/dice_bce": {
        "MONAI": monai.DiceCELoss(sigmoid=True),
        "MONAI + torch": plus(monai.DiceLoss(sigmoid=True), bce),
        "SMP + torch": plus(smp.DiceLoss("binary"), bce),
    },
    "binary/dice_focal": {
        "MONAI": monai.DiceFocalLoss(sigmoid=True),
        "MONAI + torchvision": plus(monai.DiceLoss(sigmoid=True), focal),
        "SMP + torchvision": plus(smp.DiceLoss("binary"), focal),
    },
    "binary/unified_focal": {"MONAI": unified_focal},
    "binary/lovasz": {
        "SMP": smp.LovaszLoss("binary", per_image=True),
        "kornia": lambda logits, target: kornia.lovasz_hinge_loss(logits, target.squeeze(1)),
    },
    "binary/hinge": {},
    "binary/asymmetric": {"timm": AsymmetricLossMultiLabel(4, 1, 0.05, reduction="mean")},
    "binary/brier": {"torch": lambda logits, target: F.mse_loss(torch.sigmoid(logits), target)},
    "binary/boundary": {"MONAI": monai.BoundaryLoss(sigmoid=True)},
    "binary/hausdorff": {"MONAI": monai.HausdorffDTLoss(sigmoid=True, include_background=True)},
    "binary/cldice": {"MONAI": monai.SoftclDiceLoss(sigmoid=True)},
    "multiclass/cross_entropy": {"torch": F.cross_entropy},
    "multiclass/focal": {
        "kornia": partial(kornia.focal_loss, alpha=None, gamma=2.0, reduction="mean"),
        "MONAI": partial(with_channel, monai.FocalLoss(gamma=2.0, use_softmax=True, to_onehot_y=True)),
    },
    "multiclass/dice": {
        "kornia": partial(kornia.dice_loss, average="macro"),
        "MONAI": partial(with_channel, monai.DiceLoss(softmax=True, to_onehot_y=True)),
        "SMP": smp.DiceLoss("multiclass"),
    },
    "multiclass/tversky": {
        "kornia": partial(kornia.tversky_loss, alpha=0.3, beta=0.7),
        "MONAI": partial(with_channel, monai.TverskyLoss(softmax=True, to_onehot_y=True, alpha=0.3, beta=0.7)),
        "SMP": smp.TverskyLoss("multiclass", alpha=0.3, beta=0.7),
    },
    "multiclass/dice_ce": {
        "MONAI": partial(with_channel, monai.DiceCELoss(softmax=True, to_onehot_y=True)),
        "SMP + torch": plus(smp.DiceLoss("multiclass"), F.cross_entropy),
        "kornia + torch": plus(partial(kornia.dice_loss, average="macro"), F.cross_entropy),
    },
    "multiclass/dice_focal": {
        "MONAI": partial(with_channel, monai.DiceFocalLoss(softmax=True, to_onehot_y=True, gamma=2.0)),
        "SMP + kornia": plus(
            smp.DiceLoss("multiclass"), partial(kornia.focal_loss, alpha=None, gamma=2.0, reduction="mean")
        ),
    },
    "multiclass/lovasz": {"kornia": kornia.lovasz_softmax_loss, "SMP": smp.LovaszLoss("multiclass", per_image=True)},
    "multiclass/hinge": {},
    "multiclass/poly": {"timm": partial(of_rows, PolyCrossEntropy(2.0))},
}
"""The counterparts of each loss; a loss without any is listed without a bar."""

PIECES = {"binary/brier"}
"""Losses whose counterpart is put together from torch's functions."""


def choices() -> list[str]:
    """Every loss for masks in conf/loss."""
    files = sorted(
        path for kind in ("binary", "multiclass") for path in (config_folder() / "loss" / kind).glob("*.yaml")
    )
    return [f"{path.parent.name}/{path.stem}" for path in files]


def load(choice: str) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss with the defaults of its yaml; the terms of a composite are added up with their weights."""
    kind = choice.partition("/")[0]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        loss: nn.Module = instantiate(compose(f"loss/{choice}").loss[kind], _convert_="all")
    resolve(loss, torch.tensor([[9, 1]]), ["lesion"])  # beta: auto is then 0.9, as its peers have it

    def total(logits: Tensor, target: Tensor) -> Tensor:
        value: Tensor | dict[str, Tensor] = loss(logits, target)
        if isinstance(value, dict):
            weights: Any = loss.weights
            return sum((weights[name] * term for name, term in value.items()), start=logits.new_zeros(()))
        return value

    return total


def case(kind: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(MULTICLASS if kind == "multiclass" else BINARY, generator=rng)
    if kind == "multiclass":
        target = torch.randint(0, MULTICLASS[1], (MULTICLASS[0], *MULTICLASS[2:]), generator=rng)
    else:
        target = torch.zeros(BINARY)
        for row, mask in enumerate(target[:, 0]):  # boxes of different sizes, for a tenth of the pixels
            mask[40 : 110 + row, 50 : 140 - row] = 1
    return logits.requires_grad_(), target.to(dtype)


def step(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Tensor:
    """Forward and backward."""
    gradient: Tensor = torch.autograd.grad(loss(logits, target), logits)[0]
    return gradient


def converted(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Tensor:
    return loss(logits, target.float())


def rounds(functions: Iterable[Callable[[], object]]) -> int:
    """As many as fit into a few seconds, so that noise falls out of the median."""
    start = time.perf_counter()
    for function in functions:
        function()
    return int(min(max(SECONDS / (time.perf_counter() - start), 9), 101))


def measured(choice: str, dtype: torch.dtype, label: str, bar: bool) -> list[Row]:
    logits, target = case(choice.partition("/")[0], dtype)
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"": load(choice), **PEERS.get(choice, {})}
    if dtype == torch.uint8:
        losses = {name: partial(converted, loss) if name else loss for name, loss in losses.items()}
    steps = {name: partial(step, loss, logits, target) for name, loss in losses.items()}
    peaks = {name: peak(run) for name, run in steps.items()}
    times = {name: 1000 * taken for name, taken in seconds(steps, rounds(steps.values())).items()}
    found = [
        at_most(f"{choice}{label} time", times.pop(""), times, LIMIT),
        at_most(f"{choice}{label} memory", peaks.pop(""), peaks, LIMIT, "MiB"),
    ]
    return found if bar else [replace(row, bar="", holds=True) for row in found]


def rows() -> list[Row]:
    """Time and memory of every loss."""
    # Beside a network much larger blocks come and go. Once one did, the C library keeps what is freed: otherwise each
    # call would fetch its pages from the kernel anew, which takes longer than some losses.
    torch.empty(31 * 2**20, dtype=torch.uint8).zero_()
    found: list[Row] = []
    for choice in choices():
        if choice.startswith("multiclass/"):
            found += measured(choice, torch.int64, "", bar=True)
        else:
            found += measured(choice, torch.uint8, "", bar=choice not in PIECES)
            found += measured(choice, torch.float32, ", float mask", bar=False)
    return found
