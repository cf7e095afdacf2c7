"""Every loss that says that it is one of rows: the parts of a batch, with sums and numbers added up, are the batch."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from tandem.config.instantiate import build
from tandem.config.shipped import config_folder
from tandem.losses.binary import BCE, Dice
from tandem.losses.composite import Composite
from tandem.losses.reduce import means_by

KINDS = ("binary", "multiclass", "regression")

FILES = [
    path
    for kind in KINDS
    for path in sorted((config_folder() / "loss" / kind).glob("*.yaml"))
    if "defaults:" not in path.read_text()  # made of the others
]

GIVEN: dict[str, dict[str, Any]] = {"balanced_bce": {"beta": 0.8}, "cross_entropy": {"weight": [1.0, 2.0, 5.0]}}
"""Options of single losses: what is computed from training data, and a denominator that is no number of rows."""

WHOLE_BATCH = {"lovasz", "dice", "jaccard", "tversky", "focal_tversky", "unified_focal"}
"""Losses on overlap with an option `per`: one cell of the whole batch needs all rows."""


def loss_of(path: Any, **options: Any) -> Any:
    node: Any = OmegaConf.to_container(OmegaConf.load(path))
    return build({**node, **options}, "loss")


def batch(kind: str) -> tuple[Tensor, Tensor]:
    """Five rows, one of them without any target, and single pixels without."""
    torch.manual_seed(3)
    if kind == "multiclass":
        target = torch.randint(0, 3, (5, 8, 8))
        target[1], target[3, :2] = 255, 255
        return torch.randn(5, 3, 8, 8, dtype=torch.float64), target
    logits = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    if kind == "regression":
        numbers = torch.randn(5, 1, dtype=torch.float64)
        numbers[1] = torch.nan
        return logits[..., 0, 0], numbers
    mask = torch.zeros(5, 1, 8, 8, dtype=torch.long)
    mask[0, :, 2:5, 2:6], mask[2, :, 1:3], mask[1] = 1, 1, 255
    return logits, mask


def value_of(loss: Any, logits: Tensor, target: Tensor) -> Tensor:
    terms: Any = loss(logits, target)
    value: Tensor = sum(terms.values(), start=torch.zeros(())) if isinstance(terms, dict) else terms
    return value


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_parts_of_a_batch_add_up_to_the_batch(path: Any) -> None:
    """Two devices, the second without any target: the first pass counts, the second has the sums of both."""
    loss = loss_of(path, **GIVEN.get(path.stem, {}))
    assert loss.by_rows
    logits, target = batch(path.parent.name)
    logits.requires_grad_(True)
    whole = value_of(loss, logits, target)
    (expected,) = torch.autograd.grad(whole, logits)
    parts = [[0, 2, 3, 4], [1]]
    counted: list[list[tuple[Tensor, Tensor]]] = []
    for rows in parts:
        kept: list[tuple[Tensor, Tensor]] = []

        def count(total: Tensor, number: Tensor, kept: Any = kept) -> Tensor:
            kept.append((total.detach(), number))
            return total / number.clamp_min(1)

        with means_by(count):
            value_of(loss, logits[rows], target[rows])
        counted.append(kept)
    gradients = torch.zeros_like(logits)
    for index, rows in enumerate(parts):
        steps: Iterator[Any] = iter(zip(*counted, strict=True))

        def share(total: Tensor, _: Tensor, steps: Any = steps, index: int = index) -> Tensor:
            both = next(steps)
            number = sum(number for _, number in both).clamp_min(1)
            other = sum(each for place, (each, _) in enumerate(both) if place != index)
            mean: Tensor = (total + other) / number
            return mean

        with means_by(share):
            value = value_of(loss, logits[rows], target[rows])
        torch.testing.assert_close(value, whole, rtol=1e-12, atol=1e-12)
        gradients += torch.autograd.grad(value, logits)[0]
    torch.testing.assert_close(gradients, expected, rtol=1e-9, atol=1e-12)


def test_a_composite_is_of_rows_if_all_of_its_terms_are() -> None:
    terms = {"dice": Dice(), "bce": BCE()}
    assert Composite(terms, {"dice": 1.0, "bce": 0.5}).by_rows
    assert not Composite({**terms, "dice": Dice(per="batch")}, {"dice": 1.0, "bce": 0.5}).by_rows


@pytest.mark.parametrize("path", [path for path in FILES if path.stem in WHOLE_BATCH], ids=lambda path: path.stem)
def test_a_cell_of_the_whole_batch_needs_the_whole_batch(path: Any) -> None:
    assert not loss_of(path, per="batch").by_rows
