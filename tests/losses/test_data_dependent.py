"""Knobs that follow from the training targets: their values, their place in the checkpoint, and what is refused."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional as F

from tandem.errors import ConfigError, DataError
from tandem.losses import Composite, binary, multiclass
from tandem.losses.contract import Loss
from tandem.losses.data_dependent import deferred_losses, resolve

NAMES = ("normal", "benign", "malignant")
BALANCED: list[Callable[[], Loss]] = [
    lambda: multiclass.CrossEntropy("balanced"),
    lambda: multiclass.Focal(alpha="balanced"),
]
KNOBS = ["weight", "alpha"]


def settled(loss: nn.Module, *counts: Any) -> nn.Module:
    resolve(loss, torch.tensor(counts), NAMES)
    return loss


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_balanced_weights_equal_scikit_learn(drawn: list[int]) -> None:
    labels = np.array([*drawn, *range(5)])
    counts = torch.tensor(np.bincount(labels, minlength=5))
    expected = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    for make, knob in zip(BALANCED, KNOBS, strict=True):
        found = resolve(loss := make(), counts, "abcde")
        torch.testing.assert_close(getattr(loss, knob), torch.tensor(expected, dtype=torch.float32))
        assert list(found.values()) == pytest.approx(expected.tolist())
        assert list(found) == [f"{knob}.{name}" for name in "abcde"]


def test_balanced_cross_entropy_is_torch_s_with_these_weights() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(12, 3, dtype=torch.float64), torch.arange(12) % 3
    loss = settled(multiclass.CrossEntropy("balanced", label_smoothing=0.1), 8, 3, 1)
    weight = torch.tensor([12 / 24, 12 / 9, 12 / 3], dtype=torch.float64)
    expected = F.cross_entropy(logits, target, weight, label_smoothing=0.1)
    torch.testing.assert_close(loss(logits, target), expected, atol=1e-6, rtol=1e-6)
    assert loss(logits, target).item() == pytest.approx(
        multiclass.CrossEntropy(weight.tolist(), 0.1)(logits, target).item(), rel=1e-6
    )


def test_with_equal_counts_nothing_changes() -> None:
    logits, target = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    equal = settled(BALANCED[0](), 7, 7, 7)(logits, target)
    torch.testing.assert_close(equal, multiclass.CrossEntropy()(logits, target))
    assert torch.equal(settled(BALANCED[1](), 7, 7, 7)(logits, target), multiclass.Focal()(logits, target))


def test_auto_is_the_background_share_and_weighs_both_sides_alike() -> None:
    loss = binary.BalancedBCE("auto")
    counts = torch.tensor([[58, 6]])
    assert resolve(loss, counts, ["lesion"]) == {"beta": 58 / 64}
    target = torch.zeros(1, 1, 8, 8)
    target[..., :2, :3] = 1
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    loss(logits, target).backward()
    assert logits.grad is not None
    torch.testing.assert_close(-logits.grad[target == 1].sum(), logits.grad[target == 0].sum())
    assert torch.equal(loss(logits, target), binary.BalancedBCE(58 / 64)(logits, target))


def test_auto_pools_the_channels() -> None:
    assert resolve(binary.BalancedBCE("auto"), torch.tensor([[90, 10], [30, 70]]), "ab") == {"beta": 0.6}


def test_terms_of_a_composite_are_settled_by_their_place() -> None:
    inner = Composite({"ce": multiclass.CrossEntropy("balanced"), "dice": multiclass.Dice()}, {"ce": 1, "dice": 1})
    loss = Composite({"both": inner, "focal": multiclass.Focal()}, {"both": 1, "focal": 1})
    assert list(deferred_losses(loss)) == ["terms.both.terms.ce"]
    found = resolve(loss, torch.tensor([1, 1, 2]), NAMES)
    assert found == pytest.approx(
        {f"terms.both.terms.ce.weight.{name}": value for name, value in zip(NAMES, (4 / 3, 4 / 3, 2 / 3), strict=True)}
    )
    assert set(loss.state_dict()) == {"terms.both.terms.ce.weight"}


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (multiclass.CrossEntropy("balanced"), torch.tensor([0, 1])),
        (multiclass.Focal(alpha="balanced"), torch.tensor([0, 1])),
        (binary.BalancedBCE("auto"), torch.ones(2, 3)),
    ],
)
def test_an_open_knob_cannot_be_trained_with(loss: nn.Module, target: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"(weight|alpha|beta) depends on the training targets"):
        loss(torch.zeros(2, 3), target)


@pytest.mark.parametrize("make", BALANCED)
def test_a_class_without_a_target_is_refused_by_name(make: Any) -> None:
    with pytest.raises(DataError, match=r"(weight|alpha) is balanced, but no training target is of class 'benign'"):
        resolve(make(), torch.tensor([3, 0, 2]), NAMES)


@pytest.mark.parametrize(("counts", "absent"), [([[5, 0]], "foreground"), ([[0, 5]], "background")])
def test_masks_without_foreground_or_background_are_refused(counts: Any, absent: str) -> None:
    with pytest.raises(DataError, match=f"beta is auto, but the training masks have no {absent}"):
        resolve(binary.BalancedBCE("auto"), torch.tensor(counts), ["lesion"])


@pytest.mark.parametrize("loss", [multiclass.CrossEntropy, lambda word: multiclass.Focal(alpha=word)])
def test_other_words_are_refused(loss: Any) -> None:
    with pytest.raises(ConfigError, match="'balancd' is unknown; use balanced, one number for each class, or null"):
        loss("balancd")
    with pytest.raises(ConfigError, match="'automatic' is unknown; use auto or a value inside"):
        binary.BalancedBCE("automatic")  # type: ignore[arg-type]


def test_counts_that_do_not_fit_the_logits_are_refused() -> None:
    with pytest.raises(ConfigError, match="weight has 3 numbers for 4 classes"):
        settled(BALANCED[0](), 1, 2, 3)(torch.zeros(2, 4), torch.tensor([0, 1]))


def test_what_was_given_is_left_alone_and_in_no_checkpoint() -> None:
    for loss in (multiclass.CrossEntropy([1, 2, 3]), multiclass.Focal(), binary.BalancedBCE(0.7), binary.BCE()):
        assert deferred_losses(loss) == {}
        assert resolve(loss, torch.tensor([1, 1, 1]), NAMES) == {}
        assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("make", "counts"),
    [(BALANCED[0], [8, 3, 1]), (BALANCED[1], [8, 3, 1]), (lambda: binary.BalancedBCE("auto"), [[8, 1]])],
)
@pytest.mark.parametrize("copied", [False, True], ids=["new", "copied"])
def test_a_checkpoint_brings_the_value_along(make: Any, counts: Any, copied: bool) -> None:
    stored = nn.ModuleDict({"loss": settled(make(), *counts)})
    fresh = nn.ModuleDict({"loss": make()})
    fresh = copy.deepcopy(fresh) if copied else fresh
    fresh.load_state_dict(stored.state_dict())
    assert stored.state_dict().keys() == fresh.state_dict().keys()
    for name, value in stored.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value)
    logits, target = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    if isinstance(stored["loss"], binary.BalancedBCE):
        target = F.one_hot(target, 3)
    assert torch.equal(stored["loss"](logits, target), fresh["loss"](logits, target))


def test_a_checkpoint_without_the_value_is_refused_by_torch() -> None:
    loss = BALANCED[0]()
    loss.load_state_dict({})  # open it was, open it stays
    with pytest.raises(ConfigError, match="depends on the training targets"):
        loss(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(RuntimeError, match="Missing key"):
        settled(loss, 1, 2, 3).load_state_dict({})
