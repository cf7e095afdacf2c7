"""The batch: every data set yields it and every task reads it."""

from typing import TypedDict

import torch
from torch import Tensor

MISSING_LABEL = -100
"""Class label of a row without one (the index that torch's cross-entropy ignores)."""

MISSING_PIXEL = 255
"""Mask value that is ignored everywhere; a missing mask is all 255. Also the value of an unknown finding."""


class Batch(TypedDict, total=False):
    """A batch of N rows. A target that the whole data set lacks is absent; one that a single row lacks is *missing*.

    Attributes:
        image: (N, C, H, W) float32 in [0, 1].
        label: (N,) int64 class index, `MISSING_LABEL` where unknown.
        mask: (N, K, H, W) uint8: K yes/no channels with 0, 1 and `MISSING_PIXEL`; or, for multiclass masks, K = 1 with
            class indices and `MISSING_PIXEL`.
        findings: (N, L) uint8 with 0, 1 and `MISSING_PIXEL`: yes/no answers about the whole image.
        columns: numbers by column name, (N,) float32 each, nan where unknown.
        spacing: (N, 2) float32, height and width of a pixel in millimetres, nan where unknown; absent if the data set
            does not state any.
        id: N names, unique in the data set.
        draw: (N, K) float32 uniform random numbers in [0, 1), new for each row and epoch; augmentation is computed from
            them. Training batches only.
    """

    image: Tensor
    label: Tensor
    mask: Tensor
    findings: Tensor
    columns: dict[str, Tensor]
    spacing: Tensor
    id: list[str]
    draw: Tensor


def without_targets(batch: Batch) -> Batch:
    """Returns the same images with every target marked as missing."""
    found = Batch(image=batch["image"], id=batch["id"])
    if "spacing" in batch:
        found["spacing"] = batch["spacing"]
    if "label" in batch:
        found["label"] = torch.full_like(batch["label"], MISSING_LABEL)
    if "mask" in batch:
        found["mask"] = torch.full_like(batch["mask"], MISSING_PIXEL)
    if "findings" in batch:
        found["findings"] = torch.full_like(batch["findings"], MISSING_PIXEL)
    if "columns" in batch:
        found["columns"] = {name: torch.full_like(column, torch.nan) for name, column in batch["columns"].items()}
    return found
