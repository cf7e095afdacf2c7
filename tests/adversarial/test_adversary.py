"""The adversary: its turns and the network's, what is missing, precision, its state, and what it refuses."""

import io
import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tandem.adversarial import Adversary, NonSaturating, Objective, PatchDiscriminator, Standard, WassersteinGP
from tandem.errors import ConfigError

OBJECTIVES = [Standard(), NonSaturating(), WassersteinGP()]
EACH = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)


class Linear(nn.Module):
    """A discriminator whose score is the sum of picture and mask, pixel by pixel, each with a weight of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(1.0, channels + 1).view(1, -1, 1, 1))

    def forward(self, pair: Tensor) -> Tensor:
        return (self.weight * pair).sum(1, keepdim=True)


def adversary(objective: Objective | None = None, make: Any = None, **options: Any) -> Adversary:
    torch.manual_seed(0)
    make = make or partial(PatchDiscriminator, width=8, depth=2)
    optimizer = options.pop("optimizer", partial(torch.optim.Adam, lr=2e-3))
    made = Adversary(objective or NonSaturating(), make, optimizer, **options)
    made.attach(2)
    return made


def batch(rows: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, logits that find the lesion badly, and masks."""
    rng = torch.Generator().manual_seed(1)
    image = torch.rand(rows, 1, 16, 16, generator=rng)
    mask = torch.zeros(rows, 1, 16, 16, dtype=torch.uint8)
    mask[:, :, 4:12, 4:12] = 1
    logits = torch.randn(rows, 1, 16, 16, generator=rng) + mask
    return image, logits, mask


def parameters(made: Adversary) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in made.parameters()]


@EACH
def test_its_steps_lower_its_loss_until_it_can_tell(objective: Objective) -> None:
    made = adversary(objective, steps=2)
    image, logits, mask = batch()
    values = [made.learn(image, logits.sigmoid(), mask) for _ in range(40)]
    losses = [value["d_loss"].item() for value in values]
    assert losses[-1] < losses[10] < losses[0]
    assert values[-1]["d_accuracy"] > 0.95


@EACH
def test_a_step_of_the_network_against_the_term_fools_it_more(objective: Objective) -> None:
    made = adversary(objective)
    image, logits, mask = batch()
    for _ in range(20):
        made.learn(image, logits.sigmoid(), mask)
    free = logits.clone().requires_grad_()
    before = made.term(image, free, mask)
    (gradient,) = torch.autograd.grad(before, free)
    assert made.term(image, free - 10 * gradient, mask) < before


@EACH
def test_the_term_s_gradient_reaches_the_logits_alone(objective: Objective) -> None:
    made = adversary(objective, Linear)
    image, logits, mask = batch()
    logits.requires_grad_()
    made.term(image, logits, mask).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad < 0).all(), "the score rises with the mask, so the network is to raise every logit"
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in made.parameters())


def test_the_term_of_a_linear_critic_is_known() -> None:
    made = adversary(WassersteinGP(), Linear)
    image, logits, mask = batch()
    expected = -(image + 2 * logits.sigmoid()).mean()
    torch.testing.assert_close(made.term(image, logits, mask), expected)


@EACH
def test_its_step_is_that_of_plain_gradient_descent_by_hand(objective: Objective) -> None:
    made = adversary(objective, Linear, optimizer=partial(torch.optim.SGD, lr=0.5))
    image, logits, mask = batch()
    weight = made.discriminator.weight.detach().double().clone().requires_grad_()  # type: ignore[operator]
    pairs = [torch.cat([image, masks], 1).double() for masks in (mask, logits.sigmoid())]
    scores = [(weight * pair).sum(1, keepdim=True) for pair in pairs]
    loss = objective.discriminator(*scores)
    if isinstance(objective, WassersteinGP):  # of a mean over n pixels: the same slope w / n at each of n pixels
        loss = loss + 10 * (weight.flatten()[1].abs() / math.sqrt(image[0].numel()) - 1) ** 2
    (gradient,) = torch.autograd.grad(loss, weight)
    values = made.learn(image, logits.sigmoid(), mask)
    torch.testing.assert_close(values["d_loss"].double(), loss.detach(), rtol=1e-5, atol=1e-6)
    found = made.discriminator.weight.detach().double()  # type: ignore[operator]
    torch.testing.assert_close(found, weight.detach() - 0.5 * gradient, rtol=1e-5, atol=1e-6)
    accuracy = (scores[0] > scores[1]).double().mean()
    assert values["d_accuracy"].item() == pytest.approx(accuracy.item())


