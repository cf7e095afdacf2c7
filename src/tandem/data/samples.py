"""One split of a data set, held in memory as whole tensors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL, Batch
from tandem.errors import DataError

SPLITS = ("train", "val", "test")


def describe_split(name: str, samples: "Samples", classes: Sequence[str]) -> str:
    """A split in one line: pictures, classes, and what is missing.

    Args:
        name: of the split.
        samples: its content.
        classes: names of the classes.
    """
    counts = [f"{int((samples.labels == index).sum())} {label}" for index, label in enumerate(classes)]
    unlabelled = int((samples.labels == MISSING_LABEL).sum())
    unmasked = int((samples.masks == MISSING_PIXEL).flatten(1).all(1).sum())
    missing = [f"{count} without {what}" for what, count in (("label", unlabelled), ("mask", unmasked)) if count]
    return f"{name}: {len(samples)} pictures ({', '.join(counts + missing)})"


@dataclass(frozen=True)
class Samples:
    """The pictures of one split with their targets, decoded.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64 class index, -100 where unknown.
        masks: (N, 1, H, W) uint8 with 0, 1 and 255 (missing).
        ids: N names, unique in the data set.
        groups: N names; rows of one group (a patient, near-duplicates) stay in one split. Empty where rows stand alone.

    Raises:
        DataError: lengths or value types that do not fit together.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor
    ids: tuple[str, ...]
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses arrays that do not belong together, since a shifted label would train without complaint."""
        n = len(self.ids)
        shapes = {"images": len(self.images), "labels": len(self.labels), "masks": len(self.masks)}
        if self.groups:
            shapes["groups"] = len(self.groups)
        if wrong := {name: length for name, length in shapes.items() if length != n}:
            raise DataError(f"{n} ids, but {wrong}: every sample needs exactly one of each")
        kinds = {
            "images": (self.images, torch.uint8),
            "labels": (self.labels, torch.int64),
            "masks": (self.masks, torch.uint8),
        }
        for name, (tensor, dtype) in kinds.items():
            if tensor.dtype != dtype:
                raise DataError(f"{name} are {tensor.dtype}, but must be {dtype}")
        of_masks = (n, 1, *self.images.shape[2:])
        if self.images.ndim != 4 or tuple(self.masks.shape) != of_masks or self.labels.ndim != 1:
            found = ", ".join(f"{name} {tuple(tensor.shape)}" for name, (tensor, _) in kinds.items())
            raise DataError(f"{found}: need (N, C, H, W), (N,) and (N, 1, H, W)")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | Tensor) -> Batch:
        """The batch of some rows, indexed in one operation; images become float32 in [0, 1]."""
        index = torch.as_tensor(rows, dtype=torch.int64)
        return Batch(
            image=self.images[index].float().div_(255),
            label=self.labels[index],
            mask=self.masks[index],
            id=[self.ids[i] for i in index.tolist()],
        )

    def fingerprint(self) -> str:
        """SHA-256 over ids, pixels, masks and labels: equal where a split holds the same data in the same order."""
        digest = hashlib.sha256("\n".join(self.ids).encode())
        for tensor in (self.images, self.masks, self.labels):
            digest.update(f"|{tuple(tensor.shape)}|".encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()
