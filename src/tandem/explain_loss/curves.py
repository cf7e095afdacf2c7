"""Loss and gradient as functions of a pixel's probability, or of the error of a regression."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tandem.explain_loss.probe import probe
from tandem.explain_loss.worked import worked_logits, worked_mask

PROBABILITIES = tuple(percent / 100 for percent in range(1, 100))
"""Probabilities at which the curves of a pixel are computed."""

ERRORS = tuple(tenth / 10 for tenth in range(-30, 31))
"""Errors at which the curves of a regression are computed: prediction minus target, in the units of the target."""

RIGHT = 0.9
"""Probability that the other pixels give the right answer, if a curve depends on them."""


@dataclass(frozen=True)
class Curve:
    """Loss and gradient of one kind of pixel.

    Attributes:
        of: `lesion`, `background`, or `error` (of a regression).
        x: probability of lesion, or error.
        loss: loss at each x, of the single pixel or of the whole image.
        gradient: |dL / dz| at each x, for a mean over one pixel; for a whole image, times its number of pixels.
        alone: whether a pixel's loss depends on that pixel only.
    """

    of: str
    x: tuple[float, ...]
    loss: tuple[float, ...]
    gradient: tuple[float, ...]
    alone: bool


def loss_curves(loss: nn.Module) -> list[Curve]:
    """Computes the curves of a loss: for lesion and background pixels, or for the error of a regression.

    If a pixel's loss depends on that pixel only, the image is one pixel. If it depends on other pixels, as in every
    overlap loss, it is the 7 x 7 image of the worked example: all its lesion (or background) pixels have the
    probability p, and all others give the right answer with probability 90 %. The loss is then that of the image; the
    gradient is the mean over the pixels with p, times 49, to make it comparable with that of a mean over pixels.
    """
    if loss.kind == "regression":
        return [_error_curve(loss)]
    alone = stands_alone(loss)
    return [_pixel_curve(loss, of, alone) for of in ("lesion", "background")]


def stands_alone(loss: nn.Module) -> bool:
    """Whether the loss of an image is the mean of the losses of its single pixels; tested on random logits."""
    if getattr(loss, "needs_maps", False):
        return False
    mask = worked_mask()
    logits = 2 * torch.randn(mask.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole, _ = probe(loss, logits, mask)
    pixels = zip(logits.flatten(), mask.flatten(), strict=True)
    single = [probe(loss, z.view(1, 1, 1, 1), y.view(1, 1, 1, 1))[0] for z, y in pixels]
    return abs(whole - sum(single) / len(single)) <= 1e-9 * max(1.0, abs(whole))


def _error_curve(loss: nn.Module) -> Curve:
    points = [probe(loss, torch.full((1, 1), error), torch.zeros(1, 1)) for error in ERRORS]
    return Curve("error", ERRORS, _losses(points), tuple(abs(gradient.item()) for _, gradient in points), alone=True)


def _pixel_curve(loss: nn.Module, of: str, alone: bool) -> Curve:
    answer = 1 if of == "lesion" else 0
    if alone:
        mask = torch.full((1, 1, 1, 1), answer, dtype=torch.uint8)
        logits = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    else:
        mask = worked_mask()
        logits = worked_logits(RIGHT, 1 - RIGHT)
    group = mask == answer
    chosen = torch.logit(torch.tensor(PROBABILITIES, dtype=torch.float64))
    points = [probe(loss, torch.where(group, z, logits), mask) for z in chosen]
    gradients = tuple(mask.numel() * gradient[group].abs().mean().item() for _, gradient in points)
    return Curve(of, PROBABILITIES, _losses(points), gradients, alone)


def _losses(points: Sequence[tuple[float, Tensor]]) -> tuple[float, ...]:
    return tuple(value for value, _ in points)