@EACH
def test_pixels_without_a_target_tell_nothing(objective: Objective) -> None:
    image, logits, mask = batch()
    mask[0, :, 3:8] = 255
    mask[2] = 255
    gone = mask == 255
    found = []
    for filler in (math.nan, math.inf, 3.0):
        made = adversary(objective)
        spoiled = logits.masked_fill(gone, filler).requires_grad_()
        term = made.term(image, spoiled, mask)
        (gradient,) = torch.autograd.grad(term, spoiled)
        assert (gradient[gone] == 0).all()
        assert gradient.isfinite().all()
        torch.manual_seed(3)
        values = made.learn(image, spoiled.sigmoid(), mask)
        found.append([term.detach(), gradient, *values.values(), *parameters(made)])
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


def test_under_mixed_precision_it_computes_in_float32() -> None:
    made = adversary(make=Linear)
    image, logits, mask = batch()
    with torch.autocast("cpu", torch.bfloat16):
        half = made.term(image, logits.bfloat16(), mask)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, made.term(image, logits.bfloat16().float(), mask), rtol=1e-6, atol=1e-6)


# ------------------------------------------------------------------------------------------------------------ its state


def test_its_first_weights_leave_the_random_state_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    made = Adversary(NonSaturating(), PatchDiscriminator, torch.optim.Adam)
    made.attach(2)
    assert torch.equal(torch.rand(3), expected)
    assert not any(parameter.requires_grad for parameter in made.parameters()), "it is no part of the main optimiser"


@EACH
@pytest.mark.parametrize("pause", [0, 1, 3])
def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been(objective: Objective, pause: int) -> None:
    image, logits, mask = batch()

    def play(made: Adversary, turns: range) -> list[Tensor]:
        values: list[Tensor] = []
        for turn in turns:
            torch.manual_seed(turn)
            values += made.learn(image, (logits + turn).sigmoid(), mask).values()
        return values

    whole = adversary(objective, steps=2)
    expected = play(whole, range(5))[2 * pause :]
    first = adversary(objective, steps=2)
    play(first, range(pause))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = adversary(objective, steps=2)
    play(second, range(2))  # of which nothing must be left
    second.load_state_dict(torch.load(file, weights_only=True))
    found = play(second, range(pause, 5))
    assert all(torch.equal(one, two) for one, two in zip(expected, found, strict=True))
    assert all(torch.equal(one, two) for one, two in zip(parameters(whole), parameters(second), strict=True))


def test_a_loaded_state_that_was_not_used_is_saved_again() -> None:
    image, logits, mask = batch()
    first, second = adversary(), adversary()
    first.learn(image, logits.sigmoid(), mask)
    second.load_state_dict(first.state_dict())
    kept = second.get_extra_state()["state"]
    assert kept.keys() == set(range(len(parameters(first))))


def test_its_weight_follows_the_epoch() -> None:
    made = adversary(weight={"from": 0.0, "to": 0.1, "start": 1, "end": 5})
    assert made.weight == 0
    for epoch, weight in ((3, 0.05), (100, 0.1), (0, 0.0)):
        made.set_epoch(epoch)
        assert made.weight == pytest.approx(weight)


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0, but must be a whole number of at least 1"),
        ({"steps": 1.5}, r"steps is 1\.5, but must be a whole number"),
        ({"steps": True}, "steps is True"),
        ({"weight": 0}, "weight = 0 would leave the adversary unused; give one above 0, or remove the adversary"),
        ({"weight": -1}, r"weight = -1 is outside \[0, inf\]"),
        ({"weight": {"from": 0, "too": 1, "end": 3}}, r"weight\.too is not part of a schedule: did you mean 'to'"),
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        adversary(**options)
    assert "\n" not in str(refusal.value)


def test_weights_in_half_precision_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"half precision; set trainer\.precision=bf16-mixed, or choose adversary@"):
        adversary().to(torch.bfloat16).term(*batch())


def test_several_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    adversary().term(*batch())
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(ConfigError, match=r"one device only; set trainer\.devices=1, or choose adversary@"):
        adversary().term(*batch())
