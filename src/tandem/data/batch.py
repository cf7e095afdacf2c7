"""The batch: what every data set gives and every task reads."""

from typing import TypedDict

import torch
from torch import Tensor

MISSING_LABEL = -100
"""Class label of a row that has none (the index that torch's cross-entropy ignores)."""

MISSING_PIXEL = 255
"""Mask value that counts nowhere; a mask that is wholly missing is 255 everywhere. Also a finding that is unknown."""


class Batch(TypedDict, total=False):
    """A batch of N rows; a target that the data set lacks is absent, one that a row lacks is *missing*.

    Attributes:
        image: (N, C, H, W) float32 in [0, 1].
        label: (N,) int64 class index, `MISSING_LABEL` where unknown.
        mask: (N, K, H, W) uint8: K yes/no channels with 0, 1 and `MISSING_PIXEL`; or K = 1 with class indices and
            `MISSING_PIXEL`, where the data set's masks have classes.
        findings: (N, L) uint8 with 0, 1 and `MISSING_PIXEL`: yes/no answers about the whole picture.
        columns: numbers by name, (N,) float32 each, nan where unknown.
        id: N names, unique in the data set.
        draw: (N, K) float32 uniform numbers in [0, 1), one row's own in each epoch, from which augmentation is derived;
            in training batches only.
    """

    image: Tensor
    label: Tensor
    mask: Tensor
    findings: Tensor
    columns: dict[str, Tensor]
    id: list[str]
    draw: Tensor


def without_targets(batch: Batch) -> Batch:
    """The same pictures, with every target that they have marked as missing."""
    found = Batch(image=batch["image"], id=batch["id"])
    if "label" in batch:
        found["label"] = torch.full_like(batch["label"], MISSING_LABEL)
    if "mask" in batch:
        found["mask"] = torch.full_like(batch["mask"], MISSING_PIXEL)
    if "findings" in batch:
        found["findings"] = torch.full_like(batch["findings"], MISSING_PIXEL)
    if "columns" in batch:
        found["columns"] = {name: torch.full_like(column, torch.nan) for name, column in batch["columns"].items()}
    return found
