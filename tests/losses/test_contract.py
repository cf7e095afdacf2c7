"""What the bases promise to a new loss, and how values are checked without stalling a GPU."""

import pytest
import torch
from torch import Tensor

from tandem.errors import DataError
from tandem.losses import KINDS, BinaryLoss, Loss, MulticlassLoss
from tandem.losses.binary import BCE
from tandem.losses.checks import binary_valid, multiclass_valid
from tandem.losses.multiclass import CrossEntropy


class Brier(BinaryLoss):
    """All that a later loss has to write."""

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        return (torch.sigmoid(logits) - target) ** 2


class Seen(MulticlassLoss):
    """Remembers what it was given."""

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        self.seen = logits, target, valid
        return logits.sum()


def test_a_new_loss_is_one_small_class() -> None:
    loss = Brier()
    assert loss.kind == "binary"
    assert loss(torch.zeros(2, 1), torch.tensor([[1], [255]])) == 0.25


def test_a_base_alone_says_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError, match="BinaryLoss needs `element` or `compute`"):
        BinaryLoss()(torch.zeros(1, 1), torch.zeros(1, 1))
    with pytest.raises(NotImplementedError, match="MulticlassLoss needs `element` or `compute`"):
        MulticlassLoss()(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))


def test_a_loss_without_a_kind_has_none() -> None:
    assert not hasattr(Loss(), "kind")
    assert {BinaryLoss.kind, MulticlassLoss.kind} < set(KINDS)


def test_compute_sees_clean_input() -> None:
    loss = Seen()
    loss(torch.full((2, 3), torch.nan, dtype=torch.float16), torch.tensor([255, -100]))
    logits, target, valid = loss.seen
    assert torch.equal(logits, torch.zeros(2, 3))
    assert target.tolist() == [0, 0]
    assert valid is not None
    assert not valid.any()
    loss(torch.zeros(2, 3), torch.tensor([2, 0]))
    assert loss.seen[2] is None


def test_values_are_looked_at_once_on_a_gpu_and_always_elsewhere() -> None:
    cpu, gpu = BCE(), BCE()
    assert [cpu._wait(torch.device("cpu")) for _ in range(3)] == [True, True, True]
    assert [gpu._wait(torch.device("cuda")) for _ in range(3)] == [True, False, False]


def test_a_wrong_value_fails_late_where_nothing_waits_but_it_fails() -> None:
    assert torch.equal(binary_valid(torch.tensor([0, 1, 255]), wait=False), torch.tensor([True, True, False]))  # type: ignore[arg-type]
    assert torch.equal(multiclass_valid(torch.tensor([0, 1, -100]), 2, wait=False), torch.tensor([True, True, False]))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="binary loss: the target holds a value other than 0, 1 and 255"):
        binary_valid(torch.tensor([0, 7]), wait=False)
    with pytest.raises(RuntimeError, match="multiclass loss: the target holds a value other than 0 to 1"):
        multiclass_valid(torch.tensor([0, 7]), 2, wait=False)


def test_a_refusal_names_few_values() -> None:
    with pytest.raises(DataError, match="the target holds 9, 8, 7; map") as refusal:
        BCE()(torch.zeros(6, 1), torch.tensor([[9], [8], [9], [7], [6], [5]]))
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_no_step_on_a_gpu_waits_for_it_after_the_first() -> None:
    logits = torch.randn(2, 3, 4, 4, device="cuda", requires_grad=True)
    yes, which = torch.ones(2, 3, 4, 4, device="cuda").byte(), torch.ones(2, 4, 4, device="cuda").byte()
    losses = [(BCE(), yes), (CrossEntropy(weight=[1, 2, 3]).cuda(), which)]
    first = [loss(logits, target).item() for loss, target in losses]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for loss, target in losses:
            loss(logits, target).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [loss(logits, target).item() for loss, target in losses] == first  # to the bit: a resumed run starts anew
