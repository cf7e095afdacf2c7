"""Composites: named unweighted terms, weights beside them, and what is refused."""

import pytest
import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.losses import Composite, MulticlassLoss
from tandem.losses.binary import BCE, BCEFocal, Dice, Focal
from tandem.losses.multiclass import CrossEntropy
from tandem.losses.multiclass import Dice as ClassDice
from tandem.losses.multiclass import Focal as ClassFocal

LOGITS = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
TARGET = (LOGITS > 0.5).long()


def close(found: Tensor | float, expected: Tensor) -> None:
    torch.testing.assert_close(torch.as_tensor(found, dtype=torch.float64), expected.double(), atol=1e-6, rtol=1e-6)


def test_terms_are_unweighted_and_weights_stand_beside_them() -> None:
    loss = Composite({"dice": Dice(), "bce": BCE()}, {"bce": 0.25, "dice": 2})
    terms = loss(LOGITS, TARGET)
    assert loss.weights == {"dice": 2, "bce": 0.25}
    assert list(terms) == list(loss.weights)
    assert torch.equal(terms["dice"], Dice()(LOGITS, TARGET))
    assert torch.equal(terms["bce"], BCE()(LOGITS, TARGET))


def test_kind_is_that_of_the_terms() -> None:
    assert Composite({"a": Dice(), "b": BCE()}, {"a": 1, "b": 1}).kind == "binary"
    assert Composite({"a": CrossEntropy()}, {"a": 1}).kind == "multiclass"
    assert not hasattr(Composite, "kind")


def test_a_composite_as_a_term_is_flattened() -> None:
    loss = Composite({"dice": Dice(), "pixels": BCEFocal(bce_weight=0.5, focal_weight=2)}, {"dice": 1, "pixels": 0.5})
    assert loss.weights == {"dice": 1, "pixels/bce": 0.25, "pixels/focal": 1}
    terms = loss(LOGITS, TARGET)
    assert list(terms) == list(loss.weights)
    assert torch.equal(terms["pixels/focal"], Focal(gamma=3)(LOGITS, TARGET))


def test_terms_move_with_the_composite() -> None:
    loss = Composite({"ce": CrossEntropy(weight=[1, 2])}, {"ce": 1})
    assert [buffer.dtype for buffer in loss.double().buffers()] == [torch.float64]


def test_weights_change_over_the_epochs_and_go_back_with_them() -> None:
    loss = Composite({"dice": Dice(), "bce": BCE()}, {"dice": 2, "bce": {"from": 1.0, "to": 0.0, "start": 2, "end": 6}})
    assert loss.moving == ("bce",)
    found = {}
    for epoch in (0, 2, 3, 6, 50, 3):
        loss.set_epoch(epoch)
        found[epoch] = loss.weights["bce"]
        assert loss.weights["dice"] == 2
    assert found == {0: 1, 2: 1, 3: 0.75, 6: 0, 50: 0}
    assert loss.state_dict() == {}, "nothing to lose in a checkpoint"


def test_schedules_of_inner_and_outer_composites_are_multiplied() -> None:
    inner = Composite({"bce": BCE(), "focal": Focal()}, {"bce": {"from": 0, "to": 1, "end": 4}, "focal": 3})
    loss = Composite({"dice": Dice(), "pixels": inner}, {"dice": 1, "pixels": {"from": 1, "to": 0.5, "end": 2}})
    loss.set_epoch(1)
    assert loss.weights == {"dice": 1, "pixels/bce": 0.75 * 0.25, "pixels/focal": 0.75 * 3}
    assert loss.moving == ("pixels/bce", "pixels/focal")
    still = Composite({"dice": Dice(), "pixels": inner}, {"dice": 1, "pixels": 2})
    assert still.moving == ("pixels/bce",)
    still.set_epoch(4)
    assert still.weights == {"dice": 1, "pixels/bce": 2, "pixels/focal": 6}


