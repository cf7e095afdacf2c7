"""One split of a data set: images in memory or on disk, targets in memory."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL, Batch
from tandem.data.files.raster import BYTE, to_unit
from tandem.data.loading.crops import Squares, Whole, join_whole
from tandem.data.loading.storage import WIDTHS, Shards, Stored, chunks, join, pick
from tandem.errors import DataError

SPLITS = ("train", "val", "test")


def describe_split(name: str, samples: "Samples", classes: Sequence[str]) -> str:
    """Summarises a split in one line: images, classes, and missing targets.

    Args:
        name: name of the split.
        samples: the split.
        classes: names of the classes.
    """
    counts = [f"{int((samples.labels == index).sum())} {label}" for index, label in enumerate(classes)]
    unlabelled = int((samples.labels == MISSING_LABEL).sum()) if classes else 0
    unmasked = int(without_mask(samples.masks).sum()) if samples.masks.shape[1] else 0
    missing = [f"{n} without {what}" for what, n in (("label", unlabelled), ("mask", unmasked)) if n]
    details = ", ".join(counts + missing)
    return f"{name}: {len(samples)} images" + (f" ({details})" if details else "")


def without_mask(masks: Tensor) -> Tensor:
    """(N,) bool: which masks have no known pixel; all of them if the data set has no masks."""
    if isinstance(masks, Stored) and masks.unknown is not None:
        return torch.as_tensor(masks.unknown)
    if not masks.shape[1]:
        return torch.ones(len(masks), dtype=torch.bool)
    return torch.cat([(part == MISSING_PIXEL).flatten(1).all(1) for part in chunks(masks)])


@dataclass(frozen=True)
class Samples:
    """The images of one split with their targets, decoded.

    Attributes:
        images: (N, C, H, W) uint8, or uint16 or float32 for files of more than 8 bits: a tensor, or a `Stored` if they
            do not fit into memory, which can be indexed by rows and read in `chunks`.
        labels: (N,) int64 class index, -100 where unknown.
        masks: (N, K, H, W) uint8: K yes/no channels with 0, 1 and 255 (missing), or one channel of class indices and
            255; K is 0 if the data set has no masks. A tensor or `Stored`, as `images`.
        ids: N names, unique in the data set.
        groups: N names; rows of one group (a patient, near-duplicates) stay in one split. Empty if there are no groups.
        findings: (N, L) uint8 with 0, 1 and 255 (missing), or None.
        columns: numbers by column name, (N,) float32 each, nan where unknown.
        origin: (N,) int64 index of the source that each row comes from, or None.
        levels: (N, 2) float32, the levels of each image that become black and white; None: 0 and 255 for all.
        spacing: (N, 2) float32, height and width of a pixel in millimetres, nan where unknown; None: unknown for all.
        whole: the whole images, of which training sees random squares; None: it sees `images`.

    Raises:
        DataError: the lengths, shapes or dtypes do not fit together.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor
    ids: tuple[str, ...]
    groups: tuple[str, ...] = ()
    findings: Tensor | None = None
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    origin: Tensor | None = None
    levels: Tensor | None = None
    spacing: Tensor | None = None
    whole: Whole | None = None

    def __post_init__(self) -> None:
        """Raises if the arrays do not belong together; a shifted label would otherwise train without an error."""
        n = len(self.ids)
        shapes = {"images": len(self.images), "labels": len(self.labels), "masks": len(self.masks)}
        if self.groups:
            shapes["groups"] = len(self.groups)
        if self.findings is not None:
            shapes["findings"] = len(self.findings)
        if self.origin is not None:
            shapes["origin"] = len(self.origin)
        if self.levels is not None:
            shapes["levels"] = len(self.levels)
        if self.spacing is not None:
            shapes["spacing"] = len(self.spacing)
        if self.whole is not None:
            shapes["whole"] = len(self.whole)
        shapes |= {f"columns.{name}": len(column) for name, column in self.columns.items()}
        if wrong := {name: length for name, length in shapes.items() if length != n}:
            raise DataError(f"{n} ids, but {wrong}: every sample needs exactly one of each")
        self._check_types()
        of_masks = (n, self.masks.shape[1] if self.masks.ndim > 1 else 0, *self.images.shape[2:])
        if self.images.ndim != 4 or tuple(self.masks.shape) != of_masks or self.labels.ndim != 1:
            parts = (("images", self.images), ("labels", self.labels), ("masks", self.masks))
            found = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in parts)
            raise DataError(f"{found}: need (N, C, H, W), (N,) and (N, K, H, W)")
        if (self.findings is not None and self.findings.ndim != 2) or any(c.ndim != 1 for c in self.columns.values()):
            raise DataError("findings and columns need the shapes (N, L) and (N,)")

    def _check_types(self) -> None:
        kinds = {
            "labels": (self.labels, torch.int64),
            "masks": (self.masks, torch.uint8),
            **({} if self.findings is None else {"findings": (self.findings, torch.uint8)}),
            **{f"columns.{name}": (column, torch.float32) for name, column in self.columns.items()},
        }
        if self.images.dtype not in (WIDTHS if self.levels is not None else WIDTHS[:1]):
            raise DataError(f"images are {self.images.dtype}, but must be uint8, or uint16 or float32 with levels")
        for name, (tensor, dtype) in kinds.items():
            if tensor.dtype != dtype:
                raise DataError(f"{name} are {tensor.dtype}, but must be {dtype}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shards(self) -> Shards | None:
        """Where the rows lie, if those of one file are best read together."""
        return self.images.shards if isinstance(self.images, Stored) else None

    def targets(self, rows: Sequence[int] | Tensor | None = None) -> dict[str, Any]:
        """Returns the targets of some rows, or of all, by their names in a batch, without those the data set lacks.

        Args:
            rows: indices into the split; None for all rows, which returns tensors in memory without copying them.
        """
        index: Any = ... if rows is None else torch.as_tensor(rows, dtype=torch.int64)
        found: dict[str, Any] = {"label": self.labels[index]}
        if self.masks.shape[1]:
            found["mask"] = self.masks[index]
        if self.findings is not None:
            found["findings"] = self.findings[index]
        if self.columns:
            found["columns"] = {name: column[index] for name, column in self.columns.items()}
        return found

    def pick(self, rows: Sequence[int] | Tensor) -> "Samples":
        """Returns a split of some rows, in the given order."""
        index = torch.as_tensor(rows, dtype=torch.int64)
        named = index.tolist()
        return Samples(
            images=pick(self.images, index),
            labels=self.labels[index],
            masks=pick(self.masks, index),
            ids=tuple(self.ids[row] for row in named),
            groups=tuple(self.groups[row] for row in named) if self.groups else (),
            findings=None if self.findings is None else self.findings[index],
            columns={name: column[index] for name, column in self.columns.items()},
            origin=None if self.origin is None else self.origin[index],
            levels=None if self.levels is None else self.levels[index],
            spacing=None if self.spacing is None else self.spacing[index],
            whole=None if self.whole is None else self.whole.pick(index),
        )

    def take(self, rows: Sequence[int] | Tensor, numbers: NDArray[np.float64] | None = None) -> Batch:
        """Returns the batch of some rows, indexed in one operation; images become float32 in [0, 1].

        Args:
            rows: indices into the split.
            numbers: (n, `crops.DRAWS`) in [0, 1), for random squares of the whole images; None: the central squares.
        """
        index, targets = torch.as_tensor(rows, dtype=torch.int64), self.targets(rows)
        if self.whole is None or numbers is None:
            pixels = self.images[index]
        else:
            pixels, masks = self.whole.squares(index, numbers, self.images.dtype)
            targets |= {"mask": masks} if "mask" in targets else {}
        image = to_unit(pixels, None if self.levels is None else self.levels[index])
        batch = Batch(image=image, id=[self.ids[i] for i in index.tolist()])
        if self.spacing is not None:
            batch["spacing"] = self.spacing[index]
        batch.update(targets)  # type: ignore[typeddict-item]  # its keys are the batch's
        return batch

    def fingerprint(self) -> str:
        """SHA-256 of ids, pixels and targets: equal for splits with the same data in the same order."""
        digest = hashlib.sha256("\n".join(self.ids).encode())
        further = [("findings", self.findings)] if self.findings is not None else []
        further += [(f"columns.{name}", self.columns[name]) for name in sorted(self.columns)]
        further += [("levels", self.levels)] if self.levels is not None else []
        further += [("spacing", self.spacing)] if self.spacing is not None else []
        parts = [("", self.images), ("", self.masks), ("", self.labels), *further]
        for name, values in parts:
            digest.update(f"{name}|{tuple(values.shape)}|".encode())
            if isinstance(values, Stored) and values.identity is not None:
                digest.update(values.identity)
                continue
            for part in chunks(values):
                if part.numel():
                    digest.update(part.contiguous().numpy().data)
        return digest.hexdigest()


def join_samples(parts: Sequence[Samples]) -> Samples:
    """Concatenates splits with the same targets and image sizes; if only some have groups, other rows get their own."""
    grouped = any(part.groups for part in parts)
    findings = [part.findings for part in parts if part.findings is not None]
    origins = [part.origin for part in parts if part.origin is not None]
    levels = [torch.tensor(BYTE).expand(len(part), 2) if part.levels is None else part.levels for part in parts]
    sized = [torch.full((len(part), 2), torch.nan) if part.spacing is None else part.spacing for part in parts]
    return Samples(
        images=join([part.images for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        masks=join([part.masks for part in parts]),
        ids=tuple(name for part in parts for name in part.ids),
        groups=tuple(name for part in parts for name in part.groups or part.ids) if grouped else (),
        findings=torch.cat(findings) if findings else None,
        columns={name: torch.cat([part.columns[name] for part in parts]) for name in parts[0].columns},
        origin=torch.cat(origins) if origins else None,
        levels=torch.cat(levels) if any(part.levels is not None for part in parts) else None,
        spacing=torch.cat(sized) if any(part.spacing is not None for part in parts) else None,
        whole=join_whole([part.whole or _squares(part) for part in parts]) if any(p.whole for p in parts) else None,
    )


def _squares(part: Samples) -> Whole:
    """A split that has nothing beside its squares."""
    where = torch.stack([torch.zeros(len(part), dtype=torch.int64), torch.arange(len(part))], 1)
    return Whole((Squares(part.images, part.masks),), where, part.images.shape[-1])
