"""Loss and gradient against the probability of a pixel, or against the error of a number."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tandem.explain_loss.probe import probe
from tandem.explain_loss.worked import worked_logits, worked_mask

PROBABILITIES = tuple(percent / 100 for percent in range(1, 100))
"""Where curves of a pixel are computed."""

ERRORS = tuple(tenth / 10 for tenth in range(-30, 31))
"""Where curves of a regression are computed: prediction minus target, in the units of the target."""

RIGHT = 0.9
"""Probability that the pixels around give the right answer, where a curve depends on them."""


@dataclass(frozen=True)
class Curve:
    """What one kind of pixel costs.

    Attributes:
        of: `lesion`, `background`, or `error` (of a regression).
        x: probability of lesion, or error.
        loss: the cost at each x: of the pixel alone, or of the whole image.
        gradient: |dL / dz| at each x, for a mean over one pixel; of a whole image, times its number of pixels.
        alone: whether a pixel's cost depends on that pixel alone.
    """

    of: str
    x: tuple[float, ...]
    loss: tuple[float, ...]
    gradient: tuple[float, ...]
    alone: bool


def loss_curves(loss: nn.Module) -> list[Curve]:
    """The curves of a loss: for lesion and for background pixels, or for the error of a number.

    Where a pixel's cost depends on that pixel alone, it is the whole image. Where it depends on the others, as in
    every loss on overlap, the image is the 7 x 7 image of the worked example: all its lesion (or background) pixels
    have the probability p, and all others are 90 % right. The cost is then that of the image; the gradient is the mean
    over the pixels that have p, times 49, so that it compares with that of a mean over pixels.
    """
    if loss.kind == "regression":
        return [_error_curve(loss)]
    alone = stands_alone(loss)
    return [_pixel_curve(loss, of, alone) for of in ("lesion", "background")]


def stands_alone(loss: nn.Module) -> bool:
    """Whether an image costs the mean of what its pixels cost one by one; tried on an image of random logits."""
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
    return Curve("error", ERRORS, _costs(points), tuple(abs(gradient.item()) for _, gradient in points), alone=True)


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
    pulls = tuple(mask.numel() * gradient[group].abs().mean().item() for _, gradient in points)
    return Curve(of, PROBABILITIES, _costs(points), pulls, alone)


def _costs(points: Sequence[tuple[float, Tensor]]) -> tuple[float, ...]:
    return tuple(cost for cost, _ in points)
