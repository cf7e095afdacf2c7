"""What both sides minimise: loops in float64, equilibria, gradients, and the gradient penalty in closed form."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tandem.adversarial import NonSaturating, Objective, Standard, WassersteinGP
from tandem.errors import ConfigError

SCORES = st.lists(st.floats(-30, 30), min_size=1, max_size=6)


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def scores(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def log_no(score: float) -> float:
    """log(1 - D), without the cancellation of 1 - sigmoid."""
    return math.log(sigmoid(-score))


@settings(max_examples=30, deadline=None)
@given(SCORES, SCORES)
def test_losses_are_those_of_a_loop(true: list[float], predicted: list[float]) -> None:
    game = mean([-math.log(sigmoid(score)) for score in true]) + mean([-log_no(score) for score in predicted])
    expected: list[tuple[Objective, float, float]] = [
        (Standard(), game, mean([log_no(score) for score in predicted])),
        (NonSaturating(), game, mean([-math.log(sigmoid(score)) for score in predicted])),
        (WassersteinGP(), mean(predicted) - mean(true), -mean(predicted)),
    ]
    for objective, discriminator, network in expected:
        found = objective.discriminator(scores(*true), scores(*predicted))
        assert found.item() == pytest.approx(discriminator, rel=1e-9, abs=1e-9)
        assert objective.network(scores(*predicted)).item() == pytest.approx(network, rel=1e-9, abs=1e-9)


def test_where_nothing_can_be_told_the_games_have_their_known_values() -> None:
    even = scores(0, 0)
    for objective in (Standard(), NonSaturating()):
        assert objective.discriminator(even, even).item() == pytest.approx(2 * math.log(2))
    assert Standard().network(even).item() == pytest.approx(-math.log(2))
    assert NonSaturating().network(even).item() == pytest.approx(math.log(2))


def slope(objective: Objective, score: float) -> float:
    """What a step of the network does to the score of a predicted mask, by its gradient."""
    predicted = scores(score).requires_grad_()
    (found,) = torch.autograd.grad(objective.network(predicted), predicted)
    return found.item()


@pytest.mark.parametrize("score", [-100.0, -5.0, 0.0, 5.0, 100.0])
def test_the_network_always_wants_higher_scores_and_stays_finite(score: float) -> None:
    for objective in (Standard(), NonSaturating(), WassersteinGP()):
        assert slope(objective, score) <= 0
        assert math.isfinite(objective.network(scores(score)).item())
    assert slope(Standard(), score) == pytest.approx(-sigmoid(score))
    assert slope(NonSaturating(), score) == pytest.approx(-sigmoid(-score))
    assert slope(WassersteinGP(), score) == -1


def test_trap_the_standard_game_saturates_where_the_discriminator_wins() -> None:
    assert slope(Standard(), -12.0) > -1e-5
    assert slope(NonSaturating(), -12.0) < -0.99


# ------------------------------------------------------------------------------------------------- the gradient penalty

MASKS = (3, 2, 4, 5)


@pytest.mark.parametrize("penalty_weight", [0.0, 1.0, 10.0])
def test_the_penalty_of_a_linear_critic_is_known(penalty_weight: float) -> None:
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(MASKS[1:], generator=rng, dtype=torch.float64).requires_grad_()
    true, predicted = torch.rand((2, *MASKS), generator=rng, dtype=torch.float64)
    objective = WassersteinGP(penalty_weight)

    def critic(mask: Tensor) -> Tensor:
        return (mask * weight).sum((1, 2, 3)).view(-1, 1, 1, 1)

    found = objective.penalty(critic, true, predicted)
    length = weight.detach().norm()
    assert found.item() == pytest.approx(penalty_weight * (length.item() - 1) ** 2)
    (gradient,) = torch.autograd.grad(found, weight)
    torch.testing.assert_close(gradient, 2 * penalty_weight * (length - 1) * weight.detach() / length)


def test_the_penalty_is_measured_between_the_two_masks_with_one_share_for_each_picture() -> None:
    true, predicted = torch.ones(MASKS, dtype=torch.float64), torch.zeros(MASKS, dtype=torch.float64)
    seen: list[Tensor] = []

    def critic(mask: Tensor) -> Tensor:
        seen.append(mask.detach())
        return mask.square().sum((1, 2, 3)).view(-1, 1, 1, 1) / 2  # whose gradient is the mask

    torch.manual_seed(5)
    found = WassersteinGP(1.0).penalty(critic, true, predicted)
    torch.manual_seed(5)
    share = torch.rand(3, 1, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(seen[0], share.expand(MASKS))
    lengths = share.flatten() * math.sqrt(math.prod(MASKS[1:]))
    torch.testing.assert_close(found, ((lengths - 1) ** 2).mean())
    assert len(set(share.flatten().tolist())) == 3


def test_the_penalty_is_of_a_picture_s_mean_score_however_many_patches_there_are() -> None:
    weight = torch.randn(MASKS[1:], dtype=torch.float64)
    masks = torch.rand((2, *MASKS), dtype=torch.float64)

    def critic(patches: int) -> float:
        def score(mask: Tensor) -> Tensor:
            return (mask * weight).sum((1, 2, 3)).view(-1, 1, 1, 1).expand(-1, 1, patches, patches)

        return WassersteinGP().penalty(score, *masks).item()

    assert critic(1) == pytest.approx(critic(4))


def test_a_flat_critic_has_a_finite_gradient() -> None:
    weight = torch.zeros(MASKS[1:]).requires_grad_()
    true, predicted = torch.ones(MASKS), torch.zeros(MASKS)
    found = WassersteinGP(10.0).penalty(lambda mask: (mask * weight).sum((1, 2, 3)).view(-1, 1, 1, 1), true, predicted)
    assert found.item() == 10
    (gradient,) = torch.autograd.grad(found, weight)
    assert gradient.isfinite().all()


def test_other_objectives_have_no_penalty() -> None:
    masks = torch.rand(MASKS)
    assert NonSaturating().penalty(lambda mask: mask, masks, masks) == 0


@pytest.mark.parametrize("weight", [-1, math.inf, "10"])
def test_a_penalty_weight_out_of_range_is_refused(weight: object) -> None:
    with pytest.raises(ConfigError, match=r"penalty_weight = .*; 10 is usual"):
        WassersteinGP(weight)  # type: ignore[arg-type]