class Counting(BCE):
    """Counts how often a target is looked at."""

    looks = 0

    def clean(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        type(self).looks += 1
        return super().clean(logits, target)


class Own(BCE):
    """A loss with a call of its own."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return 2 * super().forward(logits, target)


def test_the_target_is_looked_at_once_for_all_terms() -> None:
    loss = Composite({name: Counting() for name in ("one", "two", "three")}, dict.fromkeys(("one", "two", "three"), 1))
    terms = loss(LOGITS, TARGET)
    assert Counting.looks == 1
    assert all(torch.equal(term, BCE()(LOGITS, TARGET)) for term in terms.values())


def test_a_term_with_a_call_of_its_own_is_called() -> None:
    terms = Composite({"bce": BCE(), "own": Own()}, {"bce": 1, "own": 1})(LOGITS, TARGET)
    assert torch.equal(terms["own"], 2 * terms["bce"])


@pytest.mark.parametrize("shape", [(3, 1, 6, 5), (2, 3, 4, 5), (2, 2, 3, 4, 2)], ids=str)
def test_binary_composites_equal_monai(shape: tuple[int, ...]) -> None:
    monai = pytest.importorskip("monai.losses")
    logits = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = (logits + torch.randn(shape, generator=torch.Generator().manual_seed(1)) > 0).double()
    target[..., 0] = 1
    cells = [x.flatten(0, 1).unsqueeze(1) for x in (logits, target)]  # of several channels MONAI takes a softmax
    smooth = {"smooth_nr": 0, "smooth_dr": 0}
    for pixels, oracle in (
        (BCE(), monai.DiceCELoss(sigmoid=True, lambda_dice=0.3, lambda_ce=2.0, **smooth)),
        (Focal(2.0), monai.DiceFocalLoss(sigmoid=True, gamma=2.0, lambda_dice=0.3, lambda_focal=2.0, **smooth)),
    ):
        loss = Composite({"dice": Dice(), "pixels": pixels}, {"dice": 0.3, "pixels": 2.0})
        terms = loss(logits, target)
        close(sum(loss.weights[name] * term for name, term in terms.items()), oracle(*cells))


def test_multiclass_composites_equal_monai() -> None:
    monai = pytest.importorskip("monai.losses")
    logits = 3 * torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.randint(0, 4, (3, 6, 5), generator=torch.Generator().manual_seed(1))
    target[:, 0, :4] = torch.arange(4)
    oracle = monai.DiceCELoss(softmax=True, to_onehot_y=True, smooth_nr=0, smooth_dr=0)
    terms = Composite({"dice": ClassDice(), "ce": CrossEntropy()}, {"dice": 1, "ce": 1})(logits, target)
    close(terms["dice"] + terms["ce"], oracle(logits, target[:, None]))
    focal = Composite({"dice": ClassDice(), "focal": ClassFocal(2.0)}, {"dice": 1, "focal": 1})(logits, target)
    pixels = monai.FocalLoss(gamma=2.0, use_softmax=True, to_onehot_y=True)(logits, target[:, None])
    close(focal["focal"], 4 * pixels)  # MONAI divides by the classes too, and computes in float32


class Kindless(nn.Module):
    """A loss by name only."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits - target).mean()


class OddKind(MulticlassLoss):
    """A loss of a kind of its own."""

    kind = "binery"


@pytest.mark.parametrize(
    ("terms", "weights", "message"),
    [
        ({}, {}, "no terms"),
        (None, None, "no terms"),
        ({"bce": BCE()}, None, "no weights"),
        ({"bce": BCE()}, {}, r"the terms \['bce'\] but weights for \[\]; use the same names in both"),
        ({"bce": BCE()}, {"bce": 1, "dice": 1}, r"the terms \['bce'\] but weights for \['bce', 'dice'\]"),
        ({"bce": BCE(), "dice": Dice()}, {"bce": 1}, r"the terms \['bce', 'dice'\] but weights for \['bce'\]"),
        ({"bce": BCE(), "ce": CrossEntropy()}, {"bce": 1, "ce": 1}, "mixes kinds: bce is binary, ce is multiclass"),
        ({"bce": BCE()}, {"bce": -1}, r"weights.bce = -1 is outside \[0, inf\]; use 0 or more"),
        ({"bce": BCE()}, {"bce": "1"}, "weights.bce = '1' is not a finite number"),
        ({"bce": BCE()}, {"bce": 0.0}, "every weight of a composite loss is 0"),
        ({"bce": BCE()}, {"bce": {"from": 0, "to": 0.0, "end": 3}}, "every weight of a composite loss is 0"),
        ({"bce": BCE()}, {"bce": {"from": 0, "to": 1, "ende": 3}}, "weights.bce.ende is not part of a schedule: did"),
        (
            {"own": Kindless()},
            {"own": 1},
            "the term 'own' of a composite loss is a Kindless; take a loss that names its kind",
        ),
        ({"own": OddKind(), "bce": BCE()}, {"own": 1, "bce": 1}, "mixes kinds: own is binery, bce is binary"),
        ({"own": {"gamma": 1}}, {"own": 1}, "the term 'own' of a composite loss is a dict"),
        ({"a.b": BCE()}, {"a.b": 1}, "cannot be called 'a.b'"),
        ({"keys": BCE()}, {"keys": 1}, "cannot be called 'keys'; use letters, digits and _"),
        ({1: BCE()}, {1: 1}, "cannot be called 1"),
    ],
)
def test_bad_parts_are_refused(terms: dict[str, nn.Module], weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        Composite(terms, weights)
    assert "\n" not in str(refusal.value)
